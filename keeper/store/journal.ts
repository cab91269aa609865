import type { Hex } from 'viem'
import type { Call } from '../../providers/triads.ts'
import {
  type JournalEntry,
  journalEntrySchema,
  type JournalEvent,
  type JournalPage,
} from '../../sdk/journal.ts'
import type { Database, Transact } from './database.ts'
import type { Identity } from './identity.ts'

/** The keeper's outbox: what happened, in the order in which it was written down. */
export type Journal = {
  /** Writes events in a transaction, as the last thing done in it, after those that were set aside before. */
  append: (tx: Transact, events: readonly JournalEvent[]) => Promise<void>
  /** Sets an event aside that tells of no stored state. It is written with the next ones, or soon. */
  defer: (event: JournalEvent) => void
  /** Writes what was set aside. */
  flush: () => Promise<void>
  /** The calls of providers that were for these verses, as far as they are written: each provider once with each end. */
  calls: (verses: readonly Hex[]) => Promise<Call[]>
  /** The newest event of a kind one of whose texts matches, among those that are written. */
  latest: (
    kind: JournalEvent['kind'],
    field: 'name' | 'entityId',
    pattern: RegExp,
  ) => Promise<JournalEvent | null>
  /** Entries after `after`, ascending, at most `limit`. */
  page: (after: number, limit: number) => Promise<JournalPage>
}

/** An event that is set aside waits at most this long, milliseconds. */
const DEFER_MS = 250

/** The journal in the keeper's database. */
export function createJournal(
  db: Database,
  identity: Identity,
  onError: (error: unknown) => void,
): Journal {
  let deferred: JournalEvent[] = []
  let timer: NodeJS.Timeout | undefined
  /** Transactions under way that carry events which were set aside. */
  const carriers = new Map<Promise<boolean>, Promise<void>>()

  async function append(tx: Transact, events: readonly JournalEvent[]): Promise<void> {
    // A step rests on what was set aside while it ran: it must not be committed before whoever carries that.
    for (const [ended, settled] of carriers) if (ended !== tx.ended) await settled
    const earlier = deferred
    const all = [...earlier, ...events]
    if (all.length === 0) return
    deferred = []
    if (earlier.length > 0) carry(tx, earlier)
    await write(tx, all)
  }

  /** Sets events aside again if their transaction is rolled back. */
  function carry({ ended }: Transact, events: JournalEvent[]): void {
    const settled = ended.then((isCommitted) => {
      carriers.delete(ended)
      if (!isCommitted) deferred = [...events, ...deferred]
    })
    carriers.set(ended, settled)
  }

  async function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    if (deferred.length > 0) await db.transaction((tx) => append(tx, []))
  }

  return {
    append,
    flush,
    defer(event) {
      deferred.push(event)
      timer ??= setTimeout(() => void flush().catch(onError), DEFER_MS)
    },
    async calls(verses) {
      const rows = await db.query<{ verse: string; provider: string; failed: boolean }>(
        `select distinct event->>'verseId' as verse, event->>'providerId' as provider,
          jsonb_typeof(event->'error') <> 'null' as failed
        from keeper.journal
        where event->>'kind' = 'provider.invoked' and event->>'verseId' = any($1)`,
        [verses],
      )
      return rows.map(({ verse, provider, failed }) => ({
        providerId: provider,
        verseId: verse,
        error: failed ? true : null,
      }))
    },
    async latest(kind, field, pattern) {
      const [row] = await db.query<{ event: JournalEvent }>(
        `select event from keeper.journal
        where event->>'kind' = $1 and event->>$2 ~ $3 order by seq desc limit 1`,
        [kind, field, pattern.source],
      )
      return row?.event ?? null
    },
    async page(after, limit) {
      const rows = await db.query<{ seq: number | string; at: Date; event: JournalEvent }>(
        `select seq, at, event from keeper.journal where seq > $1 order by seq limit $2`,
        [after, limit],
      )
      const [head] = await db.query<{ last: number | string }>(
        `select last from keeper.journal_head`,
      )
      const entries = rows.map(({ seq, at, event }): JournalEntry =>
        journalEntrySchema.parse({
          ...identity,
          seq: Number(seq),
          at: at.toISOString(),
          event,
        }),
      )
      return { ...identity, entries, last: Number(head?.last ?? 0) }
    },
  }
}

/**
 * Taking numbers locks the head's row until the commit: they become visible in order and without gaps. What providers' calls
 * cost is summed up along with them.
 */
async function write(tx: Transact, events: readonly JournalEvent[]): Promise<void> {
  await tx.query(
    `with head as (
      update keeper.journal_head set last = last + jsonb_array_length($1::jsonb) returning last
    ), spent as (
      insert into keeper.costs (day, provider, verse, units, calls)
      select (clock_timestamp() at time zone 'UTC')::date, event->>'providerId', coalesce(event->>'verseId', ''),
        sum((event->>'costUnits')::float8), count(*)
      from jsonb_array_elements($1::jsonb) as event where event->>'kind' = 'provider.invoked' group by 1, 2, 3
      on conflict (day, provider, verse) do update
        set units = costs.units + excluded.units, calls = costs.calls + excluded.calls
    )
    insert into keeper.journal (seq, at, event)
    select head.last - jsonb_array_length($1::jsonb) + event.place, clock_timestamp(), event.value
    from head, jsonb_array_elements($1::jsonb) with ordinality as event (value, place)`,
    [JSON.stringify(events)],
  )
}
