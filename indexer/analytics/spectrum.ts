import { EigenvalueDecomposition, Matrix } from 'ml-matrix'
import { MultiverseError } from '../../sdk/errors.ts'
import { spectralWev } from '../../sdk/wev.ts'

/** What the eigenvalues of an undirected graph say about walking on it. Steps and values have no unit. */
export type Spectrum = {
  /** The adjacency matrix's greatest eigenvalue: the degree of a regular graph. */
  lambda1: number
  lambda2: number
  lambdaMin: number
  /** lambda1 - lambda2. */
  gap: number
  /** Whether no eigenvalue but ±lambda1 exceeds 2√(degree - 1); null for a graph that is not regular. */
  isRamanujan: boolean | null
  /**
   * Steps until a walk has forgotten where it began, ln n / ln(1/λ), λ the walk's greatest eigenvalue below 1 by size.
   * 0 when one step is enough, null when it never does (the graph falls apart, or has two sides).
   */
  mixingSteps: number | null
  /** The seeds' heuristic 1 + 1/gap, which is no theorem; null without a gap. */
  priceOfAnarchy: number | null
}

/** More vertices than this would take seconds. */
export const MAX_VERTICES = 512

const EPSILON = 1e-9

/**
 * The spectrum of the graph on vertices 0 to `count` - 1.
 * @throws GRAPH_INVALID for an edge to a vertex that is not there or to itself, for fewer than 2 or too many vertices
 */
export function spectrum(count: number, edges: readonly (readonly [number, number])[]): Spectrum {
  if (!Number.isSafeInteger(count) || count < 2 || count > MAX_VERTICES)
    throw new MultiverseError('GRAPH_INVALID', `a graph of ${count} vertices: 2 to ${MAX_VERTICES}`)
  const adjacency = Matrix.zeros(count, count)
  for (const [from, to] of edges) {
    if (from === to || !isVertex(from, count) || !isVertex(to, count))
      throw new MultiverseError(
        'GRAPH_INVALID',
        `no edge from ${from} to ${to} of ${count} vertices`,
      )
    adjacency.set(from, to, 1)
    adjacency.set(to, from, 1)
  }
  const degrees = adjacency.sum('row')
  const values = eigenvalues(adjacency)
  const [lambda1 = 0, lambda2 = 0] = values
  const gap = lambda1 - lambda2
  const [degree = 0] = degrees
  const isRegular = degrees.every((each) => each === degree)
  return {
    lambda1,
    lambda2,
    lambdaMin: values.at(-1) ?? 0,
    gap,
    isRamanujan: isRegular && degree > 0 ? isRamanujan(values, degree) : null,
    mixingSteps: mixingSteps(adjacency, degrees),
    priceOfAnarchy: spectralWev(gap > EPSILON ? gap : 0).priceOfAnarchy,
  }
}

function isRamanujan(values: readonly number[], degree: number): boolean {
  const bound = 2 * Math.sqrt(degree - 1)
  return values.every(
    (value) => Math.abs(Math.abs(value) - degree) < EPSILON || Math.abs(value) <= bound + EPSILON,
  )
}

/** The walk's own matrix is similar to D^-½ A D^-½, which is symmetric. */
function mixingSteps(adjacency: Matrix, degrees: readonly number[]): number | null {
  if (degrees.includes(0)) return null
  const count = degrees.length
  const walk = Matrix.zeros(count, count)
  for (let i = 0; i < count; i += 1)
    for (let j = 0; j < count; j += 1)
      walk.set(i, j, adjacency.get(i, j) / Math.sqrt((degrees[i] ?? 1) * (degrees[j] ?? 1)))
  const [, ...others] = eigenvalues(walk)
  const slowest = Math.max(...others.map((value) => Math.abs(value)))
  if (slowest > 1 - EPSILON) return null
  return slowest < EPSILON ? 0 : Math.log(count) / -Math.log(slowest)
}

/** Of a symmetric matrix, the greatest first. */
function eigenvalues(matrix: Matrix): number[] {
  const { realEigenvalues } = new EigenvalueDecomposition(matrix, { assumeSymmetric: true })
  return realEigenvalues.toSorted((a, b) => b - a)
}

function isVertex(index: number, count: number): boolean {
  return Number.isSafeInteger(index) && index >= 0 && index < count
}
