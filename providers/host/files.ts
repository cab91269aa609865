import { createHash, hash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import {
  constants,
  copyFile,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  statfs,
  utimes,
} from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { MultiverseError } from '../../sdk/errors.ts'

/** What something's name ends with as long as it is not whole. */
const UNFINISHED = '.unfinished'
/** What is unfinished for this long was left behind by a crash, milliseconds. */
const ABANDONED_MS = 600_000
const MONTH_MS = 30 * 24 * 3_600_000
/** Files up to this size are read in one piece. */
const SMALL_BYTES = 16_777_216

/** `$XDG_CACHE_HOME/multiverse/<name>`: what is made once and used by every provider on the machine. */
export function cacheDir(name: string): string {
  const { XDG_CACHE_HOME } = process.env
  const home = XDG_CACHE_HOME || join(homedir(), '.cache')
  return join(home, 'multiverse', name)
}

/** Gives a file a second name, or where that cannot be, a copy. */
export async function share(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    if (!hasCode(error, 'EXDEV', 'EPERM', 'EMLINK')) throw error
    await copyFile(from, to, constants.COPYFILE_FICLONE)
  }
}

/** SHA-256 of a file's bytes, as hex. */
export async function hashFile(path: string): Promise<string> {
  const { size } = await stat(path)
  if (size <= SMALL_BYTES) return hash('sha256', await readFile(path), 'hex')
  const sum = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1_048_576 }))
    sum.update(chunk as Buffer)
  return sum.digest('hex')
}

export function hashJson(value: unknown): string {
  return hash('sha256', JSON.stringify(value), 'hex')
}

/**
 * Makes a folder whole or not at all: `fill` works in another one beside it. When the folder has come to be meanwhile, by
 * another's doing, that one stands.
 */
export async function makeFolder(
  path: string,
  fill: (folder: string) => Promise<void>,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const unfinished = `${path}.${process.pid}.${randomUUID().slice(0, 8)}${UNFINISHED}`
  try {
    await mkdir(unfinished, { mode: 0o700 })
    await fill(unfinished)
    await moveUnlessTaken(unfinished, path)
  } finally {
    await rm(unfinished, { recursive: true, force: true })
  }
}

/** Moves a folder to a name on the same file system; a folder of that name that is not empty stays, and wins. */
export async function moveUnlessTaken(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    if (!hasCode(error, 'EEXIST', 'ENOTEMPTY')) throw error
  }
}

/** Writes a file whole or not at all. It would survive a power cut. */
export async function writeWhole(path: string, parts: readonly Uint8Array[]): Promise<void> {
  const unfinished = `${path}.${randomUUID()}${UNFINISHED}`
  try {
    const file = await open(unfinished, 'wx', 0o600)
    try {
      const length = parts.reduce((sum, part) => sum + part.length, 0)
      const { bytesWritten } = await file.writev(parts)
      // A disk that fills up meanwhile takes what it can, and complains the next time.
      if (bytesWritten !== length)
        throw Object.assign(new Error(`wrote ${bytesWritten} of ${length} bytes`), {
          code: 'ENOSPC',
        })
      await file.datasync()
    } finally {
      await file.close()
    }
    await rename(unfinished, path)
  } catch (error) {
    await rm(unfinished, { force: true })
    throw error
  }
  await persist([dirname(path)])
}

/** Makes a folder where things are written whole, and removes what a crash left unfinished in it. */
export async function openFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const name of await readdir(folder)) {
    if (!name.endsWith(UNFINISHED)) continue
    const path = join(folder, name)
    const found = await stat(path).catch(missing)
    if (found !== null && Date.now() - found.mtimeMs > ABANDONED_MS)
      await rm(path, { recursive: true, force: true })
  }
}

/** Notes that a cached folder has been used. */
export async function touch(folder: string): Promise<void> {
  const now = new Date()
  await utimes(folder, now, now)
}

/** Removes cached folders that have not been used for a month, and what a crash left unfinished. */
export async function prune(home: string): Promise<void> {
  await openFolder(home)
  for (const name of await readdir(home)) {
    const found = await stat(join(home, name)).catch(missing)
    if (found !== null && Date.now() - found.mtimeMs > MONTH_MS)
      await rm(join(home, name), { recursive: true, force: true })
  }
}

/** Sees to it that files and a folder's entries would survive a power cut. */
export async function persist(paths: readonly string[]): Promise<void> {
  await Promise.all(
    paths.map(async (path) => {
      const file = await open(path)
      try {
        await file.sync()
      } finally {
        await file.close()
      }
    }),
  )
}

/** Does what writes to a place. Rejects with DISK_FULL (retryable) when there is no room left. */
export async function withRoom<result>(
  place: string,
  task: () => Promise<result>,
): Promise<result> {
  try {
    return await task()
  } catch (error) {
    if (!hasCode(error, 'ENOSPC', 'EDQUOT')) throw error
    throw diskFull(place, error)
  }
}

export function diskFull(place: string, cause: unknown): MultiverseError {
  const text = `the disk is full: no room for ${place}`
  return new MultiverseError('DISK_FULL', text, { cause, isRetryable: true })
}

/** Whether there is hardly any room left where a folder is. */
export async function isFull(folder: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize < 1_048_576
}

/** Whether an error of the file system has one of these codes. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}

/** Whether an error says that a file or folder is not there. */
export function isMissing(error: unknown): boolean {
  return hasCode(error, 'ENOENT')
}

/** For `.catch`: null for what is not there. */
export function missing(error: unknown): null {
  if (!isMissing(error)) throw error
  return null
}
