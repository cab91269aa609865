import type { Log } from './log.ts'
import { createDeadLetters, type DeadLetters } from './jobs/deadLetters.ts'
import { type AnswerStore, createAnswerStore } from './store/answers.ts'
import type { Database } from './store/database.ts'
import { createDutyStore, type DutyStore, type Oracles } from './store/duties.ts'
import { createFailureStore, type FailureStore, type PastFailure } from './store/failures.ts'
import type { Identity } from './store/identity.ts'
import { createJournal, type Journal } from './store/journal.ts'
import { createJobViews, type JobState, type JobView } from './store/jobs.ts'
import { createPartitionStore, type PartitionStore } from './store/partitions.ts'
import { createQueue, type Queue } from './store/queue.ts'
import { createRedemptionStore, type RedemptionStore } from './store/redemptions.ts'
import { countDoubled } from './store/rivals.ts'
import { createTxStore, type TxListing, type TxState, type TxStore } from './store/txs.ts'
import { errorFields } from './log.ts'

type Count = { state: string; count: number }

/** What stands in the books, in figures. */
export type BooksStatus = Identity & {
  partitions: Count[]
  answers: Count[]
  transactions: Count[]
  /** What is done for oracles, by kind and state. */
  duties: Count[]
  jobs: (Count & { queue: string })[]
  /** Dead letters. */
  dead: number
  /** Partitions that it branched worlds for and another keeper reported too. */
  doubled: number
  /** What providers spent this UTC day, core-seconds. */
  spentToday: number
}

/** What the books alone can tell and be told, whether the keeper runs or not. */
export type BooksApi = Pick<DeadLetters, 'retry' | 'drop'> & {
  status(): Promise<BooksStatus>
  /** What is done for oracles, question by question. */
  duties(): Promise<object[]>
  jobs(filter: { state?: JobState | undefined; limit: number }): Promise<JobView[]>
  job(key: string): Promise<JobView & { history: PastFailure[] }>
  txs(filter: { state?: TxState | undefined; limit: number }): Promise<TxListing[]>
}

/** The stores over one database. */
export type Stores = {
  journal: Journal
  queue: Queue
  partitions: PartitionStore
  answers: AnswerStore
  txs: TxStore
  failures: FailureStore
  duties: DutyStore
  redemptions: RedemptionStore
}

/**
 * Opens the stores of a database whose tables are up to date.
 * @param oracles whose questions are duties of a keeper that runs
 */
export async function openStores(
  db: Database,
  identity: Identity,
  log: Log,
  oracles: Oracles = {},
): Promise<Stores> {
  const journal = createJournal(db, identity, (error) =>
    log.error(errorFields(error), 'journal.failed'),
  )
  return {
    journal,
    queue: await createQueue(db),
    partitions: createPartitionStore(db, journal),
    answers: createAnswerStore(db, journal),
    txs: createTxStore(db),
    failures: createFailureStore(db),
    duties: createDutyStore(db, oracles),
    redemptions: createRedemptionStore(db),
  }
}

export function createBooks(db: Database, identity: Identity, stores: Stores, log: Log): BooksApi {
  const { partitions, answers, txs, queue, failures, duties } = stores
  const views = createJobViews(db)
  const letters = createDeadLetters({ ...stores, views, log })
  return {
    retry: letters.retry,
    drop: letters.drop,
    duties: () => duties.list(),
    jobs: views.list,
    async job(key) {
      const job = await letters.find(key)
      return { ...job, history: await failures.history(job.queue, job.key) }
    },
    txs: ({ state, limit }) => txs.list({ limit, states: state && [state] }),
    status: async () => ({
      ...identity,
      partitions: await partitions.counts(),
      answers: await answers.counts(),
      transactions: await txs.counts(),
      duties: await duties.counts(),
      jobs: await queue.counts(),
      dead: await failures.dead(),
      doubled: await countDoubled(db),
      spentToday: await spentToday(db),
    }),
  }
}

async function spentToday(db: Database): Promise<number> {
  const [row] = await db.query<{ units: number }>(
    `select coalesce(sum(units), 0)::float8 as units from keeper.costs
    where day = (now() at time zone 'UTC')::date`,
  )
  return row!.units
}
