import { MultiverseError } from '../sdk/errors.ts'
import type { WorldRuntimeProvider } from './provider.ts'

/** Backends by name. One is loaded only when it is asked for, and its libraries with it. */
const factories: Readonly<Record<string, () => Promise<WorldRuntimeProvider>>> = {
  quickjs: async () => (await import('./quickjs/provider.ts')).createQuickjsProvider(),
}

/** The names that {@link createProvider} knows. */
export const providerIds: readonly string[] = Object.keys(factories)

/**
 * Makes a provider, not yet initialised.
 * @throws UNKNOWN_PROVIDER
 */
export async function createProvider(id: string): Promise<WorldRuntimeProvider> {
  const factory = Object.hasOwn(factories, id) ? factories[id] : undefined
  if (factory === undefined)
    throw new MultiverseError(
      'UNKNOWN_PROVIDER',
      `no provider ${id}; there are: ${providerIds.join(', ')}`,
    )
  return factory()
}
