import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Json } from '@duckdb/node-api'
import { type Database, openDatabase } from '../../indexer/analytics/database.ts'
import { createQuery } from '../../indexer/analytics/query.ts'
import { insertRows, NOWHERE } from './rows.ts'

/** An analytics database of its own, with rows that a test writes by hand. */
export type Scratch = {
  database: Database
  /** Columns that are not given are null or their default. */
  insert: (table: string, rows: readonly Record<string, unknown>[]) => Promise<void>
  /** Asks as anybody may. */
  ask: (sql: string) => Promise<Json[][]>
  remove: () => Promise<void>
}

export async function openScratch(): Promise<Scratch> {
  const folder = await mkdtemp(join(tmpdir(), 'multiverse-views-'))
  const database = await openDatabase(folder, NOWHERE)
  const query = createQuery(database)
  return {
    database,
    insert: (table, rows) => insertRows(database, table, rows),
    ask: async (sql) => (await query(sql)).rows,
    async remove() {
      await database.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
