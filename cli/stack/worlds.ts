import { listProviders } from '../../providers/registry.ts'
import type { Language } from '../../providers/scenarios/scenario.ts'
import { MultiverseError } from '../../sdk/errors.ts'

/** Backends of worlds that a stack can be started with. */
export const PROVIDERS = ['quickjs', 'gvisor', 'microvm', 'evm'] as const
export type ProviderId = (typeof PROVIDERS)[number]

/** What all else runs in: specs that the chosen backend cannot run, and worlds that an earlier run left. */
const FALLBACK: ProviderId = 'quickjs'

/** Which of the default scenario's languages each runs. */
const LANGUAGES: Record<ProviderId, Language | null> = {
  quickjs: 'javascript',
  gvisor: 'python',
  microvm: 'javascript',
  evm: null,
}

/** The keeper's own list, in order of preference. */
export function keeperProviders(provider: ProviderId): string {
  return [...new Set([provider, FALLBACK])].join(',')
}

/**
 * Makes sure that worlds of a backend can run on this machine, before anything is started.
 * @throws PROVIDER_UNAVAILABLE with what is missing and how to get it
 */
export async function requireProvider(provider: ProviderId): Promise<void> {
  const [row] = await listProviders(process.env, [provider])
  if (row!.status !== 'available')
    throw new MultiverseError(
      'PROVIDER_UNAVAILABLE',
      `worlds of ${provider} cannot run here: ${row!.reason}`,
    )
}

/** The language in which a backend plays the default scenario. @throws NO_SCENARIO */
export function scenarioLanguage(provider: ProviderId): Language {
  const language = LANGUAGES[provider]
  if (language === null)
    throw new MultiverseError(
      'NO_SCENARIO',
      `worlds of ${provider} run transactions, and the default scenario is written in JavaScript and Python`,
    )
  return language
}
