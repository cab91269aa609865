import { isMultiverseError } from '../../sdk/errors.ts'
import { errorFields, type Log } from '../log.ts'
import type { Database } from '../store/database.ts'
import type { FailureStore } from '../store/failures.ts'
import type { JobRun, Queue, QueueName } from '../store/queue.ts'
import { askedMsOf, classOf, nextTry } from './errorClass.ts'
import { failure } from './outcome.ts'

/** The work of one queue. */
export type Work = {
  queue: QueueName
  /** Takes the work as far as it goes now. What it throws decides whether it comes again. */
  run: (key: string) => Promise<void>
  /** It was given up on: stores that, and lets go of what it held. */
  bury: (key: string, error: unknown) => Promise<void>
  /** It would have sent a transaction, and must not: see KEEPER_DRY_RUN. */
  withhold: (key: string, error: unknown) => Promise<void>
}

/** Makes a handler of jobs of work: what fails comes again by the rules of errorClass.ts, or is buried. */
export type Retried = (work: Work) => (job: JobRun) => Promise<void>

export function createRetries(options: {
  db: Database
  queue: Queue
  failures: FailureStore
  isStopping: () => boolean
  log: Log
  /** In [0, 1). */
  random?: () => number
}): Retried {
  const { db, queue, failures, isStopping, log, random = Math.random } = options

  return function retried({ queue: name, run, bury, withhold }) {
    return async function handle({ key, isRetry }) {
      try {
        await run(key)
        if (isRetry) await failures.clear(name, key)
      } catch (error) {
        // It was cut off. The job is taken up again at the next start.
        if (isStopping()) throw error
        if (isMultiverseError(error, 'DRY_RUN')) return withhold(key, error)
        const verdict = await record(key, error)
        const fields = { [name]: key, ...errorFields(error) }
        if (verdict.kind === 'again') {
          log.warn({ ...fields, afterMs: verdict.afterMs, count: verdict.count }, `${name}.delayed`)
          return
        }
        if (verdict.class === 'bug') log.error({ [name]: key, err: error }, `${name}.crashed`)
        await bury(key, error)
      }
    }

    /** Stores the failure and the job that comes again for it together: neither is without the other. */
    function record(key: string, error: unknown) {
      const kind = classOf(error)
      return db.transaction(async (tx) => {
        const verdict = await failures.record(
          tx,
          { queue: name, key, class: kind, failure: failure(error) },
          (count) => nextTry(kind, count, random(), askedMsOf(error)),
        )
        if (verdict.kind === 'again') await queue.addLater(tx, name, key, verdict.afterMs)
        return { ...verdict, class: kind }
      })
    }
  }
}
