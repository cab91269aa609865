import { type JournalEntry, journalEntrySchema } from '../../sdk/journal.ts'
import type { Database } from './database.ts'
import { writeEntries } from './entries.ts'

// What a database that is made anew takes over from the one before: the journals' entries. The keeper that wrote them may be gone.

const PAGE = 1_000

type Kept = {
  place: string
  keeper_id: string
  epoch: string
  seq: string
  written_at: string
  event: string
}

/** Writes the entries that one database kept into another, in the order in which they came. */
export async function copyJournals(from: Database, to: Database): Promise<void> {
  let place = '-1'
  for (;;) {
    const kept = await from.read(async (connection) => {
      const reader = await connection.runAndReadAll(
        `SELECT rowid AS place, keeper_id, epoch, seq, written_at, event FROM journal
         WHERE rowid > $1::BIGINT ORDER BY rowid LIMIT ${PAGE}`,
        [place],
      )
      return reader.getRowObjectsJson() as Kept[]
    })
    if (kept.length === 0) return
    await to.write(async (tx) => {
      for (const entries of runs(kept.map((row) => entryOf(row)))) await writeEntries(tx, entries)
    })
    place = kept.at(-1)!.place
  }
}

/** Consecutive entries of one keeper's one epoch. */
function runs(entries: readonly JournalEntry[]): JournalEntry[][] {
  const found: JournalEntry[][] = []
  for (const entry of entries) {
    const before = found.at(-1)?.at(-1)
    if (before?.keeperId === entry.keeperId && before.epoch === entry.epoch)
      found.at(-1)!.push(entry)
    else found.push([entry])
  }
  return found
}

function entryOf({ keeper_id, epoch, seq, written_at, event }: Kept): JournalEntry {
  return journalEntrySchema.parse({
    keeperId: keeper_id,
    epoch: Number(epoch),
    seq: Number(seq),
    at: `${written_at.replace(' ', 'T')}Z`,
    event: JSON.parse(event) as unknown,
  })
}
