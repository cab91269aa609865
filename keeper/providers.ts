import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { Hex } from 'viem'
import type { Optimizer } from '../providers/grpo/provider.ts'
import { createGate } from '../providers/host/gate.ts'
import { journalled } from '../providers/invocation.ts'
import { guarded, type Patience } from '../providers/guard.ts'
import type { Limits, WorldRuntimeProvider } from '../providers/provider.ts'
import { createOptimizer, createProvider, createVerifier } from '../providers/registry.ts'
import type { Verifier } from '../providers/replay/provider.ts'
import { LOCAL_ROLES } from '../providers/select.ts'
import { MultiverseError } from '../sdk/errors.ts'
import type { JournalEvent } from '../sdk/journal.ts'
import { COMPONENT, introduce, type KnownProvider } from './introductions.ts'
import { createLimiter, limited, type ProviderLimits } from './limits.ts'
import { belonging, type VerseIndex } from './jobs/verses.ts'
import { beginningAt } from './origins.ts'
import type { PlannedOrigin } from './store/partitions.ts'
import { createWarmWorlds, type WarmWorlds } from './warm.ts'

/** Time that a verifier gives a step, in the limits that the step had: a busy machine must not make a liar of a world. */
const PATIENCE = 4

/** The providers that a keeper works with, opened. Nothing of what they do is journalled yet. */
export type Backends = {
  worlds: readonly WorldRuntimeProvider[]
  verifier: Verifier
  limits: Limits
  /** The chain's; absent where no partitions are worked on. */
  chainUrl?: string | undefined
  /** Where the optimiser keeps its links. */
  optimizerDir: string
  shutdown: () => Promise<void>
}

/** The providers as the jobs use them: every call is journalled. */
export type Providers = {
  /** Names of the backends of worlds, the preferred one first. */
  ids: readonly string[]
  /** A backend of worlds. @throws PROVIDER_MISSING when this keeper has none of that name */
  worlds: (id: string) => WorldRuntimeProvider
  /** The same, with new worlds that begin from a block of the chain. */
  worldsAt: (id: string, origin: PlannedOrigin) => WorldRuntimeProvider
  /** Limits of one run in a world, and of one of its re-executions. */
  limits: Limits
  replayLimits: Limits
  verifier: Verifier
  /** An optimiser for one lane: its rollouts are journalled as that verse's. To be shut down after use. */
  optimizer: (worldsId: string, verse: Hex, origin?: PlannedOrigin) => Promise<Optimizer>
  /** Lets only as many lanes run, or be verified, at a time as the machine has cores for. */
  turn: <T>(work: () => Promise<T>) => Promise<T>
  /** The same for lanes in training, which takes long: the others do not wait behind them. */
  trainingTurn: <T>(work: () => Promise<T>) => Promise<T>
  /**
   * Has the verifier's processes started, and worlds of a seed kept ready where the backend boots slowly. A world that is made
   * has its own seed's kept ready.
   */
  warm: (seed: bigint) => void
  /** What the journal is to say of all of them at the start. */
  introductions: readonly JournalEvent[]
  /** Cuts off what runs. */
  shutdown: () => Promise<void>
}

/**
 * Opens the named backends of worlds, and the verifier, side by side. All or none stay open.
 * @throws UNKNOWN_PROVIDER, PROVIDER_FAILED and what else a backend says when it cannot run here
 */
export async function openBackends({
  ids,
  folder,
  limits,
  chainUrl,
  cpuShare = 1,
  verifiers = null,
}: {
  ids: readonly string[]
  folder: string
  limits: Limits
  chainUrl?: string
  /** Of one core, for a run in a backend that can hold it to that. */
  cpuShare?: number
  /** Processes that verify; null for one for each core. */
  verifiers?: number | null
}): Promise<Backends> {
  const around = chainUrl === undefined ? {} : { chainUrl }
  const worlds = await Promise.all(ids.map((id) => createProvider(id, around)))
  const dataDirOf = (id: string) => join(folder, id)
  const patient = { ...limits, timeMs: limits.timeMs * PATIENCE }
  const verifier = await createVerifier(LOCAL_ROLES.validator, {
    worlds: Object.fromEntries(ids.map((id) => [id, { dataDir: dataDirOf(id), limits: patient }])),
    ...(verifiers === null ? {} : { processes: verifiers }),
  })
  const all = [...worlds, verifier]
  const opened = await Promise.allSettled(
    all.map((provider) =>
      // The verifier's limit is on whole lanes, and its own.
      provider.init({
        dataDir: dataDirOf(provider.id),
        ...(provider === verifier ? {} : { limits }),
        ...(cpuShare < 1 && provider.capabilities().rates?.includes('cpuShare')
          ? { rates: { cpuShare } }
          : {}),
      }),
    ),
  )
  const shutdown = async () => {
    await Promise.all(all.map((provider) => provider.shutdown()))
  }
  const failed = opened.find((each) => each.status === 'rejected')
  if (failed) {
    await shutdown()
    throw failed.reason
  }
  const optimizerDir = dataDirOf(LOCAL_ROLES.coordinator)
  return { worlds, verifier, limits, chainUrl, optimizerDir, shutdown }
}

