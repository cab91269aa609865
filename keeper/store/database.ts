import { access, mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { type Db as BossDb, PgBoss } from 'pg-boss'
import { createGate } from '../../providers/host/gate.ts'
import type { MultiverseError } from '../../sdk/errors.ts'
import { acquireLock } from '../../sdk/node/lock.ts'
import { errorFields, type Log } from '../log.ts'
import { databaseError, endAtPanic, openingError } from './faults.ts'
import { createStatements } from './statements.ts'

/** Runs one statement with `$1` parameters and gives its rows. JSON columns come parsed. */
export type Query = <Row extends object>(sql: string, values?: readonly unknown[]) => Promise<Row[]>

/** Statements that commit together. Only these may be run until the transaction ends. */
export type Transact = {
  query: Query
  boss: BossDb
  /** Resolves when it is over: whether it was committed. */
  ended: Promise<boolean>
}

/** A Postgres, in a folder or on a server, with the job queue in it. */
export type Database = {
  query: Query
  /** @throws what `work` throws, after everything was rolled back; DATABASE_FAILED, DISK_FULL (retryable) from the database */
  transaction<T>(work: (tx: Transact) => Promise<T>): Promise<T>
  boss: PgBoss
  /** Whether no other process can be working on it. */
  isSole: boolean
  close(): Promise<void>
}

const BOSS_SCHEMA = 'pgboss'
const BOSS_OPTIONS = {
  schema: BOSS_SCHEMA,
  // Nothing is scheduled by time of day, and no job waits for another.
  schedule: false,
  flowIntervalSeconds: 3_600,
}

/**
 * Opens PGlite in `folder`, which one process at a time may do: a second would silently lose what the first wrote.
 * @param onPanic it can do nothing any more: the process is to be ended
 * @throws LOCKED, DATABASE_FAILED, DATABASE_UNREADABLE, DISK_FULL
 */
export async function openFolder(
  folder: string,
  log: Log,
  onPanic: (error: MultiverseError) => void = () => {},
): Promise<Database> {
  // Beside the folder, which is the database's own.
  const lock = await acquireLock(`${folder}.lock`).catch(fail)
  let hasPanicked = false
  try {
    await createFolder(folder)
    const pglite = await PGlite.create(folder)
    const guarded = endAtPanic(pglite, (error) => {
      hasPanicked = true
      onPanic(error)
    })
    const statements = createStatements(pglite, guarded)
    const query: Query = async <Row extends object>(sql: string, values?: readonly unknown[]) =>
      attempt(() => statements.run<Row>(sql, values))
    /** There is one connection: a statement outside a transaction waits until that is over. */
    const inTurn = createGate(1)
    const boss = new PgBoss({
      ...BOSS_OPTIONS,
      backend: 'pglite',
      db: { executeSql: (sql, values) => inTurn(() => bossStatement(pglite, query, sql, values)) },
    })
    await startBoss(boss, log)
    return {
      query: (sql, values) => inTurn(() => query(sql, values)),
      boss,
      isSole: true,
      transaction: (work) =>
        ending((ended) =>
          inTurn(async () => {
            attempt(() => statements.command('begin'))
            try {
              const result = await work({
                query,
                boss: { executeSql: async (sql, values) => ({ rows: await query(sql, values) }) },
                ended,
              })
              const done = attempt(() => statements.command('commit'))
              if (done !== 'COMMIT') fail(new Error('a statement of the transaction had failed'))
              return result
            } catch (error) {
              try {
                statements.command('rollback')
              } catch {
                // Nothing is left to take back in a database that is gone; why it is gone is what counts.
              }
              throw error
            }
          }),
        ),
      async close() {
        await boss.stop({ graceful: false, close: false })
        if (!hasPanicked) await pglite.close()
        await lock.release()
      },
    }
  } catch (error) {
    await lock.release()
    throw await openingError(folder, error)
  }
}

/** Connects to a Postgres server. @throws DATABASE_FAILED */
export async function openServer(url: string, log: Log): Promise<Database> {
  const boss = new PgBoss({
    ...BOSS_OPTIONS,
    connectionString: url,
    // How often jobs of keepers that are gone are looked for.
    superviseIntervalSeconds: 5,
    monitorIntervalSeconds: 5,
  })
  await startBoss(boss, log)
  const pool = boss.getDb()
  return {
    query: queryServer(pool),
    boss,
    isSole: false,
    transaction: (work) =>
      ending(async (ended) => {
        const transaction = await pool.beginTransaction!().catch(fail)
        try {
          const { db } = transaction
          const result = await work({
            query: queryServer(db),
            boss: { executeSql: (sql, values) => db.executeSql(sql, values).catch(fail) },
            ended,
          })
          await transaction.commit().catch(fail)
          return result
        } catch (error) {
          // With its connection the transaction is gone as well.
          await transaction.rollback().catch(() => {})
          throw error
        }
      }),
    close: () => boss.stop({ graceful: false }),
  }
}

/** Makes a new database whole or not at all: one that was killed while it was being made could never be opened. */
async function createFolder(folder: string): Promise<void> {
  const isThere = await access(join(folder, 'PG_VERSION')).then(
    () => true,
    () => false,
  )
  if (isThere) return
  const unfinished = `${folder}.unfinished`
  await rm(unfinished, { recursive: true, force: true })
  await mkdir(dirname(folder), { recursive: true, mode: 0o700 })
  const pglite = await PGlite.create(unfinished)
  await pglite.close()
  await rename(unfinished, folder)
}

/** Runs a transaction that can tell others when it is over. */
async function ending<T>(transact: (ended: Promise<boolean>) => Promise<T>): Promise<T> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  try {
    const result = await transact(promise)
    resolve(true)
    return result
  } catch (error) {
    resolve(false)
    throw error
  }
}

/** Runs what pg-boss wants run. Without parameters that may be several statements, whose rows it takes as one. */
async function bossStatement(
  pglite: PGlite,
  query: Query,
  sql: string,
  values: readonly unknown[] = [],
): Promise<{ rows: object[] }> {
  if (values.length > 0) return { rows: await query(sql, values) }
  try {
    const results = await pglite.exec(sql)
    return { rows: results.flatMap(({ rows }) => rows as object[]) }
  } catch (error) {
    // It may have begun a transaction, and counts on another connection for what comes next.
    await pglite.exec('rollback').catch(() => {})
    throw error
  }
}

function queryServer(on: BossDb): Query {
  return async function query<Row extends object>(sql: string, values?: readonly unknown[]) {
    const { rows } = await on.executeSql(sql, values && [...values]).catch(fail)
    return rows as Row[]
  }
}

async function startBoss(boss: PgBoss, log: Log): Promise<void> {
  boss.on('error', (error) => {
    // It gives an error's fields as well as errors.
    const { message } = error as { message: string }
    log.error(errorFields(databaseError(new Error(message, { cause: error }))), 'queue.failed')
  })
  boss.on('warning', ({ message }) => log.warn({ message }, 'queue.warned'))
  await boss.start().catch(fail)
}

/** @throws DATABASE_FAILED, DISK_FULL for whatever `work` throws */
function attempt<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    return fail(error)
  }
}

function fail(cause: unknown): never {
  throw databaseError(cause)
}
