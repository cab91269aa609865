import type { Address, Hex } from 'viem'
import type { Deployment } from '../sdk/deployment.ts'
import type { BooksApi } from './books.ts'
import type { Follower } from './chain/follow.ts'
import type { Config } from './config.ts'
import type { Service } from './http.ts'
import type { Jobs } from './jobs/jobs.ts'
import type { Names } from './jobs/key.ts'
import { balancesOf, laneVerses } from './jobs/lanes.ts'
import type { Worlds } from './jobs/worlds/worlds.ts'
import type { Metrics } from './metrics.ts'
import { notReady } from './readiness.ts'
import type { Reconciler } from './reconcile.ts'
import type { ChainStore, ChainView } from './store/chain.ts'
import type { Database } from './store/database.ts'
import type { Journal } from './store/journal.ts'
import type { PartitionRecord, PartitionStore } from './store/partitions.ts'
import { partitionView } from './views.ts'

/** What the keeper answers over HTTP and its socket: the books' own answers, and what only a running keeper knows. */
export function createService(options: {
  config: Config
  deployment: Deployment
  address: Address
  db: Database
  books: BooksApi
  chain: ChainStore
  partitions: PartitionStore
  journal: Journal
  follower: Follower
  jobs: Jobs
  reconciler: Reconciler
  worlds: Worlds
  names: Names
  metrics: Metrics
}): Service {
  const { books, chain, db, follower, jobs, journal, metrics, partitions, worlds } = options

  const show = async (records: readonly PartitionRecord[]) => {
    const balances = balancesOf(await journal.calls(records.flatMap(laneVerses)))
    return records.map((record) => partitionView(record, balances, options.names))
  }

  return {
    ...books,
    notReady: () => notReady(follower, db),
    metrics: async () => ({ text: await metrics.text(), contentType: metrics.contentType }),
    journal: (after, limit) => journal.page(after, limit),
    answer: (question, outcome) => jobs.answers.give(question, outcome),
    verdicts: (question) => jobs.duties.verdicts(question),
    takeVerdict: (verdict) => jobs.duties.take(verdict),
    reconcile: () => options.reconciler.run(),
    worlds: async () => worlds.list(),
    partitions: async () => show(await partitions.list()),
    partition: async (parent, question) => {
      const record = await partitions.find(parent, question)
      return record && (await show([record]))[0]!
    },
    status: async () => ({
      ...(await books.status()),
      isRunning: true,
      chainId: options.deployment.chainId,
      address: options.address,
      head: headOf(chain.view()),
      notReady: await notReady(follower, db),
      liveWorlds: worlds.list().length,
      budget: options.config.budget,
    }),
  }
}

/** The newest block as it is shown. */
function headOf({ head }: ChainView): { number: number; hash: Hex; timestamp: number } | null {
  return head && { number: head.number, hash: head.hash, timestamp: head.timestamp }
}
