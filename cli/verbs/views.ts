import { writeFile } from 'node:fs/promises'
import type { SqlOutput } from '../../sdk/output.ts'
import { withAnalytics } from '../analytics.ts'
import type { CommonOptions } from '../context.ts'
import { usageError } from '../errors.ts'
import { plain, type Result, table } from '../output.ts'

export type ViewOptions = CommonOptions & { csv?: boolean; parquet?: string }

/** A question to the analytics. */
export type View = {
  sql: string
  /** One line below the rows, and whether what they say is as it should be. */
  verdict?: (rows: Row[]) => { line: string; holds: boolean }
}

/** A row by its columns' names. */
export type Row = Record<string, SqlOutput['rows'][number][number]>

/**
 * Prints a view: a table for people, JSON, CSV, or a Parquet file. Exit code 1 when its verdict does not hold.
 * @throws NO_STACK, USAGE
 */
export async function viewVerb(
  { sql, verdict }: View,
  options: ViewOptions,
): Promise<Result<SqlOutput | null>> {
  const formats = [options.json, options.csv, options.parquet !== undefined].filter(Boolean)
  if (formats.length > 1) throw usageError('one of --json, --csv and --parquet')
  return withAnalytics(options, async (analytics) => {
    const answer = await analytics.sql(sql)
    const found = verdict?.(answer.rows.map((row) => byName(answer, row)))
    const exitCode = found === undefined || found.holds ? 0 : 1
    if (options.parquet !== undefined) {
      await writeFile(options.parquet, await analytics.parquet(sql))
      const text = `${answer.rows.length} rows in ${options.parquet}`
      return { json: null, text, exitCode }
    }
    if (options.csv === true)
      return { json: null, text: (await analytics.csv(sql)).trimEnd(), isRaw: true, exitCode }
    const text = [describeRows(answer), ...(found === undefined ? [] : [found.line])].join('\n')
    return { json: answer, text, exitCode }
  })
}

/** Rows as an aligned table. Measured figures are shortened to what can be read. */
export function describeRows({ columns, rows }: SqlOutput): string {
  return table(
    rows.map((row) => row.map((cell, place) => describeCell(cell, columns[place]?.type ?? ''))),
    columns.map(({ name }) => name),
  )
}

function describeCell(cell: Row[string], type: string): string {
  if (cell === null || cell === undefined) return ''
  if (typeof cell === 'number' && /^(FLOAT|DOUBLE)$/.test(type)) return `${+cell.toPrecision(6)}`
  return typeof cell === 'string' ? plain(cell) : JSON.stringify(cell)
}

function byName({ columns }: SqlOutput, row: SqlOutput['rows'][number]): Row {
  return Object.fromEntries(columns.map(({ name }, place) => [name, row[place] ?? null]))
}
