import type { SqlOutput } from '../../sdk/output.ts'
import { writeAsked } from '../files.ts'
import { withAnalytics } from '../analytics.ts'
import type { CommonOptions } from '../context.ts'
import { usageError } from '../errors.ts'
import { plain, type Result, table } from '../output.ts'
import type { AnalyticsApi } from '../services.ts'

export type ViewOptions = CommonOptions & { csv?: boolean; parquet?: string; limit: number }

/** A question to the analytics. */
export type View = {
  sql: string
  /** A question with one row, which says in one line below the rows whether all of them are as they should be. */
  verdict?: { sql: string; judge: (row: Row) => { line: string; holds: boolean } }
}

/** A row by its columns' names. */
export type Row = Record<string, SqlOutput['rows'][number][number]>

/**
 * Prints a view: a table for people, of so many rows at most, or all of it as JSON, CSV or a Parquet file. Exit code 1 when its
 * verdict does not hold.
 * @throws NO_STACK, USAGE
 */
export async function viewVerb(
  { sql, verdict }: View,
  { json, csv, parquet, limit, ...options }: ViewOptions,
): Promise<Result<SqlOutput | null>> {
  const formats = [json, csv, parquet !== undefined].filter(Boolean)
  if (formats.length > 1) throw usageError('one of --json, --csv and --parquet')
  return withAnalytics(options, async (analytics) => {
    const found = verdict && verdict.judge(await onlyRow(analytics, verdict.sql))
    const exitCode = found === undefined || found.holds ? 0 : 1
    if (parquet !== undefined) {
      const { rows } = await analytics.sql(`SELECT count(*)::INT FROM (${sql})`)
      await writeAsked(parquet, await analytics.parquet(sql))
      return {
        json: null,
        text: `${describeCell(rows[0]?.[0], 'INTEGER')} rows in ${parquet}`,
        exitCode,
      }
    }
    if (csv === true)
      return { json: null, text: (await analytics.csv(sql)).trimEnd(), isRaw: true, exitCode }
    const isCut = json !== true && limit > 0
    const answer = await analytics.sql(isCut ? `${sql} LIMIT ${limit + 1}` : sql)
    const rows = isCut ? answer.rows.slice(0, limit) : answer.rows
    const lines = [
      describeRows({ ...answer, rows }),
      ...(rows.length < answer.rows.length ? [`the first ${limit} rows: more with --limit`] : []),
      ...(found === undefined ? [] : [found.line]),
    ]
    return { json: answer, text: lines.join('\n'), exitCode }
  })
}

async function onlyRow(analytics: AnalyticsApi, sql: string): Promise<Row> {
  const answer = await analytics.sql(sql)
  return byName(answer, answer.rows[0] ?? [])
}

/** Rows as an aligned table. Measured figures are shortened to what can be read. */
export function describeRows({ columns, rows }: SqlOutput): string {
  return table(
    rows.map((row) => row.map((cell, place) => describeCell(cell, columns[place]?.type ?? ''))),
    columns.map(({ name }) => name),
  )
}

function describeCell(cell: Row[string] | undefined, type: string): string {
  if (cell === null || cell === undefined) return ''
  if (typeof cell === 'number' && /^(FLOAT|DOUBLE)$/.test(type)) return `${+cell.toPrecision(6)}`
  return typeof cell === 'string' ? plain(cell) : JSON.stringify(cell)
}

function byName({ columns }: SqlOutput, row: SqlOutput['rows'][number]): Row {
  return Object.fromEntries(columns.map(({ name }, place) => [name, row[place] ?? null]))
}
