import type { LocalAccount } from 'viem'
import type { Deployment } from '../../sdk/deployment.ts'
import type { Rpc } from '../chain/rpc.ts'
import type { Config } from '../config.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { createDuties, type Duties } from '../oracles/duties.ts'
import { createRedeeming } from '../oracles/redeem.ts'
import type { SpecLoader } from '../specs.ts'
import type { AnswerStore } from '../store/answers.ts'
import type { ChainStore } from '../store/chain.ts'
import type { Database } from '../store/database.ts'
import type { DutyStore } from '../store/duties.ts'
import type { FailureStore } from '../store/failures.ts'
import type { FlowStore } from '../store/flows.ts'
import type { Journal } from '../store/journal.ts'
import type { PartitionStore } from '../store/partitions.ts'
import type { Queue } from '../store/queue.ts'
import type { RedemptionStore } from '../store/redemptions.ts'
import type { SpecStore } from '../store/specs.ts'
import { createVerdictStore } from '../store/verdicts.ts'
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
import { createServed } from './served.ts'
import type { Worlds } from './worlds/worlds.ts'

/** All the work there is, over the stores and the worlds. */
export type Jobs = {
  /** Begins with the work. */
  start: () => Promise<void>
  answers: Pick<AnswerJobs, 'give'>
  duties: Pick<Duties, 'verdicts' | 'take'>
  /** Adds jobs for all that waits for nothing, beyond what the chain's store has. */
  wakeOpen: () => Promise<void>
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
  flows: FlowStore
  duties: DutyStore
  redemptions: RedemptionStore
  journal: Journal
  worlds: Worlds
  pipeline: Pipeline
  names: Names
  locked: KeyedLock
  sender: Sender
  loadSpec: SpecLoader
  account: LocalAccount
  deployment: Deployment
  confirmations: number
  isStopping: () => boolean
  metrics: Metrics
  log: Log
}

/** Answers are few and small. */
const ANSWER_CONCURRENCY = 2
/** Duties wait for feeds and other people's servers. */
const DUTY_CONCURRENCY = 4

export function createJobs(options: JobsOptions): Jobs {
  const { config, db, queue, sender, deployment } = options
  const { addresses } = deployment
  const partitionJobs = createPartitionJobs({
    ...options,
    address: sender.address,
    report: createReporting({ ...options, notebook: addresses.worlds }),
    admit: admitAll([createServed(config.served, options), createBudget(db, config.budget)]),
  })
  const answerJobs = createAnswerJobs({ ...options, multiverse: addresses.multiverse })
  const duties = createDuties({
    ...options,
    config: { ...config, ...config.duties },
    verdicts: createVerdictStore(db),
  })
  const redeeming = createRedeeming({ ...options, config: config.duties })
  const retried = createRetries(options)
  return {
    answers: {
      give: async (question, outcome) =>
        (await duties.give(question, outcome)) ?? answerJobs.give(question, outcome),
    },
    duties,
    wakeOpen: () => duties.wakeOpen(),
    async start() {
      const onPartition = retried({ queue: 'partition', ...partitionJobs })
      const onAnswer = retried({ queue: 'answer', ...answerJobs })
      await queue.work('partition', config.concurrency, onPartition)
      await queue.work('answer', ANSWER_CONCURRENCY, onAnswer)
      await queue.work('duty', DUTY_CONCURRENCY, retried({ queue: 'duty', ...duties }))
      if (config.duties.duties.has('redeem'))
        await queue.work('redeem', 1, retried({ queue: 'redeem', ...redeeming }))
    },
  }
}
