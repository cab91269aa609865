import type { SqlOutput } from '../../sdk/output.ts'
import { withAnalytics } from '../analytics.ts'
import type { CommonOptions } from '../context.ts'
import type { Result } from '../output.ts'
import { describeRows } from './views.ts'

export type SqlOptions = CommonOptions & { csv?: boolean }

/** Asks DuckDB. @throws NO_STACK, and the codes of the SQL endpoint */
export async function sqlVerb(sql: string, options: SqlOptions): Promise<Result<SqlOutput | null>> {
  return withAnalytics(options, async (analytics) => {
    if (options.csv === true && options.json !== true)
      // As it came, but for the last line's end, which every output gets.
      return { json: null, text: (await analytics.csv(sql)).replace(/\n$/, ''), isRaw: true }
    const answer = await analytics.sql(sql)
    return { json: answer, text: describeRows(answer) }
  })
}
