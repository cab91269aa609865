import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type DuckDBConnection,
  DuckDBInstance,
  type DuckDBValue,
  type Json,
} from '@duckdb/node-api'
import type { Deployment } from '../../sdk/deployment.ts'
import { isMultiverseError, MultiverseError, oneLine } from '../../sdk/errors.ts'
import { oraclesOf } from '../../sdk/terms.ts'
import { rollBack } from './load.ts'

/** Statements inside one write transaction. Big numbers and times in rows are strings. */
export type Transaction = {
  run(sql: string, values?: DuckDBValue[]): Promise<void>
  rows<T extends Record<string, Json>>(sql: string, values?: DuckDBValue[]): Promise<T[]>
}

/** The one DuckDB file of a data folder; this process alone has it open. */
export type Database = {
  /**
   * Runs `work` in a transaction, after every write asked for before; rolls back when it throws.
   * @throws DISK_FULL, DATABASE_UNREADABLE, DATABASE_BROKEN when DuckDB gave up and only opening the file again helps
   */
  write<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>
  /** Gives `work` a connection of its own for reading, beside all writes. */
  read<T>(work: (connection: DuckDBConnection) => Promise<T>): Promise<T>
  /** Takes the (closed) database of another folder in this one's place, between writes and when no read is under way. */
  replace(folder: string): Promise<void>
  close(): Promise<void>
}

const FILE = 'multiverse.duckdb'
const MIGRATIONS = new URL('migrations/', import.meta.url)
/** Views and macros: applied in the order of their names, as later ones use earlier ones. */
const VIEWS = new URL('views/', import.meta.url)

/**
 * What DuckDB may take of the machine. The limit is of what it keeps track of; as much again would be memory that was freed and not given
 * back, so it is given back at once, which costs a sixth of the processor's time of large queries.
 */
export const SETTINGS = {
  threads: '2',
  memory_limit: '224MB',
  allocator_flush_threshold: '1MB',
  allocator_bulk_deallocation_flush_threshold: '1MB',
  max_temp_directory_size: '2GB',
  autoinstall_known_extensions: 'false',
  autoload_known_extensions: 'false',
}

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
  const path = join(folder, FILE)
  let opened = await openFile(path, deployment)
  let last: Promise<unknown> = Promise.resolve()
  /** Set while the file is replaced: who wants to read waits for it. */
  const gate: { closed: Promise<void> | null } = { closed: null }
  const reads = new Set<Promise<unknown>>()
  /** Runs `work` after every write asked for before. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const run = last.then(work)
    last = run.catch(() => undefined)
    return run
  }
  return {
    write: (work) => inTurn(() => transact(opened.connection, work)),
    async read(work) {
      while (gate.closed !== null) await gate.closed
      const run = useConnection(opened.instance, work)
      const done = run.then(
        () => {},
        () => {},
      )
      reads.add(done)
      void done.then(() => reads.delete(done))
      return run
    },
    replace: (other) =>
      inTurn(async () => {
        const turn = Promise.withResolvers<void>()
        gate.closed = turn.promise
        try {
          await Promise.all(reads)
          // Closing moves all that is in the log into the file, and removes the log.
          closeFile(opened)
          await rm(`${path}.wal`, { force: true })
          await rename(join(other, FILE), path)
          opened = await openFile(path, deployment)
        } finally {
          gate.closed = null
          turn.resolve()
        }
      }),
    async close() {
      await last
      closeFile(opened)
    },
  }
}

type Opened = { instance: DuckDBInstance; connection: DuckDBConnection }

async function openFile(path: string, deployment: Deployment): Promise<Opened> {
  const instance = await createInstance(path)
  const opened = { instance, connection: await instance.connect() }
  try {
    await transact(opened.connection, migrate)
    await transact(opened.connection, (tx) => adopt(tx, deployment))
    await transact(opened.connection, (tx) => adoptOracles(tx, deployment))
    await opened.connection.run(LOCKDOWN)
  } catch (error) {
    closeFile(opened)
    throw error
  }
  return opened
}

async function useConnection<T>(
  instance: DuckDBInstance,
  work: (connection: DuckDBConnection) => Promise<T>,
): Promise<T> {
  const connection = await instance.connect()
  try {
    return await work(connection)
  } finally {
    connection.closeSync()
  }
}

function closeFile({ instance, connection }: Opened): void {
  connection.closeSync()
  instance.closeSync()
}

async function transact<T>(
  connection: DuckDBConnection,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  try {
    await connection.run('BEGIN TRANSACTION')
    try {
      const result = await work({
        run: async (sql, values) => {
          await connection.run(sql, values)
        },
        rows: async <R extends Record<string, Json>>(sql: string, values?: DuckDBValue[]) => {
          const reader = await connection.runAndReadAll(sql, values)
          return reader.getRowObjectsJson() as R[]
        },
      })
      await connection.run('COMMIT')
      return result
    } catch (error) {
      // A failed commit has ended the transaction already.
      await connection.run('ROLLBACK').catch(() => undefined)
      throw error
    }
  } catch (error) {
    throw isMultiverseError(error) ? error : storageError(error)
  }
}

/** What went wrong below the SQL gets a code: the file is as the last transaction left it, and the process must end. */
function storageError(cause: unknown): unknown {
  const reason = oneLine(cause)
  if (/No space left|File too large|[Dd]isk quota|out of disk/.test(reason))
    return new MultiverseError('DISK_FULL', reason, { cause, isRetryable: true })
  // Blocks are read, and their checksums seen, when they are needed.
  if (/Corrupt database file/.test(reason)) return unreadable(reason, cause)
  if (/^(FATAL|INTERNAL) Error|database has been invalidated/.test(reason))
    return new MultiverseError('DATABASE_BROKEN', reason, { cause, isRetryable: true })
  return cause
}

async function createInstance(path: string): Promise<DuckDBInstance> {
  try {
    return await DuckDBInstance.create(path, SETTINGS)
  } catch (cause) {
    throw unreadable(`${path}: ${oneLine(cause)}`, cause)
  }
}

function unreadable(reason: string, cause: unknown): MultiverseError {
  const message = `${reason}: remove it, and all is mirrored anew`
  return new MultiverseError('DATABASE_UNREADABLE', message, { cause })
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
