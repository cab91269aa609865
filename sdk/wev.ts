import type { Hex } from 'viem'
import { MultiverseError } from './errors.ts'
import { outcomesIn, type Path } from './ids.ts'

/** One, in 18-decimal fixed point. */
export const WAD = 10n ** 18n

/** What measured costs say. All in 18-decimal fixed point, rounded towards zero. */
export type CostWev = {
  /** C_nash / C_optimal as measured; null when C_optimal is 0. */
  priceOfAnarchy: bigint | null
  /** priceOfAnarchy - 1, clamped at 0; null when C_optimal is 0. */
  wevRatio: bigint | null
  /** C_nash - C_optimal, as measured: negative when the optimum was none. */
  wevAbs: bigint
  /** True when the world meant to be optimal cost more than the nash one. */
  isInverted: boolean
}

/** World extractable value from the measured costs of the nash and the optimal verse (18 decimals, not negative). */
export function costWev(nash: bigint, optimal: bigint): CostWev {
  if (nash < 0n || optimal < 0n)
    throw new MultiverseError('NEGATIVE_COST', `costs must not be negative: ${nash}, ${optimal}`)
  const wevAbs = nash - optimal
  const isInverted = wevAbs < 0n
  if (optimal === 0n) return { priceOfAnarchy: null, wevRatio: null, wevAbs, isInverted }
  const wevRatio = isInverted ? 0n : (wevAbs * WAD) / optimal
  return { priceOfAnarchy: (nash * WAD) / optimal, wevRatio, wevAbs, isInverted }
}

/** One owner's amount of one token in one verse. */
export type Holding = { owner: string; path: Path; amount: bigint }

/**
 * The seeds' literal pull-up figure: the sum of all balances in verses that lose by `question` being answered with
 * `winner`, descendants included. Nobody can be paid it.
 */
export function wevNominal(holdings: readonly Holding[], question: Hex, winner: number): bigint {
  return holdings
    .filter(({ path }) =>
      path.some((step) => step.question === question && step.outcome !== winner),
    )
    .reduce((sum, { amount }) => sum + amount, 0n)
}

/** What a token's holders have in every combination of answers still possible. */
export type Exposure = {
  /** The same in every combination: what was pushed down from ROOT and is not yet pulled up. */
  total: bigint
  /** The least each owner holds in any combination. */
  floors: Map<string, bigint>
  /** total minus the sum of floors: the value that the answers move between owners. */
  realized: bigint
}

const MAX_COMBINATIONS = 65_536

/**
 * Walks every combination of answers still possible. `holdings` are all holdings of one token; `live` gives the bit mask
 * of the outcomes still possible for each question they name.
 * @throws TOO_MANY_COMBINATIONS above 65,536; UNBALANCED_HOLDINGS when two combinations hold different totals, which the
 * ledger's first invariant forbids; UNKNOWN_QUESTION when `live` misses one.
 */
export function exposure(holdings: readonly Holding[], live: ReadonlyMap<Hex, bigint>): Exposure {
  const questions = [...new Set(holdings.flatMap(({ path }) => path.map((step) => step.question)))]
  const choices = questions.map((question) => {
    const mask = live.get(question)
    if (mask === undefined)
      throw new MultiverseError('UNKNOWN_QUESTION', `no live outcomes given for ${question}`)
    return outcomesIn(mask)
  })
  const combinations = choices.reduce((product, each) => product * each.length, 1)
  if (combinations > MAX_COMBINATIONS)
    throw new MultiverseError(
      'TOO_MANY_COMBINATIONS',
      `${combinations} combinations are more than ${MAX_COMBINATIONS}`,
    )
  const owners = new Set(holdings.map(({ owner }) => owner))
  const floors = new Map<string, bigint>()
  let total: bigint | undefined
  for (const combination of combine(choices)) {
    const answers = new Map(questions.map((question, index) => [question, combination[index]]))
    const held = new Map<string, bigint>([...owners].map((owner) => [owner, 0n]))
    for (const { owner, path, amount } of holdings)
      if (path.every((step) => answers.get(step.question) === step.outcome))
        held.set(owner, held.get(owner)! + amount)
    const sum = [...held.values()].reduce((a, b) => a + b, 0n)
    if (total !== undefined && sum !== total)
      throw new MultiverseError(
        'UNBALANCED_HOLDINGS',
        `one combination holds ${sum}, another ${total}`,
      )
    total = sum
    for (const [owner, amount] of held) {
      const floor = floors.get(owner)
      if (floor === undefined || amount < floor) floors.set(owner, amount)
    }
  }
  const floorSum = [...floors.values()].reduce((a, b) => a + b, 0n)
  return { total: total ?? 0n, floors, realized: (total ?? 0n) - floorSum }
}

function* combine(choices: readonly number[][]): Generator<number[]> {
  const [first, ...rest] = choices
  if (first === undefined) {
    yield []
    return
  }
  for (const choice of first) for (const tail of combine(rest)) yield [choice, ...tail]
}

/** Spectral figures of a d-regular Ramanujan graph; `gap` 0 leaves the price of anarchy unbounded (null). */
export type SpectralWev = { gap: number; priceOfAnarchy: number | null; wev: number | null }

/** The seeds' heuristic, never to be mixed with the measured price of anarchy: PoA = 1 + 1/gap of a spectral gap. */
export function spectralWev(gap: number): SpectralWev {
  if (gap <= 0) return { gap, priceOfAnarchy: null, wev: null }
  return { gap, priceOfAnarchy: 1 + 1 / gap, wev: 1 / gap }
}

/** The gap of a d-regular graph at the Ramanujan bound: d - 2 sqrt(d - 1). */
export function ramanujanGap(degree: number): number {
  return degree - 2 * Math.sqrt(degree - 1)
}
