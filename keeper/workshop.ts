import type { LocalAccount } from 'viem'
import type { Patience } from '../providers/guard.ts'
import type { Deployment } from '../sdk/deployment.ts'
import type { JournalEvent } from '../sdk/journal.ts'
import type { Stores } from './books.ts'
import type { Rpc } from './chain/rpc.ts'
import type { Config } from './config.ts'
import { createJobs, type Jobs } from './jobs/jobs.ts'
import { createNames, type Names } from './jobs/key.ts'
import { createLanes } from './jobs/lanes.ts'
import { createKeyedLock } from './jobs/lock.ts'
import { createPipeline, type Pipeline } from './jobs/pipeline.ts'
import { createVerseIndex, type VerseIndex } from './jobs/verses.ts'
import { createWorlds, type Worlds } from './jobs/worlds/worlds.ts'
import { type Books, keepBooks } from './keeping.ts'
import { errorFields, type Log } from './log.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import type { Opened } from './opening.ts'
import { employ, type Providers } from './providers.ts'
import { createSending, type Sending } from './sending.ts'
import { createSpecLoader } from './specs.ts'
import type { Identity } from './store/identity.ts'
import { countDoubled } from './store/rivals.ts'
import { createSpecStore } from './store/specs.ts'

/** All that a keeper works with, over what was opened for it, and the work itself. Nothing of it runs before the jobs are started. */
export type Workshop = Pick<Books, 'chain' | 'partitions'> & {
  providers: Providers
  verses: VerseIndex
  worlds: Worlds
  names: Names
  metrics: Metrics
  sending: Sending
  jobs: Jobs
}

export type WorkshopOptions = Opened & {
  config: Config
  deployment: Deployment
  account: LocalAccount
  confirmations: number
  pollMs: number
  rpc: Rpc
  identity: Identity
  stores: Stores
  patience: Patience | undefined
  through: ((books: Books) => Books) | undefined
  /** The newest block that the endpoint told of. */
  newestSeen: () => number | null
  isStopping: () => boolean
  log: Log
}

/** @throws what the providers throw when they are introduced */
export async function openWorkshop(options: WorkshopOptions): Promise<Workshop> {
  const { config, deployment, account, confirmations, pollMs, rpc, db, identity } = options
  const { stores, backends, listed, patience, through, log } = options
  const { chainId, addresses } = deployment
  const { journal, queue } = stores
  const verses = createVerseIndex()
  const told = (event: JournalEvent) => {
    if (event.kind === 'provider.invoked') metrics.invoked(event)
    journal.defer(event)
  }
  const providers = await employ(backends, {
    write: told,
    known: listed,
    providerLimits: config.providerLimits,
    patience,
    verses,
    warmWorlds: config.warmWorlds,
    onCreated: (provider, start, ms) => metrics.created(provider, start, ms),
    onError: (error) => log.warn(errorFields(error), 'world.unready'),
  })
  for (const event of providers.introductions) journal.defer(event)

  const { multiverse } = addresses
  const { duties, redemptions } = stores
  const { chain, partitions, answers, txs, flows } = keepBooks({
    db,
    stores,
    chainId,
    multiverse,
    confirmations,
    through,
    log,
  })
  const specs = createSpecStore(db)
  const locked = createKeyedLock()
  const names = createNames(identity.keeperId)
  const worlds = createWorlds({
    providers,
    verses,
    partitions,
    names,
    locked,
    ensureExecuted: (key) => pipeline.ensureExecuted(key),
    log,
  })
  const lanes = createLanes({ providers, worlds, write: told, log })
  const metrics = createMetrics({
    headBlock: () => chain.view().head?.number ?? null,
    headTime: () => chain.view().head?.timestamp ?? null,
    partitions: () => partitions.counts(),
    jobs: () => queue.counts(),
    liveWorlds: () => worlds.list().length,
    lag: () => {
      const newest = options.newestSeen()
      return newest === null ? null : Math.max(0, newest - (chain.view().head?.number ?? 0))
    },
    deadLetters: () => stores.failures.dead(),
    doubled: () => countDoubled(db),
    transactions: () => txs.counts(),
    account: () => sender.conditions(),
  })
  const sending = createSending({ config, deployment, account, rpc, txs, pollMs, metrics, log })
  const { sender } = sending
  const loadSpec = createSpecLoader({
    ipfsGateway: config.ipfsGateway,
    timeoutMs: config.specTimeoutMs,
    allowPrivateUrls: config.allowPrivateUrls,
  })
  const pipeline: Pipeline = createPipeline({
    partitions,
    specs,
    worlds,
    lanes,
    loadSpec,
    metrics,
    log,
  })
  const jobs = createJobs({
    config,
    db,
    queue,
    rpc,
    chain,
    partitions,
    answers,
    specs,
    failures: stores.failures,
    journal,
    worlds,
    pipeline,
    names,
    locked,
    sender,
    loadSpec,
    account,
    deployment,
    flows,
    duties,
    redemptions,
    confirmations,
    isStopping: options.isStopping,
    metrics,
    log,
  })

  return { chain, partitions, providers, verses, worlds, names, metrics, sending, jobs }
}
