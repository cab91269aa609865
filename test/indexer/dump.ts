import type { Stage } from './stage.ts'

// All that a database says, to be held against another.

/** Views that promise no order. */
const UNORDERED = ['events', 'redeemers', 'complete_lanes']

/** All that tables and views say, each as it is answered. */
export async function dump(stage: Stage): Promise<string[]> {
  const tables = await stage.query(
    "SELECT table_name FROM duckdb_tables() WHERE table_name NOT IN ('schema_migrations', 'mirror') ORDER BY 1",
  )
  const views = await stage.query(
    'SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY 1',
  )
  const isUnordered = (name: string) => name.startsWith('v_') || UNORDERED.includes(name)
  const statements = [
    ...tables.map(([name]) => `FROM ${name as string} ORDER BY ALL`),
    ...views.map(
      ([name]) => `FROM ${name as string}${isUnordered(name as string) ? ' ORDER BY ALL' : ''}`,
    ),
    'SELECT head_number, head_hash FROM mirror',
  ]
  const said: string[] = []
  for (const sql of statements) said.push(`${sql}: ${JSON.stringify(await stage.query(sql))}`)
  return said
}

/** The beginnings of what is not said twice. */
export function unlike(a: readonly string[], b: readonly string[]): string[] {
  return [...a, ...b]
    .filter((each) => !a.includes(each) || !b.includes(each))
    .map((each) => each.slice(0, 100))
}
