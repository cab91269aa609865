import { createHash } from 'node:crypto'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Deployment } from '../../sdk/deployment.ts'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import type { ExportOutput } from '../../sdk/output.ts'
import type { AnalyticsApi } from '../services.ts'
import { type ExportedFile, type Manifest, openExport, writeManifest } from './manifest.ts'

// The way out: every event table and the journal as Parquet, a folder a table, partitioned by chain and day. What is settled
// never changes, so an export only adds files: those of the blocks since the last one.

/** More rows than this are not asked for at once. */
const MAX_ROWS = 50_000

/** Columns that a later event changes; the events themselves are in tables of their own. */
const MUTABLE: Record<string, string[]> = {
  questions: ['status', 'survivors', 'winner', 'expired'],
}
/** Tables whose rows come from a keeper and only mention a block. */
const NOT_EVENTS = ['resolutions']

type Range = { from: number; to: number }
type Table = { name: string; columns: string[] }

/**
 * Brings `folder` up to the settled block.
 * @throws EXPORT_DIVERGED when the chain went another way below what was exported, and what {@link openExport} throws
 */
export async function exportTo({
  folder,
  analytics,
  deployment,
}: {
  folder: string
  analytics: AnalyticsApi
  deployment: Deployment
}): Promise<ExportOutput> {
  const manifest = await openExport(folder, deployment)
  await requireAnchor(analytics, manifest)
  const [settled] = await numbers(analytics, 'SELECT settled::BIGINT FROM mirror')
  const added: ExportedFile[] = []
  const write = async (table: string, day: string, name: string, sql: string) => {
    const path = `${table}/chain_id=${manifest.chainId}/day=${day}/${name}.parquet`
    const [rows] = await numbers(analytics, `SELECT count(*) FROM (${sql})`)
    if (rows === 0) return
    const content = await analytics.parquet(sql)
    await put(join(folder, path), content)
    const sha256 = createHash('sha256').update(content).digest('hex')
    added.push({ path, table, day, rows: rows!, bytes: content.length, sha256 })
  }

  const days = await daysOf(analytics, manifest.settled, settled!)
  for (const table of await eventTables(analytics))
    for (const { day, ...range } of days)
      for (const part of await split(analytics, table, range))
        await writePart(part, async ({ from, to }) =>
          write(table.name, day, `blocks-${from}-${to}`, selectOf(table, { from, to })),
        )
  const journals = await exportJournals(analytics, manifest, write)

  const next: Manifest = {
    ...manifest,
    settled: Math.max(settled!, manifest.settled),
    anchor: await anchorAt(analytics, Math.max(settled!, manifest.settled)),
    journals,
    files: [...manifest.files, ...added],
  }
  // The chain may have gone another way while it was read.
  await requireAnchor(analytics, manifest)
  await writeManifest(folder, next)
  const rows = added.reduce((sum, file) => sum + file.rows, 0)
  return { folder, settled: next.settled, files: added.length, rows }
}

async function requireAnchor(analytics: AnalyticsApi, { anchor }: Manifest): Promise<void> {
  if (anchor === null) return
  const { rows } = await analytics.sql('SELECT hash FROM blocks WHERE number = $1::UBIGINT', [
    `${anchor.number}`,
  ])
  if (rows[0]?.[0] !== anchor.hash)
    throw new MultiverseError(
      'EXPORT_DIVERGED',
      `block ${anchor.number} was ${anchor.hash} and is no more: export to a new folder`,
    )
}

async function anchorAt(analytics: AnalyticsApi, height: number): Promise<Manifest['anchor']> {
  const { rows } = await analytics.sql(
    'SELECT number::BIGINT, hash FROM blocks WHERE number <= $1::BIGINT ORDER BY number DESC LIMIT 1',
    [`${height}`],
  )
  const [row] = rows
  return row === undefined ? null : { number: Number(row[0]), hash: row[1] as string }
}

/** The days after height `above` up to `to`, each with its first and last block that holds events. */
async function daysOf(analytics: AnalyticsApi, above: number, to: number) {
  const { rows } = await analytics.sql(
    `SELECT strftime(block_timestamp, '%Y-%m-%d') AS day, min(number)::BIGINT, max(number)::BIGINT FROM blocks
     WHERE number::BIGINT > $1::BIGINT AND number::BIGINT <= $2::BIGINT GROUP BY day ORDER BY day`,
    [`${above}`, `${to}`],
  )
  return rows.map(([day, from, last]) => ({
    day: day as string,
    from: Number(from),
    to: Number(last),
  }))
}

