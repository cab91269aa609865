import type { Hex } from 'viem'
import { MultiverseError } from '../../sdk/errors.ts'
import type { Log } from '../log.ts'
import type { AnswerStore } from '../store/answers.ts'
import type { Transact } from '../store/database.ts'
import type { DutyStore } from '../store/duties.ts'
import type { FailureStore } from '../store/failures.ts'
import type { JobView, JobViews } from '../store/jobs.ts'
import type { PartitionStore } from '../store/partitions.ts'
import type { Queue, QueueName } from '../store/queue.ts'
import type { RedemptionStore } from '../store/redemptions.ts'

/** What becomes of work that was given up on. Keys may be shortened to what names one. */
export type DeadLetters = {
  /** The one job that a key, or its beginning, names. @throws UNKNOWN_JOB, AMBIGUOUS_JOB */
  find: (key: string) => Promise<JobView>
  /**
   * Has work tried again as if it had never failed: a dead letter is begun anew, what waits for its next try has it now. Null
   * for every dead letter. Gives the keys.
   * @throws UNKNOWN_JOB, AMBIGUOUS_JOB, NOT_FAILED
   */
  retry: (key: string | null) => Promise<string[]>
  /**
   * Takes a dead letter off the list for good: nothing brings the work back. Null for all of them. Gives the keys.
   * @throws UNKNOWN_JOB, AMBIGUOUS_JOB, NOT_DEAD
   */
  drop: (key: string | null) => Promise<string[]>
}

/** What each queue does with its own: `also` is to be run in the same transaction. */
type Fates = Record<
  QueueName,
  {
    revive: (key: string, also: (tx: Transact) => Promise<void>) => Promise<void>
    discard: (job: JobView, also: (tx: Transact) => Promise<void>) => Promise<void>
  }
>

/** Dead letters that one call acts on at most. */
const MAX_LETTERS = 10_000

export function createDeadLetters(options: {
  partitions: PartitionStore
  answers: AnswerStore
  duties: DutyStore
  redemptions: RedemptionStore
  failures: FailureStore
  views: JobViews
  queue: Queue
  log: Log
}): DeadLetters {
  const { partitions, answers, duties, redemptions, failures, views, queue, log } = options

  const fates: Fates = {
    partition: {
      revive: async (key, also) => {
        await partitions.commit(
          key as Hex,
          { state: 'running', error: null, waiting: null, restart: true },
          also,
        )
      },
      discard: async ({ key, parent, question, error }, also) => {
        const dropped = droppedFor(error)
        await partitions.commit(
          key as Hex,
          {
            error: dropped,
            events: [
              { kind: 'partition.failed', parent: parent!, question: question!, ...dropped },
            ],
          },
          also,
        )
      },
    },
    answer: {
      revive: (key, also) => answers.again(key as Hex, also),
      discard: ({ key, error }, also) => answers.refused(key as Hex, droppedFor(error), also),
    },
    duty: {
      revive: (key, also) => duties.again(key as Hex, also),
      discard: ({ key, error }, also) => duties.drop(key as Hex, droppedFor(error), also),
    },
    // Nothing is kept of the job: what is to be redeemed is found anew.
    redeem: {
      revive: (_, also) => redemptions.also(also),
      discard: (_, also) => redemptions.also(also),
    },
  }

  async function find(key: string): Promise<JobView> {
    const [job, another] = await views.matching(key)
    if (!job) throw new MultiverseError('UNKNOWN_JOB', `no job is named ${key}, or begins so`)
    if (another)
      throw new MultiverseError(
        'AMBIGUOUS_JOB',
        `more than one job begins with ${key}: say which, such as ${job.queue}:${job.key} or ${another.queue}:${another.key}`,
      )
    return job
  }

  const dead = () => views.list({ state: 'dead', limit: MAX_LETTERS })

  return {
    find,
    async retry(key) {
      const jobs = key === null ? await dead() : [await find(key)]
      for (const job of jobs) {
        if (job.error === null)
          throw new MultiverseError('NOT_FAILED', `job ${job.key} is ${job.state}: nothing failed`)
        const again = async (tx: Transact) => {
          await failures.exhume(tx, job.queue, job.key)
          await queue.add(tx, job.queue, [job.key])
        }
        if (job.state === 'dead') await fates[job.queue].revive(job.key, again)
        else await queue.hurry(job.queue, job.key)
        queue.wake(job.queue, 1)
        log.info({ queue: job.queue, key: job.key, was: job.error.code }, 'job.retried')
      }
      return jobs.map((job) => job.key)
    },
    async drop(key) {
      const jobs = key === null ? await dead() : [await find(key)]
      for (const job of jobs) {
        if (job.state !== 'dead')
          throw new MultiverseError(
            'NOT_DEAD',
            `job ${job.key} is ${job.state}: only dead letters can be dropped`,
          )
        await fates[job.queue].discard(job, (tx) => failures.exhume(tx, job.queue, job.key))
        log.info({ queue: job.queue, key: job.key, was: job.error?.code }, 'job.dropped')
      }
      return jobs.map((job) => job.key)
    },
  }
}

/** Stands where the failure stood. Under this code no new spec brings a partition back. */
function droppedFor(error: JobView['error']) {
  const was = error === null ? '' : `: ${error.code} ${error.message}`
  return { code: 'DROPPED', message: `dropped by the operator${was}` }
}
