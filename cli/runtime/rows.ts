import { withAnalytics } from '../analytics.ts'
import { writeAsked } from '../files.ts'
import type { CommonOptions } from '../context.ts'
import { usageError } from '../errors.ts'
import { type Result, table } from '../output.ts'

/** The forms in which a command's table can be had. */
export type TableOptions = CommonOptions & { csv?: boolean; parquet?: string }

/** A column's name and its type in DuckDB. */
type Column = readonly [name: string, type: 'VARCHAR' | 'BIGINT' | 'DOUBLE' | 'BOOLEAN']
type Cell = string | number | boolean | null

/** A command's table with what stands around it. */
export type Report<T> = {
  json: T
  columns: readonly Column[]
  rows: readonly (readonly Cell[])[]
  /** Lines below the table, for people. */
  notes?: readonly string[]
  exitCode?: number
}

/** @throws USAGE when more than one form is asked for */
export function requireOneForm({ json, csv, parquet }: TableOptions): void {
  if ([json, csv, parquet !== undefined].filter(Boolean).length > 1)
    throw usageError('one of --json, --csv and --parquet')
}

/** A report as people, or the form that was asked for, want it. CSV and Parquet are written by the analytics. */
export async function present<T>(
  { json, columns, rows, notes = [], exitCode = 0 }: Report<T>,
  options: TableOptions,
): Promise<Result<T | null>> {
  const { parquet, csv } = options
  if (parquet === undefined && csv !== true)
    return {
      json,
      text: [
        table(
          rows.map((row) => row.map(show)),
          columns.map(([name]) => name),
        ),
        ...notes,
      ].join('\n'),
      exitCode,
    }
  const types = Object.fromEntries(columns)
  const sql = `SELECT r.* FROM (SELECT unnest(from_json($1::JSON, '${JSON.stringify([types])}')) AS r)`
  const values = [JSON.stringify(rows.map((row) => byName(columns, row)))]
  return withAnalytics(options, async (analytics) => {
    if (csv === true)
      return {
        json: null,
        text: (await analytics.csv(sql, values)).trimEnd(),
        isRaw: true,
        exitCode,
      }
    await writeAsked(parquet!, await analytics.parquet(sql, values))
    return { json: null, text: `${rows.length} rows in ${parquet}`, exitCode }
  })
}

function byName(columns: readonly Column[], row: readonly Cell[]): Record<string, Cell> {
  return Object.fromEntries(columns.map(([name], place) => [name, row[place] ?? null]))
}

function show(cell: Cell): string {
  if (cell === null) return ''
  if (typeof cell === 'boolean') return cell ? 'yes' : 'no'
  return typeof cell === 'number' && !Number.isInteger(cell) ? cell.toFixed(1) : `${cell}`
}
