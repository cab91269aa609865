import { randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMultiverseError, MultiverseError } from '../errors.ts'

/** A held lock; releasing it twice is harmless. */
export type Lock = { release(): Promise<void> }

type Holder = { pid: number; startedAt: string | null; token: string }

/**
 * Takes the exclusive lock file at `path`, so that one process at a time works on what it stands for. A lock whose
 * process is gone is taken over.
 * @throws LOCKED naming the process that holds it.
 */
export async function acquireLock(path: string): Promise<Lock> {
  await mkdir(dirname(path), { recursive: true })
  const holder: Holder = {
    pid: process.pid,
    startedAt: await startTime(process.pid),
    token: randomUUID(),
  }
  const mine = `${path}.${holder.token}`
  await writeFile(mine, JSON.stringify(holder), { mode: 0o600 })
  try {
    for (;;) {
      try {
        // link is atomic and fails when the name is taken, and the file is whole from its first moment.
        await link(mine, path)
        return { release: () => release(path, holder) }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
      const other = await readHolder(path)
      if (other === undefined) continue
      if (await isAlive(other))
        throw new MultiverseError('LOCKED', `${path} is held by process ${other.pid}`)
      await removeStale(path, other)
    }
  } finally {
    await rm(mine, { force: true })
  }
}

/**
 * The same, waiting for a holder that is about to end.
 * @throws LOCKED when it still holds it after `patienceMs`
 */
export async function acquireLockWithin(path: string, patienceMs: number): Promise<Lock> {
  const until = Date.now() + patienceMs
  for (;;) {
    try {
      return await acquireLock(path)
    } catch (error) {
      if (!isMultiverseError(error, 'LOCKED') || Date.now() > until) throw error
    }
    await sleep(20)
  }
}

/** The process that holds the lock at `path`; null when none does. */
export async function lockHolder(path: string): Promise<number | null> {
  const holder = await readHolder(path)
  return holder !== undefined && (await isAlive(holder)) ? holder.pid : null
}

async function release(path: string, holder: Holder): Promise<void> {
  const present = await readHolder(path)
  if (present?.token === holder.token) await unlink(path)
}

/** Moves the stale lock aside before removing it, so that a lock taken in between by another process is put back. */
async function removeStale(path: string, stale: Holder): Promise<void> {
  const aside = `${path}.stale.${randomUUID()}`
  try {
    await rename(path, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  const moved = await readHolder(aside)
  if (moved !== undefined && moved.token !== stale.token) await link(aside, path)
  await rm(aside, { force: true })
}

async function readHolder(path: string): Promise<Holder | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    return JSON.parse(text) as Holder
  } catch (cause) {
    throw new MultiverseError('LOCK_CORRUPT', `${path} is not a lock file: remove it`, { cause })
  }
}

/** Whether the process with this id still runs and is the same one, not a later one with its number. */
async function isAlive({ pid, startedAt }: Holder): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
  }
  return startedAt === null || (await startTime(pid)) === startedAt
}

/**
 * When a process started, as the kernel counts it; null when it has ended, or where there is no procfs. One whose end
 * nobody has taken note of, as may be for long in a container, has ended too.
 */
export async function startTime(pid: number): Promise<string | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    // The command name, in parentheses, may hold spaces; the state follows it, and field 22 is the 20th after it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null)
  } catch (error) {
    // ESRCH: it ended between the file being opened and read.
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return null
    throw error
  }
}
