import { expect, test } from 'vitest'
import { BACKENDS } from '../../bench/worlds/backends.ts'
import type { Measured } from '../../bench/worlds/measure.ts'
import { matrix, rowsOf } from '../../bench/worlds/table.ts'

const measured: Measured = {
  id: 'quickjs',
  isolation: 'wasm',
  samples: { snapshot: [1, 2, 9], 'branch 3': [0.5], lane: [10, 10], verify: [25, 25] },
  crowd: { branches: 10, ms: 3 },
  branchBytes: { own: 1_048_576, pss: 2_097_152 },
  privateShare: null,
}
const backend = BACKENDS.find(({ id }) => id === 'quickjs')!

test('what vendors declare stands in lines of its own, never among what was measured', () => {
  const [measuredHead, own, declaredHead, ...vendors] = matrix([measured]).split('\n')
  expect(measuredHead).toContain('measured here')
  expect(own).toMatch(/^quickjs +2\.00 \/ 8\.30 +0\.50 \/ 0\.50 .*1\.00 MiB +wasm$/)
  expect(declaredHead).toContain('declared')
  expect(vendors.map((line) => line.split(' ')[0])).toEqual(
    expect.arrayContaining(['morph', 'modal', 'firecracker']),
  )
  expect(vendors.join('\n')).not.toContain('2.00')
})

test('rows carry targets, the ninety-fifth percentile and the vendors beside', () => {
  const rows = rowsOf(measured, backend)
  expect(rows.find(({ name }) => name === 'quickjs: snapshot')).toMatchObject({
    value: 2,
    ok: true,
    beside: {
      p95: expect.closeTo(8.3),
      'declared by vendors': expect.stringContaining('morph <250 ms'),
    },
  })
  // Twice the execution is the most that verification may take.
  expect(rows.find(({ name }) => name === 'quickjs: verify / execute')).toMatchObject({
    value: 2.5,
    ok: false,
  })
})