/** Links the keeper to its providers and has all they do journalled. */
export async function employ(
  { worlds: raw, verifier, limits, chainUrl, optimizerDir }: Backends,
  options: {
    write: (event: JournalEvent) => void
    /** Every provider that the registry knows, as it is on this machine. */
    known: readonly KnownProvider[]
    verses: VerseIndex
    /** Worlds kept ready of each backend that boots slowly. */
    warmWorlds: number
    /** What each may be asked for, by its name. */
    providerLimits?: ReadonlyMap<string, ProviderLimits>
    /** With providers that do not answer. */
    patience?: Patience | undefined
    onCreated: (providerId: string, start: 'cold' | 'warm', ms: number) => void
    onError: (error: unknown) => void
  },
): Promise<Providers> {
  const { write, verses } = options
  const limiters = new Map(
    raw.map(({ id }) => [id, createLimiter(options.providerLimits?.get(id) ?? UNLIMITED)]),
  )
  const limiterOf = (id: string) => limiters.get(id)!
  const byId = new Map<string, WorldRuntimeProvider>()
  const pools: WarmWorlds[] = []
  for (const provider of raw) {
    const careful = guarded(provider, limits, options.patience ?? PATIENT)
    const told = journalled(careful, write, { verseOf: verses.of })
    const pool = createWarmWorlds(limited(told, limiterOf(provider.id)), {
      size: BOOTS_SLOWLY.includes(provider.id) ? options.warmWorlds : 0,
      component: COMPONENT,
      onCreated: (start, ms) => options.onCreated(provider.id, start, ms),
      onError: options.onError,
    })
    pools.push(pool)
    byId.set(provider.id, pool.provider)
  }
  const worlds = (id: string) => {
    const provider = byId.get(id)
    if (!provider)
      throw new MultiverseError(
        'PROVIDER_MISSING',
        `this keeper has no worlds of ${id}, only of ${[...byId.keys()].join(', ')}: see KEEPER_PROVIDERS`,
        // It goes on when it is started with the provider again.
        { isRetryable: true },
      )
    return provider
  }
  let isOver = false
  /** What fails here says so to the lane that needs it. */
  const unready = (error: unknown) => {
    if (!isOver) options.onError(error)
  }
  const urlOfChain = () => {
    if (chainUrl === undefined) throw new Error('no chain was named to begin worlds from')
    return chainUrl
  }
  const rawOf = (worldsId: string) => raw.find(({ id }) => id === worldsId)!
  const openOptimizer = async (on: WorldRuntimeProvider) => {
    const optimizer = await createOptimizer(LOCAL_ROLES.coordinator, { worlds: on })
    await optimizer.init({ dataDir: optimizerDir })
    return optimizer
  }
  const optimizer = await openOptimizer(raw[0]!)
  const introductions = await introduce([...raw, verifier, optimizer], options.known)
  await optimizer.shutdown()

  return {
    ids: [...byId.keys()],
    worlds,
    worldsAt: (id, origin) => beginningAt(worlds(id), rawOf(id), urlOfChain(), origin),
    limits,
    replayLimits: { ...limits, timeMs: limits.timeMs * PATIENCE },
    verifier,
    optimizer: (worldsId, verse, origin) => {
      worlds(worldsId)
      const own = rawOf(worldsId)
      const told = journalled(own, write, { verseOf: () => verse })
      const rollouts = limited(belonging(told, verses, verse), limiterOf(worldsId))
      return openOptimizer(
        origin === undefined ? rollouts : beginningAt(rollouts, own, urlOfChain(), origin),
      )
    },
    turn: createGate(availableParallelism()),
    trainingTurn: createGate(availableParallelism()),
    warm: (seed) => {
      for (const pool of pools) pool.keep(seed)
      verifier.warm(raw.slice(0, 1).map(({ id }) => id)).catch(unready)
    },
    introductions,
    shutdown: async () => {
      isOver = true
      for (const limiter of limiters.values()) limiter.close()
      await Promise.all([...byId.values(), verifier].map((provider) => provider.shutdown()))
    },
  }
}

/** Long beside what any provider takes: a call that is given up is done over. */
const PATIENT: Patience = { answerMs: 120_000, runMs: 60_000 }

const UNLIMITED: ProviderLimits = { concurrency: null, perMinute: null }

/** A fresh world of the others is there within milliseconds. */
const BOOTS_SLOWLY = ['gvisor', 'microvm']
