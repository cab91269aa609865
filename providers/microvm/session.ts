import { randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MultiverseError } from '../../sdk/errors.ts'

/**
 * A folder for what lives as long as one provider: its machines, and the images they came from. Whoever opens a session
 * beside it after its process has died ends what is left of its machines and removes it.
 */
export type Session = {
  folder: string
  /** A new folder in it. */
  makeFolder: () => Promise<string>
  /** Whether no other process has a session beside it. */
  isAlone: () => Promise<boolean>
  /** Removes it with all that is in it. */
  close: () => Promise<void>
}

type Owner = { pid: number; startedAt: string }

const OWNER = 'owner.json'
/** Processes that were sent SIGKILL are gone by then. */
const PATIENCE_MS = 5_000

/** Opens a session in `home`, after clearing away those whose processes have died. */
export async function openSession(home: string): Promise<Session> {
  await mkdir(home, { recursive: true, mode: 0o700 })
  for (const name of await readdir(home)) {
    const folder = join(home, name)
    if (!(await isOwned(folder))) await clear(folder)
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
    close: () => clear(folder),
  }
}

async function clear(folder: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const pids = await processesIn(folder)
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
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
  if (text === null) return null
  // The fields after the command, which may hold anything: state is the first, the start time the twentieth.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' ? null : (fields[19] ?? null)
}

/** Live processes that work in a folder of this folder: every machine works in one of its own. */
async function processesIn(folder: string): Promise<number[]> {
  const found: number[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const place = await readlink(`/proc/${name}/cwd`).catch(() => '')
    if (place.startsWith(folder + sep) && (await startOf(Number(name))) !== null)
      found.push(Number(name))
  }
  return found
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
