import { describe, expect, test } from 'vitest'
import type { Hex } from 'viem'
import { fullMask, type Path } from '../../sdk/ids.ts'
import {
  costWev,
  exposure,
  type Holding,
  ramanujanGap,
  spectralWev,
  WAD,
  wevNominal,
} from '../../sdk/wev.ts'

// The seed documents' figures, and the readings of them that the ledger can keep.

const question = (low: number): Hex => `0x${'a'.repeat(62)}${low.toString(16).padStart(2, '0')}`
const REGIME = question(3)
const OTHER = `0x${'b'.repeat(62)}02` as Hex
const [NASH, OPTIMAL, CHAOS] = [0, 1, 2]

const at = (outcome: number, other?: number): Path => [
  { question: REGIME, outcome },
  ...(other === undefined ? [] : [{ question: OTHER, outcome: other }]),
]
const hold = (owner: string, path: Path, amount: bigint): Holding => ({ owner, path, amount })
const whole = (owner: string, amount: bigint) =>
  [NASH, OPTIMAL, CHAOS].map((outcome) => hold(owner, at(outcome), amount))
const live = new Map([
  [REGIME, fullMask(3)],
  [OTHER, fullMask(2)],
])

describe('from measured costs', () => {
  test('150 against 100', () => {
    expect(costWev(150n * WAD, 100n * WAD)).toEqual({
      priceOfAnarchy: (15n * WAD) / 10n,
      wevRatio: WAD / 2n,
      wevAbs: 50n * WAD,
      isInverted: false,
    })
  })

  test('Pigou: 4/3, hence 1/3', () => {
    const { priceOfAnarchy, wevRatio } = costWev(4n * WAD, 3n * WAD)
    expect(priceOfAnarchy).toBe(1_333_333_333_333_333_333n)
    expect(wevRatio).toBe(333_333_333_333_333_333n)
  })

  test('an optimum that cost more is kept raw, clamped and flagged', () => {
    expect(costWev(80n, 100n)).toEqual({
      priceOfAnarchy: (8n * WAD) / 10n,
      wevRatio: 0n,
      wevAbs: -20n,
      isInverted: true,
    })
  })

  test('an optimum that cost nothing has no price of anarchy', () => {
    expect(costWev(5n, 0n)).toEqual({
      priceOfAnarchy: null,
      wevRatio: null,
      wevAbs: 5n,
      isInverted: false,
    })
  })

  test('settling balances is the same identity: T over the winner', () => {
    // 45, 35 and 20 with optimal winning: the losers hold 65.
    const { wevAbs, wevRatio } = costWev(100n, 35n)
    expect(wevAbs).toBe(65n)
    expect(wevRatio).toBe((65n * WAD) / 35n)
  })

  test('negative costs are refused', () => {
    expect(() => costWev(-1n, 1n)).toThrow(expect.objectContaining({ code: 'NEGATIVE_COST' }))
  })
})

describe('from a spectral gap', () => {
  test.each([
    [5, 1, 2, 1],
    [10, 4, 1.25, 0.25],
    [17, 9, 10 / 9, 1 / 9],
    [26, 16, 1.0625, 0.0625],
    [4, 0.535898, 2.866025, 1.866025],
  ])('degree %i at the bound', (degree, gap, priceOfAnarchy, wev) => {
    const found = spectralWev(ramanujanGap(degree))
    expect(found.gap).toBeCloseTo(gap, 6)
    expect(found.priceOfAnarchy).toBeCloseTo(priceOfAnarchy, 6)
    expect(found.wev).toBeCloseTo(wev, 6)
  })

  test('complete graphs by their own gap', () => {
    expect([3, 4, 5].map((n) => spectralWev(n).priceOfAnarchy)).toEqual([4 / 3, 1.25, 1.2])
  })

  test('no gap, no bound', () => {
    expect(spectralWev(ramanujanGap(2))).toEqual({ gap: 0, priceOfAnarchy: null, wev: null })
  })
})

describe('from balances', () => {
  test('one owner keeps all three: nominal 200, realized 0', () => {
    const holdings = whole('alice', 100n)
    expect(wevNominal(holdings, REGIME, OPTIMAL)).toBe(200n)
    expect(exposure(holdings, live)).toEqual({
      total: 100n,
      floors: new Map([['alice', 100n]]),
      realized: 0n,
    })
  })

  test('three owners hold one each: nominal 200, realized 100', () => {
    const holdings = [
      hold('alice', at(NASH), 100n),
      hold('bob', at(OPTIMAL), 100n),
      hold('carol', at(CHAOS), 100n),
    ]
    expect(wevNominal(holdings, REGIME, OPTIMAL)).toBe(200n)
    expect(exposure(holdings, live)).toMatchObject({ total: 100n, realized: 100n })
  })

  test('balances of 45, 35 and 20: the seeds\u2019 pull-up says 65', () => {
    const holdings = [
      hold('a', at(NASH), 45n),
      hold('b', at(OPTIMAL), 35n),
      hold('c', at(CHAOS), 20n),
    ]
    expect(wevNominal(holdings, REGIME, OPTIMAL)).toBe(65n)
  })

  test('splitting one\u2019s own child further changes nothing but the nominal figure', () => {
    const before = [...whole('alice', 60n), hold('bob', at(NASH), 0n)]
    const after = [
      hold('alice', at(NASH, 0), 60n),
      hold('alice', at(NASH, 1), 60n),
      hold('alice', at(OPTIMAL), 60n),
      hold('alice', at(CHAOS), 60n),
    ]
    expect(exposure(after, live).realized).toBe(exposure(before, live).realized)
    expect(wevNominal(after, REGIME, OPTIMAL)).toBe(180n)
  })

  test('an outcome that is ruled out no longer counts', () => {
    const holdings = [hold('alice', at(NASH), 100n), hold('bob', at(OPTIMAL), 100n)]
    const narrowed = new Map([[REGIME, 0b011n]])
    expect(exposure([...holdings, hold('carol', at(CHAOS), 7n)], narrowed)).toMatchObject({
      total: 100n,
      realized: 100n,
    })
  })

  test('what cannot be', () => {
    expect(() => exposure([hold('a', at(NASH), 1n)], live)).toThrow(
      expect.objectContaining({ code: 'UNBALANCED_HOLDINGS' }),
    )
    expect(() => exposure(whole('a', 1n), new Map())).toThrow(
      expect.objectContaining({ code: 'UNKNOWN_QUESTION' }),
    )
    const many = Array.from({ length: 17 }, (_, index): Path => [
      { question: question(index), outcome: 0 },
    ])
    const lives = new Map(many.map(([step]) => [step!.question, 3n]))
    expect(() =>
      exposure(
        many.map((path) => hold('a', path, 1n)),
        lives,
      ),
    ).toThrow(expect.objectContaining({ code: 'TOO_MANY_COMBINATIONS' }))
    expect(exposure([], live)).toEqual({ total: 0n, floors: new Map(), realized: 0n })
  })
})
