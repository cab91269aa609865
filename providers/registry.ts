import { MultiverseError, oneLine } from '../sdk/errors.ts'
import type { Optimizer } from './grpo/provider.ts'
import { locate } from './host/commands.ts'
import type { HostFunctions } from './host/functions.ts'
import type { WorldRuntimeProvider } from './provider.ts'
import type { ReplayOptions, Verifier } from './replay/provider.ts'
import { type ProviderRow, ROSTER } from './roster.ts'

/** What a provider's worlds can be given of their surroundings. */
export type Surroundings = {
  /** An RPC endpoint of the chain that questions are on: what links give to worlds looks there. */
  chainUrl?: string
  /** Runs that are asked for at a time; by default as many as there are cores. */
  concurrency?: number
}

/** Backends of worlds by name. One is loaded only when it is asked for, and its libraries with it. */
const worlds: Readonly<Record<string, (around: Surroundings) => Promise<WorldRuntimeProvider>>> = {
  quickjs: async (around) =>
    (await import('./quickjs/provider.ts')).createQuickjsProvider({
      functions: await functionsOf(around),
      ...(around.concurrency === undefined ? {} : { workers: around.concurrency }),
    }),
  gvisor: async () => (await import('./gvisor/provider.ts')).createGvisorProvider(),
  microvm: async () => (await import('./microvm/provider.ts')).createMicrovmProvider(),
  evm: async () => (await import('./evm/provider.ts')).createEvmProvider(),
}

const optimizers: Readonly<
  Record<string, (on: { worlds: WorldRuntimeProvider }) => Promise<Optimizer>>
> = {
  grpo: async (on) => (await import('./grpo/provider.ts')).createGrpoProvider(on),
}

const verifiers: Readonly<Record<string, (on: ReplayOptions) => Promise<Verifier>>> = {
  replay: async (on) => (await import('./replay/provider.ts')).createReplayProvider(on),
}

/** The names that {@link createProvider} knows. */
export const providerIds: readonly string[] = Object.keys(worlds)

/**
 * Makes a provider of worlds, not yet initialised.
 * @throws UNKNOWN_PROVIDER
 */
export async function createProvider(
  id: string,
  around: Surroundings = {},
): Promise<WorldRuntimeProvider> {
  return choose(worlds, id)(around)
}

async function functionsOf({ chainUrl }: Surroundings): Promise<HostFunctions> {
  if (chainUrl === undefined) return {}
  const { CHAIN_CALL, createChainCall } = await import('./host/chain.ts')
  return { [CHAIN_CALL]: createChainCall(chainUrl) }
}

/**
 * Makes an optimiser that works in a provider's worlds, not yet initialised.
 * @throws UNKNOWN_PROVIDER
 */
export async function createOptimizer(
  id: string,
  on: { worlds: WorldRuntimeProvider },
): Promise<Optimizer> {
  return choose(optimizers, id)(on)
}

/**
 * Makes a verifier of lanes of providers' worlds, not yet initialised.
 * @throws UNKNOWN_PROVIDER
 */
export async function createVerifier(id: string, on: ReplayOptions): Promise<Verifier> {
  return choose(verifiers, id)(on)
}

/**
 * Whether a provider can be used on this machine now; `reason` is one line, empty when it can. What is `installed` has all its
 * programs here, but was not made to prove that they work.
 */
export type Status = {
  status: 'available' | 'installed' | 'no-credentials' | 'unavailable'
  reason: string
}

/** How hard to look: engines that boot slowly prove themselves by running something, at a glance only by being there. */
export type Look = 'proof' | 'glance'

type Environment = Readonly<Record<string, string | undefined>>

/** What can be used here: local providers that have what they need, remote ones never without credentials. */
async function statusOf(
  { id, kind, credentials }: ProviderRow,
  env: Environment,
  look: Look,
): Promise<Status> {
  const missing = credentials.filter((name) => !env[name])
  if (missing.length > 0)
    return { status: 'no-credentials', reason: `${missing.join(' and ')} not set` }
  if (kind === 'remote') return { status: 'unavailable', reason: `${id} has no adapter here` }
  const isProven = look === 'proof' || !Object.hasOwn(presence, id)
  const reason = isProven ? await faultOf(id) : await presence[id]!()
  if (reason !== null) return { status: 'unavailable', reason }
  return isProven
    ? { status: 'available', reason: '' }
    : { status: 'installed', reason: 'its programs are here; nothing has run in them' }
}

/**
 * The registry: every provider that is known, and whether it can be used now.
 * @param env where credentials are looked for
 * @throws UNKNOWN_PROVIDER when `ids` names one that is not known
 */
export async function listProviders(
  env: Environment,
  ids: readonly string[] = ROSTER.map((row) => row.id),
  look: Look = 'proof',
): Promise<(ProviderRow & Status)[]> {
  return Promise.all(
    ids.map(async (id) => {
      const row = ROSTER.find((each) => each.id === id)
      if (row === undefined)
        throw unknownProvider(
          id,
          ROSTER.map((each) => each.id),
        )
      return { ...row, ...(await statusOf(row, env, look)) }
    }),
  )
}

/** Why the programs of an engine that takes long to prove itself are not here; null when they are. */
const presence: Readonly<Record<string, () => Promise<string | null>>> = {
  gvisor: async () => ((await locate('runsc')) === null ? 'there is no runsc' : null),
  microvm: async () => {
    const { engines, faults } = await (await import('./microvm/engines.ts')).findEngines({})
    return engines.length === 0 ? faults.join('; ') : null
  },
}

/** Why a local provider cannot run here; null when it can. */
async function faultOf(id: string): Promise<string | null> {
  if (id === 'gvisor') {
    const detected = await (await import('./gvisor/engine.ts')).detectGvisor()
    return detected.available ? null : `${detected.reason}: ${detected.install}`
  }
  if (id === 'microvm') {
    const detected = await (await import('./microvm/detect.ts')).detectMicrovm()
    return detected.available ? null : `${detected.reason}: ${detected.install}`
  }
  if (id === 'evm') {
    try {
      ;(await import('./evm/binary.ts')).anvilBinary()
    } catch (error) {
      return oneLine(error)
    }
  }
  return null
}

function choose<factory>(factories: Readonly<Record<string, factory>>, id: string): factory {
  const factory = Object.hasOwn(factories, id) ? factories[id] : undefined
  if (factory === undefined) throw unknownProvider(id, Object.keys(factories))
  return factory
}

function unknownProvider(id: string, known: readonly string[]): MultiverseError {
  return new MultiverseError(
    'UNKNOWN_PROVIDER',
    `no provider ${id}; there are: ${known.join(', ')}`,
  )
}
