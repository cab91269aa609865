import { artifacts } from 'hardhat'
import { expect, test } from 'vitest'
import type { Touched } from '../../bench/gas/chain.ts'
import { markdownOf, replaceTable } from '../../bench/gas/document.ts'
import { calldataGas, eventGas, slotGas } from '../../bench/gas/floor.ts'
import { meanOf, measure } from '../../bench/gas/measure.ts'
import { plotCurve } from '../../bench/gas/plot.ts'
import { curveOf, rowsOf } from '../../bench/gas/rows.ts'
import { readSnapshot, regressions, takeSnapshot } from '../../bench/gas/snapshot.ts'

test('no operation costs over 1 % more than its committed snapshot', async () => {
  const [committed, now] = [await readSnapshot(), await takeSnapshot()]
  expect(Object.keys(now)).toEqual(Object.keys(committed))
  expect(regressions(committed, now)).toEqual([])
})

test('a regression is more than 1 % above the snapshot, and what the snapshot does not know', () => {
  expect(regressions({ a: 1000, b: 1000 }, { a: 1010, b: 1011, c: 1 })).toEqual([
    { operation: 'b', was: 1000, is: 1011 },
    { operation: 'c', was: 0, is: 1 },
  ])
})

test.each(['Multiverse', 'Worlds'])('%s fits the limit on code size', async (name) => {
  const { deployedBytecode } = await artifacts.readArtifact(name)
  expect((deployedBytecode.length - 2) / 2).toBeLessThan(24_576)
})

test('three systems stand side by side, each operation above its floor', async () => {
  const measurements = await measure({ ledger: 2, conditionalTokens: 2, plain: 2 })
  for (const { operation, ledger, conditionalTokens, plain, floor } of measurements) {
    const gas = {
      conditionalTokens: conditionalTokens!.mean,
      plain: plain!.mean,
      ledger: ledger.mean,
    }
    for (const each of Object.values(gas)) expect(each).toBeGreaterThan(21_000)
    // A floor above or far below what was paid would say nothing.
    const share = floor.total / ledger.mean
    expect({ operation, isBelow: share < 1, isNear: share > 0.85 }).toEqual({
      operation,
      isBelow: true,
      isNear: true,
    })
  }

  const rows = rowsOf(measurements)
  expect(rows.map(({ name }) => name)).toContain('one more outcome in a push-down')
  expect(Object.keys(rows[0]!.beside!)).toEqual(expect.arrayContaining(['CTF ±', 'plain', 'floor']))

  const markdown = markdownOf(measurements)
  expect(markdown.split('\n')).toHaveLength(rows.length + 2)
  const marks = '<!-- table: npm run bench -- gas --docs --> old <!-- end of table -->'
  expect(replaceTable(marks, markdown)).toContain(`\n\n${markdown}\n\n`)
  expect(() => replaceTable('no marks', markdown)).toThrow('marks')

  const curve = curveOf(measurements)
  expect(curve.map(({ outcomes }) => outcomes)).toEqual([2, 3, 8, 16, 32, 64, 128, 254])
  const svg = await plotCurve(curve)
  expect(svg).toMatch(/^<svg/)
  for (const system of ['this ledger', 'Conditional Tokens', 'plain ERC-6909'])
    expect(svg).toContain(system)
})

test('means come with their standard error', () => {
  expect(meanOf([1, 2, 3, 4])).toEqual({ mean: 2.5, standardError: Math.sqrt(5 / 3 / 4) })
  expect(meanOf([7])).toEqual({ mean: 7, standardError: 0 })
})

const account = '0xAbCdef0000000000000000000000000000000001'
const lower = '0xabcdef0000000000000000000000000000000001'

test('the floor prices calldata, events and slots', () => {
  expect(calldataGas('0x00ff00')).toBe(4 + 16 + 4)
  const log = { address: lower, topics: ['0x01', '0x02'], data: '0x0102' } as const
  const foreign = { ...log, address: '0x0000000000000000000000000000000000000002' } as const
  expect(
    eventGas(
      [
        { ...log, topics: [...log.topics] },
        { ...foreign, topics: [] },
      ],
      account,
    ),
  ).toBe(375 + 2 * 375 + 2 * 8)

  const state: Touched = {
    touched: {
      [lower]: { storage: { '0x01': '0x05', '0x02': '0x00', '0x03': '0x07', '0x04': '0x01' } },
    },
    before: { [lower]: { storage: { '0x03': '0x07', '0x04': '0x01' } } },
    after: { [lower]: { storage: { '0x02': '0x09', '0x03': '0x08' } } },
  }
  // Slot 1 is only read, 2 filled, 3 changed, 4 cleared.
  expect(slotGas(state, account)).toEqual({
    gas: 4 * 2_100 + 20_000 + 2 * 2_900,
    refund: 4_800,
  })
})
