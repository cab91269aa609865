import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type DuckDBConnection,
  DuckDBInstance,
  type DuckDBValue,
  type Json,
} from '@duckdb/node-api'
import type { Deployment } from '../../sdk/deployment.ts'
import { MultiverseError, oneLine } from '../../sdk/errors.ts'
import { oraclesOf } from '../../sdk/terms.ts'
import { rollBack } from './load.ts'

/** Statements inside one write transaction. Big numbers and times in rows are strings. */
export type Transaction = {
  run(sql: string, values?: DuckDBValue[]): Promise<void>
  rows<T extends Record<string, Json>>(sql: string, values?: DuckDBValue[]): Promise<T[]>
}

/** The one DuckDB file of a data folder; this process alone has it open. */
export type Database = {
  /** Runs `work` in a transaction, after every write asked for before; rolls back when it throws. */
  write<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>
  /** A connection for reading. Whoever asks for one closes it. */
  connect(): Promise<DuckDBConnection>
  close(): Promise<void>
}

const MIGRATIONS = new URL('migrations/', import.meta.url)
/** Views and macros: applied in the order of their names, as later ones use earlier ones. */
const VIEWS = new URL('views/', import.meta.url)

/** Statements can reach no file, no network, no extension and none of these settings, once they are locked. */
const LOCKDOWN = `
  SET GLOBAL TimeZone = 'UTC';
  SET allow_community_extensions = false;
  SET enable_external_access = false;
  SET lock_configuration = true;
`

/**
 * Opens (or makes) the database in `folder`, whose lock the caller holds, for one deployment.
 * @throws DATABASE_UNREADABLE, SCHEMA_TOO_NEW, WRONG_DEPLOYMENT when it mirrors another deployment
 */
export async function openDatabase(folder: string, deployment: Deployment): Promise<Database> {
  await mkdir(folder, { recursive: true })
  const instance = await openFile(join(folder, 'multiverse.duckdb'))
  const connection = await instance.connect()
  const transaction: Transaction = {
    run: async (sql, values) => {
      await connection.run(sql, values)
    },
    rows: async <T extends Record<string, Json>>(sql: string, values?: DuckDBValue[]) => {
      const reader = await connection.runAndReadAll(sql, values)
      return reader.getRowObjectsJson() as T[]
    },
  }
  let last: Promise<unknown> = Promise.resolve()
  const database: Database = {
    write(work) {
      const run = last.then(async () => {
        await connection.run('BEGIN TRANSACTION')
        try {
          const result = await work(transaction)
          await connection.run('COMMIT')
          return result
        } catch (error) {
          // A failed commit has ended the transaction already.
          await connection.run('ROLLBACK').catch(() => undefined)
          throw error
        }
      })
      last = run.catch(() => undefined)
      return run
    },
    connect: () => instance.connect(),
    async close() {
      await last
      connection.closeSync()
      instance.closeSync()
    },
  }
  try {
    await database.write(migrate)
    await database.write((tx) => adopt(tx, deployment))
    await database.write((tx) => adoptOracles(tx, deployment))
    await connection.run(LOCKDOWN)
  } catch (error) {
    await database.close()
    throw error
  }
  return database
}

async function openFile(path: string): Promise<DuckDBInstance> {
  try {
    return await DuckDBInstance.create(path, {
      threads: '2',
      memory_limit: '512MB',
      max_temp_directory_size: '2GB',
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    })
  } catch (cause) {
    throw new MultiverseError('DATABASE_UNREADABLE', `${path}: ${oneLine(cause)}`, { cause })
  }
}

async function migrate(tx: Transaction): Promise<void> {
  await tx.run(
    'CREATE TABLE IF NOT EXISTS schema_migrations (version UINTEGER PRIMARY KEY, applied_at TIMESTAMP NOT NULL)',
  )
  const files = (await readdir(MIGRATIONS)).filter((name) => name.endsWith('.sql')).toSorted()
  const [row] = await tx.rows<{ version: number | null }>(
    'SELECT max(version) AS version FROM schema_migrations',
  )
  const present = row?.version ?? 0
  if (present > files.length)
    throw new MultiverseError(
      'SCHEMA_TOO_NEW',
      `the database has schema version ${present}, this program knows ${files.length}`,
    )
  for (const [index, name] of files.entries()) {
    if (index < present) continue
    await tx.run(await readFile(new URL(name, MIGRATIONS), 'utf8'))
    await tx.run("INSERT INTO schema_migrations VALUES ($1, now() AT TIME ZONE 'UTC')", [index + 1])
  }
  for (const name of (await readdir(VIEWS)).toSorted())
    await tx.run(await readFile(new URL(name, VIEWS), 'utf8'))
}

/** Takes the file for a deployment: notes which one, or sees that it is the same. */
async function adopt(tx: Transaction, deployment: Deployment): Promise<void> {
  const { chainId, addresses, startBlock, startBlockHash } = deployment
  const multiverse = addresses.multiverse.toLowerCase()
  const [row] = await tx.rows<{ chain_id: number; multiverse: string; start_block_hash: string }>(
    'SELECT chain_id, multiverse, start_block_hash FROM mirror',
  )
  if (row === undefined) {
    await tx.run(
      'INSERT INTO mirror (chain_id, multiverse, start_block, start_block_hash, settled) VALUES ($1, $2, $3, $4, 0)',
      [chainId, multiverse, startBlock, startBlockHash],
    )
    return
  }
  const same =
    row.chain_id === chainId &&
    row.multiverse === multiverse &&
    row.start_block_hash === startBlockHash
  if (!same)
    throw new MultiverseError(
      'WRONG_DEPLOYMENT',
      `the analytics database mirrors ${row.multiverse} on chain ${row.chain_id} from block ${row.start_block_hash}`,
    )
}

/** Notes the deployment's oracles. Blocks that were mirrored before one was known lack its events: all are read again. */
async function adoptOracles(tx: Transaction, deployment: Deployment): Promise<void> {
  const known = await tx.rows<{ oracle: string }>('SELECT oracle FROM oracles')
  const fresh = Object.entries(oraclesOf(deployment))
    .map(([kind, oracle]) => ({ kind, oracle: oracle.toLowerCase() }))
    .filter(({ oracle }) => !known.some((each) => each.oracle === oracle))
  for (const { kind, oracle } of fresh)
    await tx.run('INSERT INTO oracles VALUES ($1, $2)', [oracle, kind])
  if (fresh.length > 0) await rollBack(tx, BigInt(deployment.startBlock))
}
