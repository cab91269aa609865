import type { Address } from 'viem'
import type { Rpc } from '../chain/rpc.ts'
import type { Config } from '../config.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { SpecLoader } from '../specs.ts'
import type { AnswerStore } from '../store/answers.ts'
import type { ChainStore } from '../store/chain.ts'
import type { Database } from '../store/database.ts'
import type { FailureStore } from '../store/failures.ts'
import type { Journal } from '../store/journal.ts'
import type { PartitionStore } from '../store/partitions.ts'
import type { Queue } from '../store/queue.ts'
import type { SpecStore } from '../store/specs.ts'
import type { Sender } from '../tx/send.ts'
import { admitAll } from './admission.ts'
import { type AnswerJobs, createAnswerJobs } from './answers.ts'
import { createBudget } from './budget.ts'
import type { Names } from './key.ts'
import type { KeyedLock } from './lock.ts'
import { createPartitionJobs } from './partition.ts'
import type { Pipeline } from './pipeline.ts'
import { createReporting } from './reporting.ts'
import { createRetries } from './retries.ts'
import type { Worlds } from './worlds/worlds.ts'

/** All the work there is, over the stores and the worlds. */
export type Jobs = {
  /** Begins with the work. */
  start: () => Promise<void>
  answers: Pick<AnswerJobs, 'give'>
}

export type JobsOptions = {
  config: Config
  db: Database
  queue: Queue
  rpc: Rpc
  chain: ChainStore
  partitions: PartitionStore
  answers: AnswerStore
  specs: SpecStore
  failures: FailureStore
  journal: Journal
  worlds: Worlds
  pipeline: Pipeline
  names: Names
  locked: KeyedLock
  sender: Sender
  loadSpec: SpecLoader
  addresses: { multiverse: Address; worlds: Address }
  confirmations: number
  isStopping: () => boolean
  metrics: Metrics
  log: Log
}

/** Answers are few and small. */
const ANSWER_CONCURRENCY = 2

export function createJobs(options: JobsOptions): Jobs {
  const { config, db, queue, sender, addresses } = options
  const partitionJobs = createPartitionJobs({
    ...options,
    address: sender.address,
    report: createReporting({ ...options, notebook: addresses.worlds }),
    admit: admitAll([createBudget(db, config.budget)]),
  })
  const answerJobs = createAnswerJobs({ ...options, multiverse: addresses.multiverse })
  const retried = createRetries(options)
  return {
    answers: answerJobs,
    async start() {
      const onPartition = retried({ queue: 'partition', ...partitionJobs })
      const onAnswer = retried({ queue: 'answer', ...answerJobs })
      await queue.work('partition', config.concurrency, onPartition)
      await queue.work('answer', ANSWER_CONCURRENCY, onAnswer)
    },
  }
}
