import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import { parseCost, type Spec } from '../../sdk/spec.ts'
import type { Failure, PartitionRecord, WorldOutcome } from '../store/partitions.ts'

/** What a verse can be blamed for; everything else is the provider's failure and may go well the next time. */
const PROGRAM_FAULTS = [
  'PROGRAM_ERROR',
  'EXECUTION_TIMEOUT',
  'OUT_OF_MEMORY',
  'RESULT_INVALID',
  'LINK_DENIED',
  'FUNCTION_NOT_LINKED',
  'INVALID_COST',
]

/** What the worlds of a partition came to, as far as is known; null before they have run. */
export function lanesOf({ steps }: PartitionRecord): readonly WorldOutcome[] | null {
  for (const step of [steps.verify, steps.optimize, steps.execute])
    if (step?.isDone) return step.output.worlds
  return null
}

export function laneOf(record: PartitionRecord, outcome: number): WorldOutcome | undefined {
  return lanesOf(record)?.find((lane) => lane.outcome === outcome)
}

/** A longer message is cut: it may be a program's own words. */
const MAX_MESSAGE = 500

/** The program's fault as it is stored, or null when it is not the program's. */
export function programFault(error: unknown): Failure | null {
  if (!isMultiverseError(error) || !PROGRAM_FAULTS.includes(error.code)) return null
  return failure(error)
}

/** An error as it is stored: its code and one line. */
export function failure(error: unknown): Failure {
  const code = isMultiverseError(error) ? error.code : 'UNEXPECTED'
  const message = error instanceof Error ? error.message : String(error)
  return { code, message: (message.split('\n', 1)[0] ?? '').slice(0, MAX_MESSAGE) }
}

/** The cost in a program's result, 18 decimals. @throws INVALID_COST, RESULT_INVALID */
export function costOf(value: unknown): bigint {
  if (typeof value !== 'object' || value === null || !('cost' in value))
    throw new MultiverseError(
      'RESULT_INVALID',
      `a program must return {cost, …}, not ${JSON.stringify(value)?.slice(0, 80)}`,
    )
  return parseCost(value.cost)
}

/**
 * The pipeline's advisory choice: the lowest cost among the worlds that ran; of equals the lowest trit, then the first.
 * Null when none ran.
 */
export function pickWinner(spec: Spec, worlds: readonly WorldOutcome[]): number | null {
  const ran = worlds.filter(({ cost }) => cost !== null)
  const trit = ({ outcome }: WorldOutcome) => spec.verses[outcome]?.trit ?? 0
  const [best] = ran.toSorted((a, b) => {
    const difference = BigInt(a.cost!) - BigInt(b.cost!)
    if (difference !== 0n) return difference < 0n ? -1 : 1
    return trit(a) - trit(b) || a.outcome - b.outcome
  })
  return best?.outcome ?? null
}
