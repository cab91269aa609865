import { describe, expect, test } from 'vitest'
import {
  completion,
  forcedTriplets,
  GAMMA,
  gf3,
  isTrit,
  mix64,
  residue,
  splitmix64,
  splitmix64Stream,
  type Trit,
  tritOf,
} from '../../sdk/gf3.ts'

// Vectors computed once from the seed documents' definitions.

const TRITS: Trit[] = [-1, 0, 1]
const MASK_64 = (1n << 64n) - 1n
const SEED = 1069n

const tuples = (length: number): Trit[][] =>
  length === 0 ? [[]] : tuples(length - 1).flatMap((rest) => TRITS.map((trit) => [...rest, trit]))

const conserved = (length: number) => tuples(length).filter((each) => gf3(each).conserved)

describe('conservation', () => {
  test('9 of 27 triples and 81 of 243 quintuples conserve', () => {
    expect(conserved(3)).toHaveLength(9)
    expect(conserved(5)).toHaveLength(81)
    const triads = [...new Set(conserved(3).map((each) => each.toSorted((a, b) => a - b).join()))]
    expect(triads.toSorted()).toEqual(['-1,-1,-1', '-1,0,1', '0,0,0', '1,1,1'])
  })

  test('the three verses, the core triad and the five providers are conserved and balanced', () => {
    expect(gf3([-1, 0, 1])).toEqual({ sum: 0, conserved: true, balanced: true, triad: true })
    expect(gf3([-1, -1, 1, 1, 0])).toEqual({
      sum: 0,
      conserved: true,
      balanced: true,
      triad: false,
    })
  })

  test('an unbalanced bundle is told from a violated one', () => {
    expect(gf3([1, 1, 1])).toEqual({ sum: 3, conserved: true, balanced: false, triad: true })
    expect(gf3([-1, -1, 1])).toMatchObject({ sum: -1, conserved: false })
    expect(gf3([1])).toMatchObject({ sum: 1, conserved: false })
    expect(gf3([])).toEqual({ sum: 0, conserved: true, balanced: false, triad: false })
  })

  test('one branch, three optimisations and three verifications do not conserve', () => {
    expect(gf3([1, 0, 0, 0, -1, -1, -1])).toMatchObject({ sum: -2, conserved: false })
    expect(residue(-2)).toBe(1)
  })

  test('residues of both signs', () => {
    expect([-4, -3, -2, -1, 0, 1, 2, 3, 4].map((sum) => residue(sum))).toEqual([
      2, 0, 1, 2, 0, 1, 2, 0, 1,
    ])
  })

  test('a completion closes every bundle', () => {
    expect([[], [1], [-1], [1, 1]].map((each) => completion(each as Trit[]))).toEqual([0, -1, 1, 1])
    for (const bundle of tuples(4))
      expect(gf3([...bundle, completion(bundle)]).conserved).toBe(true)
  })

  test('what a trit is', () => {
    expect([-2, -1, 0, 1, 2, 0.5, Number.NaN].filter((value) => isTrit(value))).toEqual([-1, 0, 1])
  })
})

describe('SplitMix64', () => {
  test.each([
    [0n, 0xf061ebbc2ca74d78n],
    [1n, 0x34dc5aa0b7117465n],
    [2n, 0x34370514cc4e9a8cn],
    [5n, 0xb5222cb8ae6e1886n],
    [9n, 0xd726fcf3f1d357d5n],
    [100n, 0xd8113f2a2d028a37n],
    [1000n, 0xbfbeef187ed62ad5n],
  ])('value %i of the colour stream', (k, value) => {
    const colourSeed = (0x6761795f636f6c6fn + GAMMA) & MASK_64
    expect(colourSeed).toBe(0x0598f318e2b9e884n)
    expect(mix64(colourSeed + k * GAMMA)).toBe(value)
  })

  test('the first output of seed 1069, as itself and as a trit', () => {
    expect(splitmix64(SEED)).toBe(0x97629500787d9c76n)
    expect(splitmix64Stream(SEED)()).toBe(0x97629500787d9c76n)
    expect(tritOf(0x97629500787d9c76n)).toBe(1)
  })

  test('a stream is the stateless function of a counter', () => {
    const next = splitmix64Stream(SEED)
    for (let k = 0n; k < 10n; k++) expect(next()).toBe(splitmix64((SEED + k * GAMMA) & MASK_64))
  })

  test('seeds of the three agents and of the next trace', () => {
    expect(SEED ^ GAMMA).toBe(0x9e3779b97f4a7838n)
    expect(SEED ^ ((GAMMA << 1n) & MASK_64)).toBe(0x3c6ef372fe94fc07n)
    const derived = [-1n, 0n, 1n].map((trit) => BigInt.asUintN(64, splitmix64(SEED) + trit * GAMMA))
    expect(derived).toEqual([0xf92b1b46f9332061n, 0x97629500787d9c76n, 0x359a0eb9f7c8188bn])
  })

  test('forced triplets of seed 1069', () => {
    expect(forcedTriplets(SEED, 6)).toEqual([
      [1, 1, 1],
      [-1, 1, 0],
      [0, 1, -1],
      [1, 1, 1],
      [0, -1, 1],
      [0, 0, 0],
    ])
    expect(forcedTriplets(7n, 500).every((each) => gf3(each).conserved)).toBe(true)
  })
})
