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

/** A range of numbers, of blocks or of a journal's entries, and how many rows it holds. */
type Part = { from: number; to: number; rows: number }
type Table = { name: string; columns: string[] }
/** What an export writes: a table's rows of one day, in numbered parts. */
type Source = {
  table: string
  day: string
  whole: Part
  nameOf: (part: Part) => string
  /** The rows of a part, in order. */
  select: (part: Pick<Part, 'from' | 'to'>) => string
}

/**
 * Brings `folder` up to the settled block.
 * @throws EXPORT_DIVERGED when the chain went another way below what was exported, and what {@link openExport} throws
 */
export async function exportTo({
  folder,
  analytics,
  deployment,
  maxRows = MAX_ROWS,
}: {
  folder: string
  analytics: AnalyticsApi
  deployment: Deployment
  maxRows?: number
}): Promise<ExportOutput> {
  const manifest = await openExport(folder, deployment)
  await requireAnchor(analytics, manifest)
  const [settled] = await numbers(analytics, 'SELECT settled::BIGINT FROM mirror')
  const tables = await eventTables(analytics)
  const days = await daysOf(analytics, tables, manifest.settled, settled!)
  const journals = await journalsOf(analytics, manifest)
  const added: ExportedFile[] = []
  for (const source of [...days, ...journals.sources])
    await writePart({ analytics, source, maxRows }, source.whole, async (part) => {
      const { table, day } = source
      const name = source.nameOf(part)
      const path = `${table}/chain_id=${manifest.chainId}/day=${day}/${name}.parquet`
      const content = await analytics.parquet(source.select(part))
      await put(join(folder, path), content)
      const sha256 = createHash('sha256').update(content).digest('hex')
      added.push({ path, table, day, rows: part.rows, bytes: content.length, sha256 })
    })

  const next: Manifest = {
    ...manifest,
    settled: Math.max(settled!, manifest.settled),
    anchor: await anchorAt(analytics, Math.max(settled!, manifest.settled)),
    journals: journals.reached,
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

/** What each table has of the days after height `above` up to `to`. */
async function daysOf(
  analytics: AnalyticsApi,
  tables: readonly Table[],
  above: number,
  to: number,
): Promise<Source[]> {
  const sources: Source[] = []
  for (const table of tables) {
    const { rows } = await analytics.sql(
      `SELECT strftime(b.block_timestamp, '%Y-%m-%d') AS day, min(b.number)::BIGINT, max(b.number)::BIGINT, sum(t.rows)::BIGINT
       FROM blocks b
       JOIN (SELECT block_number AS number, count(*) AS rows FROM ${table.name} GROUP BY ALL) t USING (number)
       WHERE b.number::BIGINT > $1::BIGINT AND b.number::BIGINT <= $2::BIGINT GROUP BY day ORDER BY day`,
      [`${above}`, `${to}`],
    )
    for (const row of rows) {
      const [day, from, last, count] = row as [string, string, string, string]
      sources.push({
        table: table.name,
        day,
        whole: { from: Number(from), to: Number(last), rows: Number(count) },
        nameOf: (part) => `blocks-${part.from}-${part.to}`,
        select: (part) => selectOf(table, part),
      })
    }
  }
  return sources
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

function selectOf({ name, columns }: Table, { from, to }: Pick<Part, 'from' | 'to'>): string {
  const names = columns.map((column) => `"${column}"`).join(', ')
  const order = ['block_number', 'log_index', 'step', 'outcome'].filter((column) =>
    columns.includes(column),
  )
  return `SELECT ${names} FROM ${name} WHERE block_number BETWEEN ${from} AND ${to} ORDER BY ${[...order, ...columns].join(', ')}`
}

type Writing = { analytics: AnalyticsApi; source: Source; maxRows: number }

/** Writes a part, or its halves when it has too many rows, or too long ones, to be answered at once. */
async function writePart(
  writing: Writing,
  part: Part,
  write: (part: Part) => Promise<void>,
): Promise<void> {
  if (part.rows === 0) return
  const isOne = part.from === part.to
  if (part.rows <= writing.maxRows || isOne) {
    try {
      return await write(part)
    } catch (error) {
      const isTooLarge =
        isMultiverseError(error, 'RESULT_TOO_LARGE') || isMultiverseError(error, 'QUERY_TOO_LARGE')
      if (!isTooLarge || isOne) throw error
    }
  }
  for (const half of await halves(writing, part)) await writePart(writing, half, write)
}

async function halves({ analytics, source }: Writing, { from, to, rows }: Part): Promise<Part[]> {
  const middle = Math.floor((from + to) / 2)
  const [first] = await numbers(
    analytics,
    `SELECT count(*) FROM (${source.select({ from, to: middle })})`,
  )
  return [
    { from, to: middle, rows: first! },
    { from: middle + 1, to, rows: rows - first! },
  ]
}

/** Entries since the last export, by keeper, epoch and day; `reached`: how far the journals are then. */
async function journalsOf(
  analytics: AnalyticsApi,
  { journals }: Manifest,
): Promise<{ sources: Source[]; reached: Manifest['journals'] }> {
  const { rows } = await analytics.sql(
    `SELECT keeper_id, epoch::BIGINT, strftime(written_at, '%Y-%m-%d') AS day, min(seq)::BIGINT, max(seq)::BIGINT,
       count(*)::BIGINT
     FROM journal
     WHERE seq > coalesce(($1::JSON ->> ('$."' || keeper_id || '/' || epoch || '"'))::BIGINT, -1)
     GROUP BY ALL ORDER BY ALL`,
    [JSON.stringify(journals)],
  )
  const reached = { ...journals }
  const sources = (rows as [string, string, string, string, string, string][]).map(
    ([keeper, epoch, day, first, last, count]): Source => {
      const short = createHash('sha256').update(keeper).digest('hex').slice(0, 8)
      const quoted = `'${keeper.replaceAll("'", "''")}'`
      const key = `${keeper}/${epoch}`
      reached[key] = Math.max(reached[key] ?? 0, Number(last))
      return {
        table: 'journal',
        day,
        whole: { from: Number(first), to: Number(last), rows: Number(count) },
        nameOf: ({ from, to }) => `entries-${epoch}-${from}-${to}-${short}`,
        select: ({ from, to }) =>
          `SELECT keeper_id, epoch, seq, written_at, kind, event FROM journal
           WHERE keeper_id = ${quoted} AND epoch = ${epoch} AND seq BETWEEN ${from} AND ${to}
             AND strftime(written_at, '%Y-%m-%d') = '${day}' ORDER BY seq`,
      }
    },
  )
  return { sources, reached }
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
