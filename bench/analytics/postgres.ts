import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { type LocalPostgres, type SqlClient, startPostgres } from '../../test/helpers/postgres.ts'
import type { Note } from '../harness.ts'
import type { Question } from './questions.ts'

// The warehouse once more, in Postgres: the same tables with keys and indexes, the same views.

export type Peer = {
  /** Rows of an equivalent; undefined when the question has none. Cells are Postgres' own text. */
  ask: (question: Question) => Promise<(string | null)[][]> | undefined
  stop: () => Promise<void>
}

/** What two cores and 24 GiB allow a server that has the machine to itself. */
const SETTINGS = {
  shared_buffers: '2GB',
  effective_cache_size: '8GB',
  work_mem: '256MB',
  maintenance_work_mem: '1GB',
  random_page_cost: '1.1',
  max_wal_size: '8GB',
  synchronous_commit: 'off',
  fsync: 'off',
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
    const client = await fill(server, file, note)
    const named = await namedQueries()
    return {
      ask(question) {
        const own = named.get(question.name.replace(' --question', ''))
        const simple = /^FROM (\w+)(.*)$/s.exec(question.sql)
        const view = simple?.[1]
        if (own !== undefined) return client.rows(own, question.values)
        if (view !== undefined && client.has(view))
          return client.rows(`SELECT * FROM ${view}${simple?.[2]}`, question.values)
        return question.sql.startsWith('SELECT') && question.values.length === 0
          ? client.rows(question.sql)
          : undefined
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

type Client = {
  rows: (sql: string, values?: string[]) => Promise<(string | null)[][]>
  has: (relation: string) => boolean
  end: () => Promise<void>
}

async function fill(server: LocalPostgres, file: string, note: Note): Promise<Client> {
  await server.create('warehouse')
  const client: SqlClient = await server.connect('warehouse')
  const folder = await mkdtemp(join(tmpdir(), 'bench-postgres-'))
  await chmod(folder, 0o755)
  const instance = await DuckDBInstance.create(file, { access_mode: 'READ_ONLY' })
  try {
    const duck = await instance.connect()
    const columns = (
      await duck.runAndReadAll(
        `SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal AND table_name IN
           (SELECT table_name FROM duckdb_tables() WHERE NOT internal) ORDER BY table_name, column_index`,
      )
    ).getRowsJson() as [string, string, string][]
    for (const [table, own] of Map.groupBy(columns, ([name]) => name)) {
      const path = join(folder, `${table}.csv`)
      const list = own.map(([, name, type]) => `"${name}" ${TYPES[type]}`).join(', ')
      const cells = own.map(([, name, type]) =>
        type.endsWith('[]') ? `'{' || array_to_string("${name}", ',') || '}'` : `"${name}"`,
      )
      await duck.run(
        `COPY (SELECT ${cells.join(', ')} FROM "${table}") TO '${path}' (HEADER false)`,
      )
      await chmod(path, 0o644)
      await client.query(`CREATE UNLOGGED TABLE "${table}" (${list})`)
      await client.query(`COPY "${table}" FROM '${path}' (FORMAT csv)`)
      await rm(path)
    }
    note('Postgres: loaded; keys, indexes and views')
    const keys = (
      await duck.runAndReadAll(
        `SELECT table_name, array_to_string(constraint_column_names, ', ') FROM duckdb_constraints()
         WHERE constraint_type = 'PRIMARY KEY'`,
      )
    ).getRowsJson() as [string, string][]
    for (const [table, names] of keys)
      await client.query(`ALTER TABLE "${table}" ADD PRIMARY KEY (${names})`)
    await client.query(await readFile(new URL('postgres.sql', import.meta.url), 'utf8'))
    await client.query('VACUUM ANALYZE')
    const relations = await client.query(
      `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace`,
    )
    const known = new Set(relations.map(([name]) => name))
    return {
      rows: (sql, values) => client.query(sql, values),
      has: (relation) => known.has(relation),
      end: () => client.end(),
    }
  } finally {
    instance.closeSync()
    await rm(folder, { recursive: true, force: true })
  }
}

async function namedQueries(): Promise<Map<string, string>> {
  const text = await readFile(new URL('charts.sql', import.meta.url), 'utf8')
  const parts = text.split(/^-- name: (.*)$/m).slice(1)
  return new Map(
    Array.from({ length: parts.length / 2 }, (_, nth) => [parts[2 * nth]!, parts[2 * nth + 1]!]),
  )
}
