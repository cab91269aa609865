import type { JobWithMetadata } from 'pg-boss'
import { createKeyedLock } from '../jobs/lock.ts'
import type { Database, Transact } from './database.ts'

/** What a job is about: a partition's key or a question's id. */
export const QUEUES = ['partition', 'answer', 'duty', 'redeem'] as const
export type QueueName = (typeof QUEUES)[number]

/** A run of a job. `isRetry` says that the work failed before. */
export type JobRun = { key: string; isRetry: boolean; signal: AbortSignal }

/** Jobs, of which one key has at most one waiting and one running. */
export type Queue = {
  /**
   * Adds jobs in a transaction. A key that has a job waiting already gets no second one; if that was to wait for a time, it
   * does so no longer.
   */
  add(tx: Transact, name: QueueName, keys: readonly string[]): Promise<void>
  /** Adds a job for work that failed, to run after so many milliseconds, unless one is waiting already. */
  addLater(tx: Transact, name: QueueName, key: string, afterMs: number): Promise<void>
  /** Has a job that waits for a time run now. */
  hurry(name: QueueName, key: string): Promise<void>
  /** The machine's clock was set by so many milliseconds: what waits for a time waits for the same time as before. */
  shift(ms: number): Promise<void>
  /** Wakes as many workers as jobs were added; call it after the commit. */
  wake(name: QueueName, count: number): void
  /**
   * Runs jobs, `concurrency` at a time. A handler that throws has its job come again, later each time.
   */
  work(name: QueueName, concurrency: number, handler: (run: JobRun) => Promise<void>): Promise<void>
  /** Takes no more jobs and waits for those that run. */
  stop(): Promise<void>
  /** Whether nothing runs, nor is to run now. What has failed several times and comes again is not waited for. */
  isIdle(): Promise<boolean>
  /** Jobs by state. */
  counts(): Promise<{ queue: string; state: string; count: number }[]>
}

/** The shortest there is. */
const HEARTBEAT_S = 10
/** How often a worker looks for jobs that nobody woke it for. */
const POLL_S = 2

/** Between a job's being taken and its work, and between that and its being written down. */
const SETTLE_S = 1

/** Work that failed more often is not waited for when everything else is done. */
const PATIENCE = 4

const HURRY = `update pgboss.job set start_after = now() where name = $1 and singleton_key = any($2)
  and state = 'created' and start_after > now()`

const OPTIONS = {
  // One job waiting for each key; `group` below keeps one running.
  policy: 'short',
  retryLimit: 1_000_000,
  retryDelay: 1,
  retryDelayMax: 30,
  retryBackoff: true,
  deleteAfterSeconds: 3_600,
} as const

/**
 * The longest there is: work is not over because it takes long. That whoever did it is gone is told by its heart on a server, and
 * by the next start elsewhere.
 */
const EXPIRE_S = 86_400