/** Every table whose rows name the block they come of. */
async function eventTables(analytics: AnalyticsApi): Promise<Table[]> {
  const { rows } = await analytics.sql(`
    SELECT c.table_name, list(c.column_name ORDER BY c.column_index)
    FROM duckdb_columns() c JOIN duckdb_tables() t USING (table_name)
    WHERE c.schema_name = 'main' GROUP BY c.table_name
    HAVING list_contains(list(c.column_name), 'block_number') ORDER BY c.table_name`)
  return rows
    .map(([name, columns]) => ({ name: name as string, columns: columns as string[] }))
    .filter(({ name }) => !NOT_EVENTS.includes(name))
    .map(({ name, columns }) => ({
      name,
      columns: columns.filter((column) => MUTABLE[name]?.includes(column) !== true),
    }))
}

function selectOf({ name, columns }: Table, { from, to }: Range): string {
  const names = columns.map((column) => `"${column}"`).join(', ')
  const order = ['block_number', 'log_index', 'step', 'outcome'].filter((column) =>
    columns.includes(column),
  )
  return `SELECT ${names} FROM ${name} WHERE block_number BETWEEN ${from} AND ${to} ORDER BY ${[...order, ...columns].join(', ')}`
}

/** Halves a range of blocks until no part has too many rows. */
async function split(analytics: AnalyticsApi, table: Table, range: Range): Promise<Range[]> {
  const [rows] = await numbers(
    analytics,
    `SELECT count(*) FROM ${table.name} WHERE block_number BETWEEN ${range.from} AND ${range.to}`,
  )
  if (rows === 0) return []
  if (rows! <= MAX_ROWS || range.from === range.to) return [range]
  const parts: Range[] = []
  for (const half of halves(range)) parts.push(...(await split(analytics, table, half)))
  return parts
}

/** Writes a range, or its halves when its rows are too long to be answered at once. */
async function writePart(range: Range, write: (range: Range) => Promise<void>): Promise<void> {
  try {
    await write(range)
  } catch (error) {
    if (!isMultiverseError(error, 'RESULT_TOO_LARGE') || range.from === range.to) throw error
    for (const half of halves(range)) await writePart(half, write)
  }
}

function halves({ from, to }: Range): Range[] {
  const middle = Math.floor((from + to) / 2)
  return [
    { from, to: middle },
    { from: middle + 1, to },
  ]
}

/** Entries since the last export, by keeper, epoch and day; gives how far the journals are now. */
async function exportJournals(
  analytics: AnalyticsApi,
  { journals }: Manifest,
  write: (table: string, day: string, name: string, sql: string) => Promise<void>,
): Promise<Manifest['journals']> {
  const { rows } = await analytics.sql(
    `SELECT keeper_id, epoch::BIGINT, strftime(written_at, '%Y-%m-%d') AS day, min(seq)::BIGINT, max(seq)::BIGINT
     FROM journal
     WHERE seq > coalesce(($1::JSON ->> ('$."' || keeper_id || '/' || epoch || '"'))::BIGINT, -1)
     GROUP BY ALL ORDER BY ALL`,
    [JSON.stringify(journals)],
  )
  const reached = { ...journals }
  for (const row of rows) {
    const [keeper, epoch, day, first, last] = row as [string, string, string, string, string]
    const short = createHash('sha256').update(keeper).digest('hex').slice(0, 8)
    const quoted = `'${keeper.replaceAll("'", "''")}'`
    await writePart({ from: Number(first), to: Number(last) }, ({ from, to }) =>
      write(
        'journal',
        day,
        `entries-${epoch}-${from}-${to}-${short}`,
        `SELECT keeper_id, epoch, seq, written_at, kind, event FROM journal
         WHERE keeper_id = ${quoted} AND epoch = ${epoch} AND seq BETWEEN ${from} AND ${to}
           AND strftime(written_at, '%Y-%m-%d') = '${day}' ORDER BY seq`,
      ),
    )
    const key = `${keeper}/${epoch}`
    reached[key] = Math.max(reached[key] ?? 0, Number(last))
  }
  return reached
}

/** The first row of an answer, as numbers. */
async function numbers(analytics: AnalyticsApi, sql: string): Promise<number[]> {
  const { rows } = await analytics.sql(sql)
  return (rows[0] ?? []).map(Number)
}

async function put(path: string, content: Uint8Array): Promise<void> {
  const draft = `${path}.${process.pid}.tmp`
  await mkdir(dirname(path), { recursive: true })
  await writeFile(draft, content)
  await rename(draft, path)
}
