import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { MultiverseError, oneLine } from '../../sdk/errors.ts'
import type { QueryResult } from './query.ts'

/** Types that Parquet has nothing exact for: their values become decimal text. */
const AS_TEXT = /\b(U?HUGEINT|BIGNUM|VARINT)\b/g
/** Names by which the reader of JSON does not know a type. */
const JSON_TYPE = /\bJSON\b/g
/** A map's rows are lists of its entries. */
const MAP_TYPE = /\bMAP\(([^(),]+), ([^(),]+)\)/g

/**
 * A result as a Parquet file. 128-bit and unlimited integers are decimal text, as Parquet would round them; JSON is text.
 * Made by a database of its own, since the one that holds the data can write no files.
 * @throws PARQUET_FAILED
 */
export async function toParquet({ columns, rows }: QueryResult): Promise<Buffer<ArrayBuffer>> {
  const folder = await mkdtemp(join(tmpdir(), 'multiverse-parquet-'))
  try {
    const source = join(folder, 'rows.json')
    const target = join(folder, 'rows.parquet')
    // By place: a result may have two columns of one name.
    const lines = rows.map((row) => JSON.stringify(Object.fromEntries(row.entries())))
    await writeFile(source, lines.join('\n'))
    const types = columns.map(({ type }, place) => `'${place}': ${quote(plainType(type), "'")}`)
    const names = columns.map(
      ({ name }, place) => `"${place}" AS ${quote(unique(columns, name, place), '"')}`,
    )
    const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
    const connection = await instance.connect()
    try {
      await connection.run(
        `COPY (SELECT ${names.join()} FROM read_json(${quote(source, "'")}, columns = {${types.join()}},
           format = 'newline_delimited', maximum_object_size = 67108864))
         TO ${quote(target, "'")} (FORMAT parquet, COMPRESSION snappy)`,
      )
    } finally {
      connection.closeSync()
      instance.closeSync()
    }
    return await readFile(target)
  } catch (cause) {
    throw new MultiverseError('PARQUET_FAILED', oneLine(cause), { cause })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function plainType(type: string): string {
  return type
    .replace(AS_TEXT, 'VARCHAR')
    .replace(JSON_TYPE, 'VARCHAR')
    .replace(MAP_TYPE, 'STRUCT("key" $1, "value" $2)[]')
}

/** A name that no earlier column has. */
function unique(columns: QueryResult['columns'], name: string, place: number): string {
  const earlier = columns.slice(0, place).filter((column) => column.name === name).length
  return earlier === 0 ? name : `${name}_${earlier + 1}`
}

function quote(text: string, mark: '"' | "'"): string {
  return `${mark}${text.replaceAll(mark, mark + mark)}${mark}`
}
