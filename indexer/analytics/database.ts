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
import { copyJournals } from './kept.ts'

/** Statements inside one write transaction. Big numbers and times in rows are strings. */
export type Transaction = {
  run(sql: string, values?: DuckDBValue[]): Promise<void>
  rows<T extends Record<string, Json>>(sql: string, values?: DuckDBValue[]): Promise<T[]>
}

/** The one DuckDB file of a data folder; this process alone has it open. */
export type Database = {
  /**
   * Runs `work` in a transaction, after every write asked for before; rolls back when it throws. When those who read leave it too little
   * memory they are interrupted, and it runs once more without them.
   * @throws DISK_FULL, OUT_OF_MEMORY, DATABASE_UNREADABLE, DATABASE_BROKEN when DuckDB gave up and only opening the file again helps
   */
  write<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>
  /**
   * Gives `work` a connection of its own for reading, beside all writes.
   * @throws QUERY_TOO_LARGE when a write needed the memory
   */
  read<T>(work: (connection: DuckDBConnection) => Promise<T>): Promise<T>
  /** Takes the (closed) database of another folder in this one's place, between writes and when no read is under way. */
  replace(folder: string): Promise<void>
  /**
   * Begins anew with nothing of the chain and with all that the journals told, between writes. Until it is done everything is as it
   * was, and so it stays when it fails.
   */
  renew(): Promise<void>
  close(): Promise<void>
}

const FILE = 'multiverse.duckdb'
/** Folder of the database that takes this one's place. */
const RENEWED = 'renewed'
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
  const readers = new Set<Reader>()
  /** Runs `work` after every write asked for before. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const run = last.then(work)
    last = run.catch(() => undefined)
    return run
  }
  /** Runs `work` when nobody reads any more; who wants to read waits for it. */
  const withoutReaders = async <T>(work: () => Promise<T>): Promise<T> => {
    const turn = Promise.withResolvers<void>()
    gate.closed = turn.promise
    try {
      await Promise.all([...readers].map(({ ended }) => ended))
      return await work()
    } finally {
      gate.closed = null
      turn.resolve()
    }
  }
  const swap = (other: string) =>
    withoutReaders(async () => {
      // Closing moves all that is in the log into the file, and removes the log.
      closeFile(opened)
      await rm(`${path}.wal`, { force: true })
      await rename(join(other, FILE), path)
      opened = await openFile(path, deployment)
    })
  const database: Database = {
    write(work) {
      const attempt = () => transact(opened.connection, work)
      return inTurn(async () => {
        try {
          return await attempt()
        } catch (error) {
          const lacksMemory = isMultiverseError(error) && error.code === 'OUT_OF_MEMORY'
          if (!lacksMemory || readers.size === 0) throw error
          for (const reader of readers) reader.interrupt()
          return withoutReaders(attempt)
        }
      })
    },
    async read(work) {
      while (gate.closed !== null) await gate.closed
      let connection: DuckDBConnection | undefined
      let isInterrupted = false
      const ended = Promise.withResolvers<void>()
      const reader: Reader = {
        ended: ended.promise,
        interrupt() {
          isInterrupted = true
          connection?.interrupt()
        },
      }
      // Before anything is waited for, so that whoever closes the gate knows of it.
      readers.add(reader)
      try {
        connection = await opened.instance.connect()
        return await work(connection)
      } catch (cause) {
        if (!isInterrupted) throw cause
        const message = 'what is asked for at once takes memory that the mirror needs'
        throw new MultiverseError('QUERY_TOO_LARGE', message, { cause, isRetryable: true })
      } finally {
        connection?.closeSync()
        readers.delete(reader)
        ended.resolve()
      }
    },
    replace: (other) => inTurn(() => swap(other)),
    renew: () =>
      inTurn(async () => {
        const beside = join(folder, RENEWED)
        try {
          const fresh = await openDatabase(beside, deployment)
          try {
            await copyJournals(database, fresh)
          } finally {
            await fresh.close()
          }
          await swap(beside)
        } finally {
          await rm(beside, { recursive: true, force: true })
        }
      }),
    async close() {
      await last
      closeFile(opened)
    },
  }
  try {
    // Of a process that was killed.
    await rm(join(folder, RENEWED), { recursive: true, force: true })
    // Blocks that were mirrored before an oracle was known lack its events: all are read again.
    if (await database.write((tx) => lacksOracles(tx, deployment))) await database.renew()
    return database
  } catch (error) {
    await database.close()
    throw error
  }
}

/** Somebody who reads: `ended` resolves once the connection is closed. */
type Reader = { ended: Promise<void>; interrupt(): void }

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

/** Whether DuckDB says that it may not take as much memory as it would need. */
export const isOutOfMemory = (reason: string): boolean => reason.startsWith('Out of Memory Error')

/** What went wrong below the SQL gets a code: the file is as the last transaction left it, and the process must end. */
function storageError(cause: unknown): unknown {
  const reason = oneLine(cause)
  if (/No space left|File too large|[Dd]isk quota|out of disk/.test(reason))
    return new MultiverseError('DISK_FULL', reason, { cause, isRetryable: true })
  if (isOutOfMemory(reason))
    return new MultiverseError('OUT_OF_MEMORY', reason, { cause, isRetryable: true })
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

type Oracle = { kind: string; oracle: string }

async function unknownOracles(tx: Transaction, deployment: Deployment): Promise<Oracle[]> {
  const known = await tx.rows<{ oracle: string }>('SELECT oracle FROM oracles')
  return Object.entries(oraclesOf(deployment))
    .map(([kind, oracle]) => ({ kind, oracle: oracle.toLowerCase() }))
    .filter(({ oracle }) => !known.some((each) => each.oracle === oracle))
}

async function hasBlocks(tx: Transaction): Promise<boolean> {
  return (await tx.rows('SELECT 1 FROM mirror WHERE head_number IS NOT NULL')).length > 0
}

/** Notes the deployment's oracles while nothing is mirrored yet. */
async function adoptOracles(tx: Transaction, deployment: Deployment): Promise<void> {
  if (await hasBlocks(tx)) return
  for (const { kind, oracle } of await unknownOracles(tx, deployment))
    await tx.run('INSERT INTO oracles VALUES ($1, $2)', [oracle, kind])
}

async function lacksOracles(tx: Transaction, deployment: Deployment): Promise<boolean> {
  return (await unknownOracles(tx, deployment)).length > 0
}
