import { type Gf3, gf3, type Trit } from '../sdk/gf3.ts'

/** A member of a bundle. Its trit is the one it has there: elsewhere it may stand for something else. */
export type Member = { id: string; trit: Trit }

/** Things that belong together, and whose trits are to sum to 0. */
export type Bundle = { id: string; name: string; members: readonly Member[] }

const bundle = (id: string, name: string, ...members: [id: string, trit: Trit][]): Bundle => ({
  id,
  name,
  members: members.map(([member, trit]) => ({ id: member, trit })),
})

/** The seeds' triads and their bundle of five, and our own of local providers. Members are in the seeds' order. */
export const BUNDLES: readonly Bundle[] = [
  bundle('core-runtime', 'Core Runtime', ['gensyn', -1], ['primeintellect', 0], ['morph', 1]),
  bundle('inference', 'Inference Pipeline', ['ritual', -1], ['primeintellect', 0], ['modal', 1]),
  bundle('wev', 'WEV Pipeline', ['gensyn', -1], ['world-extractable-value', 0], ['morph', 1]),
  bundle(
    'full',
    'Full Pipeline',
    ['ritual', -1],
    ['gensyn', -1],
    ['modal', 1],
    ['morph', 1],
    ['primeintellect', 0],
  ),
  bundle('local', 'Local Pipeline', ['replay', -1], ['grpo', 0], ['quickjs', 1]),
  bundle(
    'core',
    'Core',
    ['ramanujan-expander', -1],
    ['world-extractable-value', 0],
    ['world-runtime', 1],
  ),
  bundle('branching', 'Branching', ['three-match', -1], ['world-hopping', 0], ['world-runtime', 1]),
  bundle(
    'cobordism',
    'Cobordism',
    ['polyglot-spi', -1],
    ['mdm-cobordism', 0],
    ['world-runtime', 1],
  ),
  bundle('tracing', 'Tracing', ['shadow-goblin', -1], ['chromatic-walk', 0], ['world-runtime', 1]),
  bundle('state', 'State', ['temporal-coalgebra', -1], ['acsets', 0], ['world-runtime', 1]),
]

/** Whether a bundle is conserved, balanced, a triad. */
export function judge({ members }: Pick<Bundle, 'members'>): Gf3 {
  return gf3(members.map(({ trit }) => trit))
}

/** One call of a provider, as the journal has it. */
export type Call = { providerId: string; verseId: string | null; error: unknown }

/** A lane's providers and what they come to. */
export type LaneBalance = Gf3 & { verseId: string; providers: string[] }

/**
 * The trits of each lane of a run: of the distinct providers that succeeded in it, whatever the number of their calls. Calls
 * that are for no verse count in no lane.
 * @param tritOf a provider's trit
 */
export function laneBalances(
  calls: readonly Call[],
  tritOf: (providerId: string) => Trit,
): LaneBalance[] {
  const lanes = new Map<string, Set<string>>()
  for (const { providerId, verseId, error } of calls) {
    if (verseId === null) continue
    const lane = lanes.get(verseId) ?? new Set()
    lanes.set(verseId, lane)
    if (error === null) lane.add(providerId)
  }
  return [...lanes].map(([verseId, providers]) => ({
    verseId,
    providers: [...providers],
    ...gf3([...providers].map(tritOf)),
  }))
}
