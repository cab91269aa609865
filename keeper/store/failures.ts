import type { ErrorClass, Verdict } from '../jobs/errorClass.ts'
import type { Database, Transact } from './database.ts'
import type { Failure } from './partitions.ts'
import type { QueueName } from './queue.ts'

/** A failure that was not the last. `at` is ISO 8601. */
export type PastFailure = Failure & { at: string }

/** The failures' side of the keeper's database: counts that outlive the process, and the dead letters. */
export type FailureStore = {
  /** Counts a failure and stores what becomes of it, as decided from how often it has failed in this class. */
  record(
    tx: Transact,
    work: { queue: QueueName; key: string; class: ErrorClass; failure: Failure },
    decide: (count: number) => Verdict,
  ): Promise<Verdict & { count: number }>
  /** It went well, or is begun anew. */
  clear(queue: QueueName, key: string): Promise<void>
  /** Takes a dead letter away. */
  exhume(tx: Transact, queue: QueueName, key: string): Promise<void>
  /** The newest failures of work, oldest first. */
  history(queue: QueueName, key: string): Promise<PastFailure[]>
  /** How many dead letters there are. */
  dead(): Promise<number>
}

const HISTORY = 10
export function createFailureStore(db: Database): FailureStore {
  return {
    async record({ query }, { queue, key, class: kind, failure: { code, message } }, decide) {
      const [row] = await query<{ count: number }>(
        `insert into keeper.failures as f
          (queue, key, class, code, message, counts, first_at, last_at, history)
        values ($1, $2, $3::text, $4, $5, jsonb_build_object($3::text, 1), now(), now(), jsonb_build_array($6::jsonb))
        on conflict (queue, key) do update set
          class = excluded.class, code = excluded.code, message = excluded.message, last_at = now(),
          -- Each class counts by itself: an outage uses up nobody's attempts.
          counts = f.counts || jsonb_build_object($3::text, coalesce((f.counts->>$3::text)::int, 0) + 1),
          history = (case when jsonb_array_length(f.history) >= ${HISTORY} then f.history - 0 else f.history end)
            || excluded.history
        returning (counts->>class)::int as count`,
        [queue, key, kind, code, message, JSON.stringify({ at: new Date(), code, message })],
      )
      const { count } = row!
      const verdict = decide(count)
      await query(
        `update keeper.failures set
          next_at = now() + $3::float8 * interval '1 millisecond',
          dead_at = case when $3::float8 is null then now() end
        where queue = $1 and key = $2`,
        [queue, key, verdict.kind === 'again' ? verdict.afterMs : null],
      )
      return { ...verdict, count }
    },
    async clear(queue, key) {
      await db.query(`delete from keeper.failures where queue = $1 and key = $2`, [queue, key])
    },
    async exhume({ query }, queue, key) {
      await query(
        `delete from keeper.failures where queue = $1 and key = $2 and dead_at is not null`,
        [queue, key],
      )
    },
    async history(queue, key) {
      const [row] = await db.query<{ history: PastFailure[] }>(
        `select history from keeper.failures where queue = $1 and key = $2`,
        [queue, key],
      )
      return row?.history ?? []
    },
    async dead() {
      const [row] = await db.query<{ count: number }>(
        `select count(*)::int as count from keeper.failures where dead_at is not null`,
      )
      return row!.count
    },
  }
}
