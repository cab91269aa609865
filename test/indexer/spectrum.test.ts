import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { spectrum } from '../../indexer/analytics/spectrum.ts'

type Edge = [number, number]

const complete = (count: number): Edge[] =>
  range(count).flatMap((i) => range(i).map((j): Edge => [j, i]))
const cycle = (count: number): Edge[] => range(count).map((i): Edge => [i, (i + 1) % count])
const petersen: Edge[] = [
  ...cycle(5),
  ...range(5).map((i): Edge => [i, i + 5]),
  ...range(5).map((i): Edge => [5 + i, 5 + ((i + 2) % 5)]),
]

describe('graphs whose eigenvalues are known', () => {
  // K_n: n - 1 once and -1 otherwise. The seeds: K3 gives 4/3, K4 1.25, K5 1.2.
  test.each([
    [3, 4 / 3],
    [4, 1.25],
    [5, 1.2],
  ])('K%i has a price of anarchy of %d', (count, price) => {
    const found = spectrum(count, complete(count))
    expect(found.lambda1).toBeCloseTo(count - 1, 9)
    expect(found.lambda2).toBeCloseTo(-1, 9)
    expect(found.gap).toBeCloseTo(count, 9)
    expect(found.priceOfAnarchy).toBeCloseTo(price, 9)
    expect(found.isRamanujan).toBe(true)
    expect(found.mixingSteps).toBeCloseTo(Math.log(count) / Math.log(count - 1), 9)
  })

  test("Petersen's graph: 3, 1, -2", () => {
    const found = spectrum(10, petersen)
    expect([found.lambda1, found.lambda2, found.lambdaMin]).toEqual([
      expect.closeTo(3, 9),
      expect.closeTo(1, 9),
      expect.closeTo(-2, 9),
    ])
    expect(found.isRamanujan).toBe(true)
    expect(found.mixingSteps).toBeCloseTo(Math.log(10) / Math.log(3 / 2), 9)
  })

  test('a graph with two sides never mixes; a long cycle is no expander', () => {
    expect(spectrum(4, cycle(4))).toMatchObject({ mixingSteps: null, gap: expect.closeTo(2, 9) })
    expect(spectrum(9, cycle(9)).isRamanujan).toBe(true)
    // Two triangles, joined: 3-regular would need more edges, so it is not regular.
    expect(spectrum(6, [...complete(3), [3, 4], [4, 5], [3, 5], [2, 3]]).isRamanujan).toBeNull()
  })

  test('a graph in two pieces has no gap', () => {
    const found = spectrum(6, [...complete(3), [3, 4], [4, 5], [3, 5]])
    expect(found.gap).toBeCloseTo(0, 9)
    expect(found.priceOfAnarchy).toBeNull()
    expect(found.mixingSteps).toBeNull()
  })
})

test('whatever the graph: the greatest eigenvalue lies between the mean and the greatest degree', () => {
  const graph = fc
    .integer({ min: 2, max: 12 })
    .chain((count) => fc.tuple(fc.constant(count), fc.subarray(complete(count), { minLength: 1 })))
  fc.assert(
    fc.property(graph, ([count, edges]) => {
      const { lambda1, lambda2, lambdaMin } = spectrum(count, edges)
      const degrees = range(count).map((i) => edges.filter((edge) => edge.includes(i)).length)
      expect(lambda1).toBeGreaterThanOrEqual((2 * edges.length) / count - 1e-9)
      expect(lambda1).toBeLessThanOrEqual(Math.max(...degrees) + 1e-9)
      expect(lambda2).toBeLessThanOrEqual(lambda1)
      expect(Math.abs(lambdaMin)).toBeLessThanOrEqual(lambda1 + 1e-9)
    }),
  )
})

test.each([
  [1, []],
  [513, []],
  [3, [[0, 3]]],
  [3, [[1, 1]]],
] as [number, Edge[]][])('%i vertices, edges %j: refused', (count, edges) => {
  expect(() => spectrum(count, edges)).toThrow(expect.objectContaining({ code: 'GRAPH_INVALID' }))
})

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i)
}
