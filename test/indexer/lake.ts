import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { parquetReadObjects } from 'hyparquet'
import { expect } from 'vitest'
import type { Manifest } from '../../cli/export/manifest.ts'
import type { Stage } from './stage.ts'

// An export as others read it.

export async function manifest(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as Manifest
}

/** Every table of the export holds what the analytics say of the settled blocks, for both readers. */
export async function expectReadBack(stage: Stage, folder: string): Promise<void> {
  const { files, settled } = await manifest(folder)
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    for (const table of new Set(files.map((file) => file.table))) {
      const source = `read_parquet('${folder}/${table}/*/*/*.parquet', hive_partitioning = true)`
      const sql = `SELECT CAST(COLUMNS(* EXCLUDE (chain_id, day)) AS VARCHAR) FROM ${source} ORDER BY ALL`
      const reader = await connection.runAndReadAll(sql)
      const [columns, rows] = [reader.columnNames(), reader.getRowsJson()]
      const where = table === 'journal' ? '' : `WHERE block_number <= ${settled}`
      const names = columns.map((column) => `"${column}"::VARCHAR`).join(', ')
      const expected = await stage.query(`SELECT ${names} FROM ${table} ${where} ORDER BY ALL`)
      expect({ table, rows }).toEqual({ table, rows: expected })

      const parts = files.filter((file) => file.table === table)
      const read = await Promise.all(
        parts.map(async ({ path }) => {
          const bytes = await readFile(join(folder, path))
          return parquetReadObjects({
            file: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength),
          })
        }),
      )
      // Plain texts are compared one by one; the rest is a matter of how each reader writes a value.
      const texts = columns.filter((column) =>
        ['event_id', 'verse', 'position', 'amount', 'question', 'event', 'owner'].includes(column),
      )
      const pick = (cells: unknown[]) => JSON.stringify(cells.map(String))
      const theirs = read.flat().map((row) => pick(texts.map((column) => plain(row[column]))))
      const ours = expected.map((row) => pick(texts.map((column) => row[columns.indexOf(column)])))
      expect({ table, rows: theirs.toSorted() }).toEqual({ table, rows: ours.toSorted() })
    }
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

function plain(cell: unknown): unknown {
  return typeof cell === 'object' && cell !== null ? JSON.stringify(cell) : cell
}
