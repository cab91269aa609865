import { expect, test } from 'vitest'
import { figure, report, row, summarize, table, time, timePairs } from '../../bench/harness.ts'

test('summarize interpolates between closest ranks', () => {
  expect(summarize([4, 1, 3, 2])).toEqual({
    n: 4,
    min: 1,
    p25: 1.75,
    median: 2.5,
    p75: 3.25,
    p95: 3.8499999999999996,
    max: 4,
  })
  expect(() => summarize([])).toThrow('empty sample')
})

test('a report is ok only when every target is met', () => {
  const met = figure('a', 5, 'ms', { op: '<=', value: 5 })
  const missed = row('b', [1, 2, 3], 'MB', { op: '>=', value: 3 })
  expect(met.ok).toBe(true)
  expect(missed).toMatchObject({ value: 2, spread: 1, ok: false })
  expect(report('x', [met]).ok).toBe(true)
  expect(report('x', [met, missed]).ok).toBe(false)
  expect(table(report('x', [met, missed]))).toContain('MISSED')
})

test('warm-up runs are not counted', async () => {
  const seen: number[] = []
  const sample = await time(async (iteration) => seen.push(iteration), {
    warmup: 2,
    repetitions: 3,
  })
  expect(seen).toEqual([0, 1, 2, 3, 4])
  expect(sample).toHaveLength(3)
})

test('pairs alternate', async () => {
  const order: string[] = []
  const { ratios } = await timePairs(
    async () => order.push('a'),
    async () => order.push('b'),
    { warmup: 1, repetitions: 2 },
  )
  expect(order).toEqual(['a', 'b', 'a', 'b', 'a', 'b'])
  expect(ratios).toHaveLength(2)
})
