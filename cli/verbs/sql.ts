import type { SqlOutput } from '../../sdk/output.ts'
import { type CommonOptions, runningStack } from '../context.ts'
import type { Result } from '../output.ts'
import { createAnalyticsApi } from '../services.ts'
import { describeRows } from './views.ts'

export type SqlOptions = CommonOptions & { csv?: boolean }

/** Asks DuckDB through the running analytics. */
export async function sqlVerb(sql: string, options: SqlOptions): Promise<Result<SqlOutput | null>> {
  const { urls } = await runningStack(options)
  const analytics = createAnalyticsApi(urls.analytics)
  if (options.csv === true && options.json !== true)
    // As it came, but for the last line's end, which every output gets.
    return { json: null, text: (await analytics.csv(sql)).replace(/\n$/, ''), isRaw: true }
  const answer = await analytics.sql(sql)
  return { json: answer, text: describeRows(answer) }
}
