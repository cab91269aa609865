import { type JournalEntry, type JournalPage, journalPageSchema } from '../../sdk/journal.ts'
import { MultiverseError, oneLine } from '../../sdk/errors.ts'
import type { Database, Transaction } from './database.ts'
import { writeEntries } from './entries.ts'

// A keeper's journal is an outbox: entries are numbered without gaps, so a cursor says exactly what has been read.

/** How far one keeper's journal is read. */
export type Cursor = { keeperId: string; epoch: number; seq: number }

export type JournalReader = {
  /** Reads what is new; gives the number of entries read. @throws KEEPER_UNREACHABLE, JOURNAL_INVALID, JOURNAL_BACKWARDS */
  poll(): Promise<number>
}

const PAGE = 500
const TIMEOUT_MS = 5_000

export function createJournalReader({
  url,
  database,
}: {
  url: string
  database: Database
}): JournalReader {
  let cursor: Cursor | null = null
  return {
    async poll() {
      let read = 0
      for (;;) {
        const asked = cursor?.seq ?? 0
        const page = await fetchPage(url, asked)
        cursor = await resume(database, cursor, page)
        // The journal is another one than was thought when the page was asked for.
        if (cursor.seq !== asked) continue
        if (page.entries.length === 0) {
          if (page.last <= cursor.seq) return read
          throw new MultiverseError(
            'JOURNAL_INVALID',
            `${url}: nothing after ${cursor.seq} of ${page.last} entries`,
          )
        }
        cursor = await append(database, url, cursor, page.entries)
        read += page.entries.length
      }
    },
  }
}

/** The cursor to go on from, given the page that was answered. */
async function resume(
  database: Database,
  cursor: Cursor | null,
  page: JournalPage,
): Promise<Cursor> {
  const { keeperId, epoch, last } = page
  const known =
    cursor?.keeperId === keeperId ? cursor : await database.write((tx) => readCursor(tx, keeperId))
  if (known === null || epoch > known.epoch) return { keeperId, epoch, seq: 0 }
  if (epoch < known.epoch || last < known.seq)
    throw new MultiverseError(
      'JOURNAL_BACKWARDS',
      `keeper ${keeperId} is at ${epoch}/${last}, and ${known.epoch}/${known.seq} was read before`,
    )
  return known
}

async function append(
  database: Database,
  url: string,
  { keeperId, epoch, seq }: Cursor,
  entries: readonly JournalEntry[],
): Promise<Cursor> {
  const gap = entries.find(
    (entry, index) =>
      entry.seq !== seq + 1 + index || entry.keeperId !== keeperId || entry.epoch !== epoch,
  )
  if (gap !== undefined)
    throw new MultiverseError(
      'JOURNAL_INVALID',
      `${url}: entry ${gap.keeperId}/${gap.epoch}/${gap.seq} does not follow ${keeperId}/${epoch}/${seq}`,
    )
  await database.write((tx) => writeEntries(tx, entries))
  return { keeperId, epoch, seq: entries.at(-1)!.seq }
}

/** Every keeper's cursor. */
export async function readCursors(database: Database): Promise<Cursor[]> {
  return database.write(async (tx) => {
    const rows = await tx.rows<{ keeper_id: string; epoch: string; seq: string }>(
      'SELECT keeper_id, epoch, seq FROM keepers ORDER BY keeper_id',
    )
    return rows.map(({ keeper_id, epoch, seq }) => ({
      keeperId: keeper_id,
      epoch: Number(epoch),
      seq: Number(seq),
    }))
  })
}

async function readCursor(tx: Transaction, keeperId: string): Promise<Cursor | null> {
  const [row] = await tx.rows<{ epoch: string; seq: string }>(
    'SELECT epoch, seq FROM keepers WHERE keeper_id = $1',
    [keeperId],
  )
  return row === undefined ? null : { keeperId, epoch: Number(row.epoch), seq: Number(row.seq) }
}

async function fetchPage(url: string, after: number): Promise<JournalPage> {
  const address = new URL(`journal?after=${after}&limit=${PAGE}`, url)
  let body: unknown
  try {
    const response = await fetch(address, { signal: AbortSignal.timeout(TIMEOUT_MS) })
    if (!response.ok) throw new Error(`status ${response.status}`)
    body = await response.json()
  } catch (cause) {
    throw new MultiverseError('KEEPER_UNREACHABLE', `${url}: ${oneLine(cause)}`, {
      cause,
      isRetryable: true,
    })
  }
  const parsed = journalPageSchema.safeParse(body)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new MultiverseError(
    'JOURNAL_INVALID',
    `${url}: ${issue?.path.join('.')}: ${issue?.message ?? 'invalid'}`,
    { cause: parsed.error },
  )
}
