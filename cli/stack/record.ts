import { readFile, rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { MultiverseError } from '../../sdk/errors.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { writeJson } from '../../sdk/node/files.ts'
import { startTime } from '../../sdk/node/lock.ts'

const processSchema = z.strictObject({
  name: z.string(),
  pid: z.int().positive(),
  /** When the kernel says it started; null where it does not say. */
  startedAt: z.string().nullable(),
})

const stackSchema = z.strictObject({
  version: z.literal(1),
  supervisor: processSchema,
  chainId: z.int().positive(),
  /** Address of the stack's keeper: the oracle of the questions it answers. Null when none runs. */
  keeper: z.templateLiteral(['0x', z.string()]).nullable(),
  urls: z.strictObject({
    rpc: z.string(),
    graphql: z.string(),
    /** Base URL of the analytics: POST /sql, GET /sql, /status. */
    analytics: z.string(),
    /** Base URL of the keeper: /health, /ready, /metrics, /journal. */
    keeper: z.string(),
  }),
  processes: z.array(processSchema),
})

/** `stack.json`: a stack as its supervisor runs it. It is there only while one runs, or after one was killed. */
export type StackRecord = z.infer<typeof stackSchema>
export type ProcessRecord = z.infer<typeof processSchema>

/** How long a process that outlived its supervisor may take to stop. */
const REAP_MS = 10_000

/** This process, or a child of it, as it stands in the record. */
export async function describeProcess(name: string, pid: number): Promise<ProcessRecord> {
  return { name, pid, startedAt: await startTime(pid) }
}

/** Reads a data folder's stack; undefined when there is none. @throws STACK_INVALID */
export async function readStack(dataDir: string): Promise<StackRecord | undefined> {
  const path = dataPaths(dataDir).stack
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    return stackSchema.parse(JSON.parse(text))
  } catch (cause) {
    throw new MultiverseError('STACK_INVALID', `${path} is not a stack record: remove it`, {
      cause,
    })
  }
}

/** Writes beside and renames, so that a reader sees the whole record. */
export async function writeStack(dataDir: string, record: StackRecord): Promise<void> {
  const path = dataPaths(dataDir).stack
  // The RPC's URL can hold a key.
  await writeJson(path, record, 0o600)
}

export async function removeStack(dataDir: string): Promise<void> {
  await rm(dataPaths(dataDir).stack, { force: true })
}

/** Whether the process is still there and the same one. Where the kernel tells no start times, its number has to do. */
export async function isRunning({ pid, startedAt }: ProcessRecord): Promise<boolean> {
  if (!exists(pid)) return false
  return startedAt === null || (await startTime(pid)) === startedAt
}

/**
 * Ends what a supervisor that was killed left running, oldest last. Where the kernel tells no start times nothing is
 * touched: a number alone might by now be anybody's.
 */
export async function reap(processes: readonly ProcessRecord[]): Promise<ProcessRecord[]> {
  const reaped: ProcessRecord[] = []
  for (const each of processes.toReversed()) {
    if (each.startedAt === null || !(await isRunning(each))) continue
    signal(each.pid, 'SIGTERM')
    const until = Date.now() + REAP_MS
    while (await isRunning(each)) {
      if (Date.now() > until) signal(each.pid, 'SIGKILL')
      await sleep(20)
    }
    reaped.push(each)
  }
  return reaped
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function signal(pid: number, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
