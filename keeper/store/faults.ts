import type { PGlite } from '@electric-sql/pglite'
import { hasCode, isFull } from '../../providers/host/files.ts'
import { isMultiverseError, MultiverseError, oneLine } from '../../sdk/errors.ts'

// What databases fail with, in words of the project.

/** What Postgres says when a file cannot grow. */
const NO_ROOM = /no space left on device|disk quota exceeded/i

/** A failed statement, or a failed look at the folder, as DISK_FULL or DATABASE_FAILED (both retryable). */
export function databaseError(cause: unknown): MultiverseError {
  if (isMultiverseError(cause)) return cause
  const message = oneLine(cause)
  const isOutOfRoom = hasCode(cause, 'ENOSPC', 'EDQUOT', '53100') || NO_ROOM.test(message)
  return isOutOfRoom
    ? new MultiverseError('DISK_FULL', `the disk is full: ${message}`, { cause, isRetryable: true })
    : new MultiverseError('DATABASE_FAILED', message, { cause, isRetryable: true })
}

/** Whether something could not be written down, or read from the books. */
export function isDatabaseError(error: unknown): boolean {
  return isMultiverseError(error, 'DATABASE_FAILED') || isMultiverseError(error, 'DISK_FULL')
}

/**
 * The error of a database in a folder that could not be opened, where PGlite does not say why: as {@link databaseError}, or
 * DATABASE_UNREADABLE (not retryable) when what is in the folder is damaged.
 */
export async function openingError(folder: string, cause: unknown): Promise<MultiverseError> {
  const error = databaseError(cause)
  if (error.code === 'DISK_FULL') return error
  if (await isFull(folder).catch(() => false)) {
    const text = `the disk is full: the books in ${folder} cannot be opened`
    return new MultiverseError('DISK_FULL', text, { cause, isRetryable: true })
  }
  if (!isDamage(cause)) return error
  const text = `the books in ${folder} cannot be read: ${error.message}`
  return new MultiverseError('DATABASE_UNREADABLE', text, { cause })
}

/** What it ends with while it recovers a damaged database: of its own, Postgres would end its process. */
function isDamage(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false
  return (
    cause.name === 'RuntimeError' ||
    cause.message === 'PGlite failed to initialize properly' ||
    // "Internal error", with corrupted data and indexes.
    ('code' in cause && /^XX\d{3}$/.test(String(cause.code)))
  )
}

/**
 * Has a database end with its first PANIC. Postgres panics when it cannot write its log, and expects to be started anew; PGlite
 * would spin in the next statement, and with it the whole process, for ever. `onPanic` is to end the process: nothing that was
 * committed is lost, and the next start reads the log again. What speaks to the database by other ways than its own is to do so
 * through the function given.
 */
export function endAtPanic(
  pglite: PGlite,
  onPanic: (error: MultiverseError) => void,
): <T>(work: () => T) => T {
  const execute = pglite.execProtocolStream.bind(pglite)
  let panic: MultiverseError | null = null
  const judged = (error: unknown): unknown => {
    if (severityOf(error) !== 'PANIC') return error
    panic = databaseError(error)
    onPanic(panic)
    return panic
  }
  pglite.execProtocolStream = async (message, options) => {
    if (panic !== null) throw panic
    try {
      return await execute(message, options)
    } catch (error) {
      throw judged(error)
    }
  }
  return (work) => {
    if (panic !== null) throw panic
    try {
      return work()
    } catch (error) {
      throw judged(error)
    }
  }
}

function severityOf(error: unknown): unknown {
  return error instanceof Error && 'severity' in error ? error.severity : undefined
}
