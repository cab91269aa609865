import type { ErrorClass, Verdict } from '../jobs/errorClass.ts'
import type { Database, Query, Transact } from './database.ts'
import type { Failure } from './partitions.ts'
import type { QueueName } from './queue.ts'

/** Work that failed and was not done since. */
export type FailureRecord = Failure & {
  queue: QueueName
  key: string
  class: ErrorClass
  /** How often it failed since it last went well, by class. */
  counts: Partial<Record<ErrorClass, number>>
  firstAt: Date
  lastAt: Date
  /** When it is tried again; null for a dead letter. */
  nextAt: Date | null
  /** When it was given up on; null while it is tried again. */
  deadAt: Date | null
  /** The newest failures, oldest first. */
  history: (Failure & { at: string })[]
}

/** The failures' side of the keeper's database: counts that outlive the process, and the dead letters. */
export type FailureStore = {
  /** Counts a failure and stores what becomes of it, as decided from how often it has failed in this class. */
  record(
    tx: Transact,
    work: { queue: QueueName; key: string; class: ErrorClass; failure: Failure },
    decide: (count: number) => Verdict,
  ): Promise<Verdict & { count: number }>
  /** It went well, or is begun anew. */
  clear(queue: QueueName, keys: readonly string[], query?: Query): Promise<void>
  find(queue: QueueName, key: string): Promise<FailureRecord | null>
  /** The dead letters, oldest first. */
  dead(): Promise<FailureRecord[]>
  /** All that failed, newest first. */
  list(): Promise<FailureRecord[]>
}

const HISTORY = 10
const COLUMNS = `queue, key, class, code, message, counts, first_at as "firstAt", last_at as "lastAt",
  next_at as "nextAt", dead_at as "deadAt", history`

export function createFailureStore(db: Database): FailureStore {
  const select = (rest: string, values: readonly unknown[] = []) =>
    db.query<FailureRecord>(`select ${COLUMNS} from keeper.failures ${rest}`, values)
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
    async clear(queue, keys, query = db.query) {
      if (keys.length === 0) return
      await query(`delete from keeper.failures where queue = $1 and key = any($2)`, [queue, keys])
    },
    async find(queue, key) {
      const [row] = await select(`where queue = $1 and key = $2`, [queue, key])
      return row ?? null
    },
    dead: () => select(`where dead_at is not null order by dead_at, key`),
    list: () => select(`order by last_at desc, key`),
  }
}
