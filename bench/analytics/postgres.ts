import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { type LocalPostgres, type SqlClient, startPostgres } from '../../test/helpers/postgres.ts'
import type { Note } from '../harness.ts'
import { type Question, readNamed } from './questions.ts'

// The warehouse once more, in Postgres: the same tables with keys and indexes, the same views.

/** Cells are Postgres' own text. */
export type PeerRows = (string | null)[][]

export type Peer = {
  /** Rows of an equivalent; undefined when the question has none. */
  ask: (question: Question) => Promise<PeerRows> | undefined
  stop: () => Promise<void>
}

/** What two cores and 24 GiB allow a server that has the machine to itself. Nothing of it needs to last. */
const SETTINGS = {
  shared_buffers: '2GB',
  effective_cache_size: '8GB',
  work_mem: '256MB',
  maintenance_work_mem: '1GB',
  random_page_cost: '1.1',
  max_wal_size: '8GB',
  wal_level: 'minimal',
  max_wal_senders: '0',
  synchronous_commit: 'off',
  fsync: 'off',
  full_page_writes: 'off',
  autovacuum: 'off',
}

const TYPES: Record<string, string> = {
  VARCHAR: 'text',
  JSON: 'jsonb',
  TIMESTAMP: 'timestamp',
  BOOLEAN: 'boolean',
  FLOAT: 'real',
  DOUBLE: 'float8',
  TINYINT: 'smallint',
  UTINYINT: 'smallint',
  INTEGER: 'int',
  UINTEGER: 'bigint',
  BIGINT: 'bigint',
  UBIGINT: 'bigint',
  HUGEINT: 'numeric',
  UHUGEINT: 'numeric',
  BIGNUM: 'numeric',
  'UTINYINT[]': 'smallint[]',
  'VARCHAR[]': 'text[]',
}

/** Copies every table of a closed DuckDB file into a server of its own. */
export async function startPeer(file: string, note: Note): Promise<Peer> {
  const server = await startPostgres(SETTINGS)
  try {
    await server.create('warehouse')
    const client = await server.connect('warehouse')
    await fill(client, server, file, note)
    const relations = await client.query(
      `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace`,
    )
    const known = new Set(relations.map(([name]) => name))
    const named = await readNamed(new URL('charts.sql', import.meta.url))
    return {
      ask(question) {
        const sql = equivalent(question, named, known)
        return sql === undefined ? undefined : client.query(sql, question.values)
      },
      async stop() {
        await client.end()
        await server.remove()
      },
    }
  } catch (error) {
    await server.remove()
    throw error
  }
}

/** How Postgres is asked the same: in its own words, of the view of that name, or in the very words that DuckDB is asked in. */
function equivalent(
  { name, sql, values }: Question,
  named: ReadonlyMap<string, string>,
  known: ReadonlySet<string | null | undefined>,
): string | undefined {
  const own = named.get(name.replace(' --question', ''))
  if (own !== undefined) return own
  const [, view, rest] = /^FROM (\w+)(.*)$/s.exec(sql) ?? []
  if (view !== undefined && known.has(view)) return `SELECT * FROM ${view}${rest}`
  return /^(SELECT|WITH)\b/.test(sql) && values.length === 0 ? sql : undefined
}

type Table = { name: string; columns: { name: string; type: string }[] }

async function fill(
  client: SqlClient,
  server: LocalPostgres,
  file: string,
  note: Note,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-postgres-'))
  await chmod(folder, 0o755)
  const instance = await DuckDBInstance.create(file, { access_mode: 'READ_ONLY' })
  try {
    const duck = await instance.connect()
    // DuckDB writes one table while Postgres reads the one before.
    let reading: Promise<void> = Promise.resolve()
    for (const table of await listTables(duck)) {
      const path = join(folder, `${table.name}.csv`)
      await write(duck, table, path)
      await reading
      reading = read(client, table, path)
      // Awaited in the next round; until then nobody else would see it fail.
      reading.catch(() => {})
    }
    await reading
    note('Postgres has all rows; keys, indexes and views')
    await index(client, server, duck)
  } finally {
    instance.closeSync()
    await rm(folder, { recursive: true, force: true })
  }
}

async function listTables(duck: DuckDBConnection): Promise<Table[]> {
  const reader = await duck.runAndReadAll(
    `SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal AND table_name IN
       (SELECT table_name FROM duckdb_tables() WHERE NOT internal) ORDER BY table_name, column_index`,
  )
  const columns = reader.getRowsJson() as [string, string, string][]
  return [...Map.groupBy(columns, ([table]) => table)].map(([name, own]) => ({
    name,
    columns: own.map(([, column, type]) => ({ name: column, type })),
  }))
}

async function write(duck: DuckDBConnection, table: Table, path: string): Promise<void> {
  const cells = table.columns.map(({ name, type }) =>
    type.endsWith('[]') ? `'{' || array_to_string("${name}", ',') || '}'` : `"${name}"`,
  )
  await duck.run(
    `COPY (SELECT ${cells.join(', ')} FROM "${table.name}") TO '${path}' (HEADER false)`,
  )
  await chmod(path, 0o644)
}

/** Rows that are copied into a table of the same transaction are frozen at once: nothing is left to vacuum. */
async function read(client: SqlClient, { name, columns }: Table, path: string): Promise<void> {
  const list = columns.map((column) => `"${column.name}" ${TYPES[column.type]}`).join(', ')
  await client.query('BEGIN')
  await client.query(`CREATE UNLOGGED TABLE "${name}" (${list})`)
  await client.query(`COPY "${name}" FROM '${path}' (FORMAT csv, FREEZE)`)
  await client.query('COMMIT')
  await rm(path)
}

/** Keys and indexes, through two connections at once: each is built by one processor. */
async function index(
  client: SqlClient,
  server: LocalPostgres,
  duck: DuckDBConnection,
): Promise<void> {
  const reader = await duck.runAndReadAll(
    `SELECT 'ALTER TABLE "' || table_name || '" ADD PRIMARY KEY (' || array_to_string(constraint_column_names, ', ') || ')'
     FROM duckdb_constraints() WHERE constraint_type = 'PRIMARY KEY'`,
  )
  const keys = (reader.getRowsJson() as [string][]).map(([sql]) => sql)
  const indexes = (await readFile(new URL('indexes.sql', import.meta.url), 'utf8'))
    .split('\n')
    .filter((line) => line.startsWith('CREATE INDEX'))
  const other = await server.connect('warehouse')
  try {
    for (const each of [client, other]) await each.query('SET max_parallel_maintenance_workers = 0')
    for (const key of keys) await client.query(key)
    const left = [...indexes]
    const build = async (connection: SqlClient) => {
      for (let sql = left.shift(); sql !== undefined; sql = left.shift())
        await connection.query(sql)
    }
    await Promise.all([build(client), build(other)])
  } finally {
    await other.end()
  }
  await client.query(await readFile(new URL('postgres.sql', import.meta.url), 'utf8'))
  await client.query('ANALYZE')
}
