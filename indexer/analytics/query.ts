import type { DuckDBConnection, DuckDBValue, Json } from '@duckdb/node-api'
import { isMultiverseError, MultiverseError, oneLine } from '../../sdk/errors.ts'
import { type Database, isOutOfMemory } from './database.ts'

/** A result: big integers, decimals and times as strings. */
export type QueryResult = { columns: { name: string; type: string }[]; rows: Json[][] }

export type Limits = {
  timeoutMs: number
  /** What DuckDB has to stop in once it is told to; what cannot be stopped is answered without. */
  graceMs: number
  rows: number
  /** Of the rows as JSON, near enough. */
  bytes: number
  /** Queries at once; more than as many again waiting are refused. */
  concurrency: number
}

export const DEFAULT_LIMITS: Limits = {
  timeoutMs: 10_000,
  graceMs: 2_000,
  rows: 100_000,
  bytes: 32 * 1_024 * 1_024,
  concurrency: 4,
}

const MAX_SQL_LENGTH = 100_000

/**
 * Runs somebody else's SQL. One statement that only selects, in a read-only transaction of its own, within limits; the
 * database as a whole reaches no file and no network (see database.ts).
 * @throws SQL_INVALID, SQL_REFUSED, SQL_FAILED, QUERY_TIMEOUT, QUERY_TOO_LARGE, RESULT_TOO_LARGE, TOO_MANY_QUERIES
 */
export type RunQuery = (sql: string, values?: DuckDBValue[]) => Promise<QueryResult>

export function createQuery(database: Database, limits: Limits = DEFAULT_LIMITS): RunQuery {
  const enter = createGate(limits.concurrency)
  const perform = (sql: string, values: DuckDBValue[]) =>
    database.read(async (connection) => {
      await requireSelect(connection, sql)
      return select(connection, sql, values, limits)
    })
  return async (sql, values = []) => {
    const leave = await enter()
    // Whatever becomes of the answer, the place is taken until the work has ended.
    const work = perform(sql, values).finally(leave)
    return inTime(work, limits)
  }
}

/** The work's result, or QUERY_TIMEOUT when DuckDB is inside of something that it does not interrupt. */
async function inTime<T>(work: Promise<T>, { timeoutMs, graceMs }: Limits): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(tooLate(timeoutMs)), timeoutMs + graceMs)
  // It may be rejected when nobody waits for it any more.
  work.catch(() => {})
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}

function tooLate(timeoutMs: number): MultiverseError {
  return new MultiverseError('QUERY_TIMEOUT', `the query took more than ${timeoutMs} ms`)
}

/** Lets `width` through at a time and as many again wait. */
function createGate(width: number): () => Promise<() => void> {
  let inside = 0
  const waiting: (() => void)[] = []
  const leave = () => {
    const next = waiting.shift()
    if (next === undefined) inside -= 1
    else next()
  }
  return async () => {
    if (inside < width) inside += 1
    else if (waiting.length < width) await new Promise<void>((resolve) => waiting.push(resolve))
    else
      throw new MultiverseError('TOO_MANY_QUERIES', `${width} queries run and ${width} wait`, {
        isRetryable: true,
      })
    return leave
  }
}

/**
 * What may stand in FROM beside tables and views. Among DuckDB's other table functions are some that read files, ask the
 * system or force a checkpoint under the writer.
 */
const TABLE_FUNCTIONS = new Set([
  'unnest',
  'range',
  'generate_series',
  'generate_subscripts',
  'repeat_row',
  'json_each',
  'json_tree',
  'pragma_table_info',
  'duckdb_tables',
  'duckdb_views',
  'duckdb_columns',
  // Macros of our own.
  'chromatic_agents',
  'exposure',
  'journal_bisimilarity',
])

/**
 * What may not be called: some make much of little in one step, or take far longer than what they are given is long, and
 * DuckDB interrupts nothing but whole steps; some only wait, and some tell of the machine.
 */
const REFUSED_FUNCTIONS = new Set([
  'range',
  'generate_series',
  'repeat',
  'lpad',
  'rpad',
  'list_resize',
  'array_resize',
  'printf',
  'format',
  'levenshtein',
  'editdist3',
  'damerau_levenshtein',
  'jaccard',
  'jaro_similarity',
  'jaro_winkler_similarity',
  'mismatches',
  'hamming',
  'sleep_ms',
  'pg_sleep',
  'write_log',
  'current_setting',
])

/** Of the views that DuckDB brings, these tell of the tables and of nothing else. */
const SYSTEM_VIEWS = new Set([
  'duckdb_tables',
  'duckdb_views',
  'duckdb_columns',
  'duckdb_constraints',
  'duckdb_indexes',
])