/** The job queue on pg-boss. */
export async function createQueue(db: Database): Promise<Queue> {
  const { boss } = db
  const present = new Set((await boss.getQueues([...QUEUES])).map(({ name }) => name))
  for (const name of QUEUES) {
    // Those that were there before are known to it already.
    if (present.has(name) && db.isSole) continue
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
      `update pgboss.job set state = 'retry', start_after = now() where state in ('active', 'retry') and name = any($1)`,
      [QUEUES],
    )
  const timers = new Set<NodeJS.Timeout>()
  let isStopping = false
  /** Jobs whose work is under way here. */
  const running = new Set<string>()
  /** A job that expired because the clock was set is given out again while it runs: the second waits for the first. */
  const locked = createKeyedLock()

  /**
   * What a job came to may not have been written down, for want of room: it would be taken for running until it expires. All that
   * this process does not work on comes again; work that was done finds that it was.
   */
  async function release(): Promise<void> {
    const lost = await db.query<{ name: QueueName }>(
      `update pgboss.job set state = 'retry', start_after = now()
      where name = any($1) and state = 'active' and not id::text = any($2) and started_on < now() - interval '${SETTLE_S} seconds'
      returning name`,
      [QUEUES, [...running]],
    )
    for (const { name } of lost) wake(name, 1)
  }

  let releasing: NodeJS.Timeout | null = null
  function releaseSoon(): void {
    if (!db.isSole || isStopping || releasing !== null) return
    releasing = setTimeout(
      () => {
        releasing = null
        release().catch(releaseSoon)
      },
      2 * SETTLE_S * 1_000,
    ).unref()
  }
  boss.on('error', releaseSoon)
  type Worker = { id: string; isBusy: boolean }
  const workers = Object.fromEntries(QUEUES.map((name) => [name, []])) as unknown as Record<
    QueueName,
    Worker[]
  >

  function wake(name: QueueName, count: number): void {
    // An idle worker would find the job only at its next poll; a busy one looks again when it is done.
    const idle = workers[name].filter(({ isBusy }) => !isBusy)
    for (const { id } of idle.slice(0, count)) boss.notifyWorker(id)
  }

  return {
    async add(tx, name, keys) {
      if (keys.length === 0) return
      const jobs = [...new Set(keys)].map((key) => ({
        data: { key },
        singletonKey: key,
        group: { id: key },
        expireInSeconds: EXPIRE_S,
      }))
      await boss.insert(name, jobs, { db: tx.boss })
      await tx.query(HURRY, [name, jobs.map(({ singletonKey }) => singletonKey)])
    },
    async hurry(name, key) {
      await db.query(HURRY, [name, [key]])
    },
    async addLater(tx, name, key, afterMs) {
      const startAfter = new Date(Date.now() + afterMs)
      const job = {
        data: { key, isRetry: true },
        singletonKey: key,
        group: { id: key },
        expireInSeconds: EXPIRE_S,
        startAfter,
      }
      await boss.insert(name, [job], { db: tx.boss })
      // It need not wait for the next poll.
      if (afterMs >= POLL_S * 1_000 || isStopping) return
      const timer = setTimeout(() => {
        timers.delete(timer)
        wake(name, 1)
      }, afterMs + 5).unref()
      timers.add(timer)
    },
    async shift(ms) {
      // A server has a clock of its own.
      if (!db.isSole) return
      await db.query(
        `update pgboss.job set start_after = start_after + $2::float8 * interval '1 millisecond',
          started_on = started_on + $2::float8 * interval '1 millisecond'
        where name = any($1) and state in ('created', 'retry', 'active')`,
        [QUEUES, ms],
      )
      for (const name of QUEUES) wake(name, Infinity)
    },
    wake,
    async work(name, concurrency, handler) {
      for (let i = 0; i < concurrency; i++) {
        const worker: Worker = { id: '', isBusy: false }
        const run = async ([job]: JobWithMetadata<{ key: string; isRetry?: boolean }>[]) => {
          if (!job) return
          worker.isBusy = true
          try {
            const { key, isRetry = false } = job.data
            await locked(`${name} ${key}`, async () => {
              running.add(job.id)
              await handler({
                key,
                isRetry: isRetry || job.retryCount > 0,
                signal: job.signal,
              }).finally(() => running.delete(job.id))
            })
          } finally {
            worker.isBusy = false
            boss.notifyWorker(worker.id)
          }
        }
        const options = {
          includeMetadata: true,
          groupConcurrency: 1,
          pollingIntervalSeconds: POLL_S,
        } as const
        worker.id = await boss.work(name, options, run)
        workers[name].push(worker)
      }
    },
    async stop() {
      isStopping = true
      for (const timer of timers) clearTimeout(timer)
      if (releasing !== null) clearTimeout(releasing)
      await Promise.all(QUEUES.map((name) => boss.offWork(name)))
    },
    async isIdle() {
      // Nobody comes for the jobs of a queue that this keeper does not work.
      const worked = QUEUES.filter((name) => workers[name].length > 0)
      const [row] = await db.query<{ busy: boolean }>(
        `select exists (
          select 1 from pgboss.job j left join keeper.failures f on f.queue = j.name and f.key = j.singleton_key
          where j.name = any($1) and (j.state = 'active' or (j.state in ('created', 'retry') and (j.start_after <= now()
            or coalesce((select sum(n.value::int) from jsonb_each_text(f.counts) n), 99) < ${PATIENCE})))
        ) as busy`,
        [worked],
      )
      return !row!.busy
    },
    counts: () =>
      db.query(
        `select name as queue, state::text as state, count(*)::int as count from pgboss.job
        where name = any($1) group by 1, 2`,
        [QUEUES],
      ),
  }
}
