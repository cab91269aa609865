import { randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MultiverseError } from '../../sdk/errors.ts'

/**
 * A folder for what lives as long as one provider: its worlds, and the images they came from. Whoever opens a session beside
 * it after its process has died ends what is left of its worlds and removes it.
 */
export type Session = {
  folder: string
  /** A new folder in it. */
  makeFolder: () => Promise<string>
  /** Whether no other process has a session beside it. */
  isAlone: () => Promise<boolean>
  /** Ends every process of the session, and removes it with all that is in it. */
  close: () => Promise<void>
}

/** Whether a live process is of the session in a folder. */
export type Belongs = (pid: number, folder: string) => Promise<boolean>

type Owner = { pid: number; startedAt: string }

const OWNER = 'owner.json'
/** Processes that were sent SIGKILL are gone by then. */
const PATIENCE_MS = 5_000

/** Opens a session in `home`, after clearing away those whose processes have died. */
export async function openSession(home: string, belongs: Belongs): Promise<Session> {
  await mkdir(home, { recursive: true, mode: 0o700 })
  for (const name of await readdir(home)) {
    const folder = join(home, name)
    if (!(await isOwned(folder))) await clear(folder, belongs)
  }
  const startedAt = await startOf(process.pid)
  if (startedAt === null) throw new MultiverseError('PROVIDER_FAILED', '/proc has no such process')
  const folder = join(home, randomUUID().slice(0, 8))
  const unfinished = `${folder}.${process.pid}`
  await mkdir(unfinished, { mode: 0o700 })
  const owner: Owner = { pid: process.pid, startedAt }
  await writeFile(join(unfinished, OWNER), JSON.stringify(owner))
  await rename(unfinished, folder)
  return {
    folder,
    makeFolder: async () => {
      const made = join(folder, randomUUID())
      await mkdir(made, { mode: 0o700 })
      return made
    },
    isAlone: async () => (await readdir(home)).length === 1,
    close: () => clear(folder, belongs),
  }
}

async function clear(folder: string, belongs: Belongs): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const pids = await processesOf(folder, belongs)
    if (pids.length === 0) break
    if (performance.now() > deadline)
      throw new MultiverseError('PROVIDER_FAILED', `process ${pids.join(', ')} does not end`)
    for (const pid of pids) kill(pid)
    await sleep(10)
  }
  await rm(folder, { recursive: true, force: true })
}

async function isOwned(folder: string): Promise<boolean> {
  // The name tells who is making a session that has no owner's note yet.
  const maker = /\.(\d+)$/.exec(folder)?.[1]
  if (maker !== undefined) return (await startOf(Number(maker))) !== null
  try {
    const { pid, startedAt } = JSON.parse(await readFile(join(folder, OWNER), 'utf8')) as Owner
    return (await startOf(pid)) === startedAt
  } catch {
    return false
  }
}

/** When a live process began, in the kernel's own count; null when there is none. */
async function startOf(pid: number): Promise<string | null> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8')
    // The fields after the command, which may hold anything: state is the first, the start time the twentieth.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? null : (fields[19] ?? null)
  } catch {
    return null
  }
}

async function processesOf(folder: string, belongs: Belongs): Promise<number[]> {
  const found: number[] = []
  for (const name of await readdir('/proc')) {
    const pid = Number(name)
    if (!/^\d+$/.test(name) || pid === process.pid) continue
    if ((await belongs(pid, folder)) && (await startOf(pid)) !== null) found.push(pid)
  }
  return found
}

/** Ends a process; one that is gone already is fine. */
export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
