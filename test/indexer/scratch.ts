import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Json } from '@duckdb/node-api'
import { afterAll, beforeAll } from 'vitest'
import { type Database, openDatabase } from '../../indexer/analytics/database.ts'
import { createQuery, type RunQuery } from '../../indexer/analytics/query.ts'
import { insertRows, NOWHERE } from './rows.ts'

/** An analytics database with rows that a test writes by hand. */
export type Scratch = {
  write: Database['write']
  /** Columns that are not given are null or their default. */
  insert: (table: string, rows: readonly Record<string, unknown>[]) => Promise<void>
  /** Asks as anybody may. */
  ask: (sql: string) => Promise<Json[][]>
}

/** One for the file that calls this, from its first test to its last. */
export function useScratch(): Scratch {
  let folder: string
  let database: Database
  let query: RunQuery
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'multiverse-views-'))
    database = await openDatabase(folder, NOWHERE)
    query = createQuery(database)
  })
  afterAll(async () => {
    await database.close()
    await rm(folder, { recursive: true, force: true })
  })
  return {
    write: (work) => database.write(work),
    insert: (table, rows) => insertRows(database, table, rows),
    ask: async (sql) => (await query(sql)).rows,
  }
}
