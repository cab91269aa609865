import { DuckDBInstance } from '@duckdb/node-api'
import { SETTINGS } from '../../indexer/analytics/database.ts'
import type { Asked } from './questions.ts'

/** DuckDB itself on a warehouse that no other process has open, with as much memory as Postgres keeps pages in. */
export type Engine = Asked & { close: () => void }

/** Opens a warehouse to be asked in this process. Values of rows are as the process that mirrors gives them. */
export async function openEngine(file: string): Promise<Engine> {
  const instance = await DuckDBInstance.create(file, { ...SETTINGS, memory_limit: '2GB' })
  const connection = await instance.connect()
  return {
    async sql(sql, params = []) {
      const reader = await connection.runAndReadAll(sql, [...params])
      const columns = reader
        .columnNames()
        .map((name, index) => ({ name, type: reader.columnType(index).toString() }))
      return { columns, rows: reader.getRowsJson() }
    },
    close() {
      connection.closeSync()
      instance.closeSync()
    },
  }
}
