import type { JobWithMetadata } from 'pg-boss'
import type { Database, Transact } from './database.ts'

/** What a job is about: a partition's key or a question's id. */
export type QueueName = 'partition' | 'answer'

/** A run of a job. `attempt` counts from 1; it grows each time the same job failed and came again. */
export type JobRun = { key: string; attempt: number; signal: AbortSignal }

/** Jobs, of which one key has at most one waiting and one running. */
export type Queue = {
  /** Adds jobs in a transaction; a key that has a job waiting already gets no second one. */
  add(tx: Transact, name: QueueName, keys: readonly string[]): Promise<void>
  /** Wakes as many workers as jobs were added; call it after the commit. */
  wake(name: QueueName, count: number): void
  /**
   * Runs jobs, `concurrency` at a time. A handler that throws has its job come again, later each time.
   */
  work(name: QueueName, concurrency: number, handler: (run: JobRun) => Promise<void>): Promise<void>
  /** Takes no more jobs and waits for those that run. */
  stop(): Promise<void>
  /** Jobs by state. */
  counts(): Promise<{ queue: string; state: string; count: number }[]>
}

/** The shortest there is. */
const HEARTBEAT_S = 10

const OPTIONS = {
  // One job waiting for each key; `group` below keeps one running.
  policy: 'short',
  retryLimit: 1_000_000,
  retryDelay: 1,
  retryDelayMax: 30,
  retryBackoff: true,
  deleteAfterSeconds: 3_600,
} as const

/** The job queue on pg-boss. */
export async function createQueue(db: Database): Promise<Queue> {
  const { boss } = db
  const names: QueueName[] = ['partition', 'answer']
  for (const name of names) {
    await boss.createQueue(name, OPTIONS)
    // On a server, the work of a keeper that is gone comes again once its heart has not beaten for a while.
    if (!db.isSole) await boss.updateQueue(name, { heartbeatSeconds: HEARTBEAT_S })
    // Looks the queue up now. Inside a transaction it would wait for the one connection that the transaction holds.
    await boss.insert(name, [])
  }
  // Work that was running when the process was killed comes again at once, not when it is found to have expired; so does work
  // that failed: what it failed for may have been what the process was started anew for.
  if (db.isSole)
    await db.query(
      `update pgboss.job set state = 'retry', start_after = now() where state in ('active', 'retry') and name in ('partition', 'answer')`,
    )
  type Worker = { id: string; isBusy: boolean }
  const workers: Record<QueueName, Worker[]> = { partition: [], answer: [] }

  return {
    async add(tx, name, keys) {
      if (keys.length === 0) return
      const jobs = [...new Set(keys)].map((key) => ({
        data: { key },
        singletonKey: key,
        group: { id: key },
      }))
      await boss.insert(name, jobs, { db: tx.boss })
    },
    wake(name, count) {
      // An idle worker would find the job only at its next poll; a busy one looks again when it is done.
      const idle = workers[name].filter(({ isBusy }) => !isBusy)
      for (const { id } of idle.slice(0, count)) boss.notifyWorker(id)
    },
    async work(name, concurrency, handler) {
      for (let i = 0; i < concurrency; i++) {
        const worker: Worker = { id: '', isBusy: false }
        const run = async ([job]: JobWithMetadata<{ key: string }>[]) => {
          if (!job) return
          worker.isBusy = true
          try {
            await handler({ key: job.data.key, attempt: job.retryCount + 1, signal: job.signal })
          } finally {
            worker.isBusy = false
            boss.notifyWorker(worker.id)
          }
        }
        const options = {
          includeMetadata: true,
          groupConcurrency: 1,
          pollingIntervalSeconds: 2,
        } as const
        worker.id = await boss.work(name, options, run)
        workers[name].push(worker)
      }
    },
    async stop() {
      await Promise.all(names.map((name) => boss.offWork(name)))
    },
    counts: () =>
      db.query(
        `select name as queue, state::text as state, count(*)::int as count from pgboss.job
        where name in ('partition', 'answer') group by 1, 2`,
      ),
  }
}