/** Statements are judged by DuckDB's own parse of them, not by their text. */
async function requireSelect(connection: DuckDBConnection, sql: string): Promise<void> {
  if (sql.length > MAX_SQL_LENGTH)
    throw new MultiverseError('SQL_REFUSED', `the statement has ${sql.length} characters`)
  const reader = await connection.runAndReadAll('SELECT json_serialize_sql($1::VARCHAR)', [sql])
  const parsed = JSON.parse(reader.getRowsJson()[0]![0] as string) as {
    error: boolean
    error_type?: string
    error_message?: string
    statements?: unknown[]
  }
  if (parsed.error) {
    const message = parsed.error_message?.split('\n', 1)[0] ?? 'the statement cannot be parsed'
    if (parsed.error_type === 'not implemented')
      throw new MultiverseError('SQL_REFUSED', 'only a SELECT can be run')
    throw new MultiverseError('SQL_INVALID', message)
  }
  const { statements = [] } = parsed
  if (statements.length !== 1)
    throw new MultiverseError('SQL_REFUSED', `one statement at a time, not ${statements.length}`)
  refuseFunctions(statements[0])
}

function refuseFunctions(node: unknown): void {
  if (Array.isArray(node)) for (const each of node) refuseFunctions(each)
  if (typeof node !== 'object' || node === null) return
  const reason = refusalOf(node)
  if (reason !== null) throw new MultiverseError('SQL_REFUSED', reason)
  const { type, function: call, ...rest } = node as ParsedNode
  // As a table a function gives its rows one by one: what it is given is all there is left to judge.
  const inner = type === 'TABLE_FUNCTION' ? Object.values(call ?? {}) : [call]
  for (const each of [...inner, ...Object.values(rest)]) refuseFunctions(each)
}

/** A node of DuckDB's parse, as far as it is looked at. */
type ParsedNode = {
  type?: unknown
  function?: { function_name?: string }
  function_name?: string
  table_name?: string
}

function refusalOf({ type, function: call, ...node }: ParsedNode): string | null {
  if (type === 'TABLE_FUNCTION') {
    const name = call?.function_name ?? 'unknown'
    return TABLE_FUNCTIONS.has(name.toLowerCase())
      ? null
      : `the table function ${name} cannot be used`
  }
  if (type === 'FUNCTION') {
    const name = node.function_name ?? 'unknown'
    return REFUSED_FUNCTIONS.has(name.toLowerCase()) ? `the function ${name} cannot be used` : null
  }
  if (type === 'BASE_TABLE') {
    const name = node.table_name ?? 'unknown'
    return /^(duckdb|pragma|pg)_/i.test(name) && !SYSTEM_VIEWS.has(name.toLowerCase())
      ? `the table ${name} cannot be used`
      : null
  }
  return null
}

async function select(
  connection: DuckDBConnection,
  sql: string,
  values: DuckDBValue[],
  limits: Limits,
): Promise<QueryResult> {
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    connection.interrupt()
  }, limits.timeoutMs)
  try {
    await connection.run('BEGIN TRANSACTION READ ONLY')
    const result = await connection.stream(sql, values)
    const columns = result
      .columnNames()
      .map((name, index) => ({ name, type: result.columnType(index).toString() }))
    const rows: Json[][] = []
    let bytes = 0
    for await (const chunk of result.yieldRowsJson()) {
      if (isLate) break
      bytes += sizeOf(chunk)
      if (rows.length + chunk.length > limits.rows)
        throw new MultiverseError(
          'RESULT_TOO_LARGE',
          `the result has more than ${limits.rows} rows`,
        )
      if (bytes > limits.bytes)
        throw new MultiverseError(
          'RESULT_TOO_LARGE',
          `the result has more than ${limits.bytes} bytes`,
        )
      for (const row of chunk) rows.push(row)
    }
    if (isLate) throw new Error('interrupted')
    return { columns, rows }
  } catch (error) {
    if (isMultiverseError(error)) throw error
    if (isLate) throw tooLate(limits.timeoutMs)
    const reason = oneLine(error)
    throw new MultiverseError(isOutOfMemory(reason) ? 'QUERY_TOO_LARGE' : 'SQL_FAILED', reason, {
      cause: error,
    })
  } finally {
    clearTimeout(timer)
  }
}

/** About how long a value is as JSON: writing it out to count would take as much memory again. */
function sizeOf(value: Json): number {
  if (typeof value === 'string') return value.length + 3
  if (typeof value !== 'object' || value === null) return 8
  return Array.isArray(value)
    ? value.reduce((sum: number, each) => sum + sizeOf(each), 2)
    : JSON.stringify(value).length
}
