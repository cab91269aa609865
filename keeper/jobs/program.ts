import type { WorldRuntimeProvider } from '../../providers/provider.ts'
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

/**
 * Runs a verse's program in an instance. What the program does wrong is in what it comes to.
 * @throws what the provider fails with by itself
 */
export async function runVerse(
  provider: WorldRuntimeProvider,
  instanceId: string,
  spec: Spec,
  outcome: number,
  parameters?: readonly number[],
): Promise<WorldOutcome> {
  const begun = performance.now()
  const took = () => performance.now() - begun
  try {
    const code = verseCode(spec, outcome, parameters)
    const { value, stateRoot } = await provider.execute(instanceId, code, { component: COMPONENT })
    const cost = costOf(value).toString()
    const valueHash = hashValue(value)
    return { outcome, stateRoot, cost, error: null, tookMs: took(), valueHash }
  } catch (error) {
    const fault = programFault(error)
    if (!fault) throw error
    return { outcome, stateRoot: null, cost: null, error: fault, tookMs: took() }
  }
}
