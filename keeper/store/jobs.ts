import type { Hex } from 'viem'
import type { ErrorClass } from '../jobs/errorClass.ts'
import type { JOB_STATES } from '../../sdk/keeperOutput.ts'
import type { Database } from './database.ts'
import type { Failure, PartitionState, Waiting } from './partitions.ts'
import { QUEUES, type QueueName } from './queue.ts'

/**
 * Where work stands: `active` runs now, `queued` is to, `delayed` failed and comes again, `held` waits for something other than
 * the chain, `dead` was given up on.
 */
export type JobState = (typeof JOB_STATES)[number]

/** Work that is not done, as an operator sees it. Times are ISO 8601. */
export type JobView = {
  queue: QueueName
  key: string
  state: JobState
  parent: Hex | null
  /** Null where the work is about no one question. */
  question: Hex | null
  /** Of the partition; null for other work. */
  partition: PartitionState | null
  /** The step that was begun. */
  step: string | null
  /** How often it failed since it last went well. */
  failures: number
  /** Of the newest failure. */
  class: ErrorClass | null
  error: Failure | null
  waiting: Waiting | null
  /** When it comes again; null when nobody knows. */
  nextAt: string | null
}

/** An operator's view of the queue, the failures and what waits. */
export type JobViews = {
  list: (filter: { state?: JobState | undefined; limit: number }) => Promise<JobView[]>
  /** The work whose key begins so, or `QUEUE:KEY` does. */
  matching: (prefix: string) => Promise<JobView[]>
}

const VIEW = `
  with queued as (
    select name as queue, singleton_key as key, bool_or(state = 'active') as active,
      min(start_after) filter (where state <> 'active') as start_after
    from pgboss.job where name = any($1) and state in ('created', 'retry', 'active') group by 1, 2
  ), keys as (
    select queue, key from queued
    union select queue, key from keeper.failures
    union select 'partition', key from keeper.partitions where state = 'waiting'
  ), jobs as (
    select k.queue, k.key,
      case when f.dead_at is not null then 'dead' when q.active then 'active' when p.state = 'waiting' then 'held'
        when q.start_after > now() or q.key is null then 'delayed' else 'queued' end as state,
      p.parent, coalesce(p.question, case when k.key like '0x%' then k.key end) as question, p.state as partition,
      (select s.name from keeper.steps s where s.partition = p.key and s.state = 'intended' limit 1) as step,
      coalesce((select sum(n.value::int) from jsonb_each_text(f.counts) n), 0)::int as failures, f.class,
      case when f.code is not null then jsonb_build_object('code', f.code, 'message', f.message) end as error,
      p.waiting,
      case when f.dead_at is null then coalesce(q.start_after, f.next_at) end as next_at
    from keys k
    left join queued q on q.queue = k.queue and q.key = k.key
    left join keeper.failures f on f.queue = k.queue and f.key = k.key
    left join keeper.partitions p on k.queue = 'partition' and p.key = k.key
  )
  select queue, key, state, parent, question, partition, step, failures, class, error, waiting,
    to_char(next_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "nextAt"
  from jobs`

export function createJobViews(db: Database): JobViews {
  return {
    list: ({ state, limit }) =>
      db.query(
        `${VIEW} where $2::text is null or state = $2 order by state, next_at nulls last, key limit $3`,
        [QUEUES, state ?? null, limit],
      ),
    matching: (prefix) =>
      db.query(
        `${VIEW} where starts_with(key, $2) or starts_with(queue || ':' || key, $2) order by queue, key limit 3`,
        [QUEUES, prefix],
      ),
  }
}
