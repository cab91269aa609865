import type { HostCall, WorldRuntimeProvider } from '../../providers/provider.ts'
import { hashValue } from '../../providers/replay/lane.ts'
import { programCode, type Spec } from '../../sdk/spec.ts'
import { COMPONENT } from '../introductions.ts'
import type { WorldOutcome } from '../store/partitions.ts'
import { costOf, programFault } from './outcome.ts'

/** What a verse's world runs; `parameters` take the place of its own strategy. */
export function verseCode(spec: Spec, outcome: number, parameters?: readonly number[]): string {
  const { name, strategy, trit } = spec.verses[outcome]!
  return programCode(spec, { name, strategy, trit, outcome }, parameters)
}

/** What makes a run differ from the verse's own first one. */
export type Again = {
  /** Take the place of the verse's own strategy. */
  parameters?: readonly number[] | undefined
  /** What functions of the host answered in an earlier run that is to be done over. */
  answers?: readonly HostCall[]
}

/**
 * Runs a verse's program in an instance. What the program does wrong is in what it comes to.
 * @throws what the provider fails with by itself
 */
export async function runVerse(
  provider: WorldRuntimeProvider,
  instanceId: string,
  spec: Spec,
  outcome: number,
  { parameters, answers }: Again = {},
): Promise<WorldOutcome> {
  const begun = performance.now()
  const took = () => performance.now() - begun
  try {
    const code = verseCode(spec, outcome, parameters)
    const { value, stateRoot, calls } = await provider.execute(instanceId, code, {
      component: COMPONENT,
      ...(answers === undefined ? {} : { answers }),
    })
    const cost = costOf(value).toString()
    const valueHash = hashValue(value)
    const made = calls === undefined ? {} : { calls }
    return { outcome, stateRoot, cost, error: null, tookMs: took(), valueHash, ...made }
  } catch (error) {
    const fault = programFault(error)
    if (!fault) throw error
    return { outcome, stateRoot: null, cost: null, error: fault, tookMs: took() }
  }
}
