import type { SqlOutput } from '../../sdk/output.ts'
import { type CommonOptions, runningStack } from '../context.ts'
import { type Result, table } from '../output.ts'
import { createAnalyticsApi } from '../services.ts'

export type SqlOptions = CommonOptions & { csv?: boolean }

/** Asks DuckDB through the running analytics. */
export async function sqlVerb(sql: string, options: SqlOptions): Promise<Result<SqlOutput | null>> {
  const { urls } = await runningStack(options)
  const analytics = createAnalyticsApi(urls.analytics)
  if (options.csv === true && options.json !== true)
    // As it came, but for the last line's end, which every output gets.
    return { json: null, text: (await analytics.csv(sql)).replace(/\n$/, ''), isRaw: true }
  const answer = await analytics.sql(sql)
  const rows = answer.rows.map((row) =>
    row.map((cell) =>
      typeof cell === 'string' ? cell : cell === null ? '' : JSON.stringify(cell),
    ),
  )
  return {
    json: answer,
    text: table(
      rows,
      answer.columns.map(({ name }) => name),
    ),
  }
}
