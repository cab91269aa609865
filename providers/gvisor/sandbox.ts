import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { readdir, readFile, readlink, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { MultiverseError } from '../../sdk/errors.ts'
import { startTime } from '../../sdk/node/lock.ts'
import { keepStart, firstLine, run } from '../host/commands.ts'
import { diskFull, isFull } from '../host/files.ts'
import { kill } from '../host/session.ts'
import { engineCommand, type Engine } from './engine.ts'
import { createReader, encodeRequest, type Answer, type Output, type Request } from './protocol.ts'

/** A container with a world's processes in it. It ends with this process, whatever happens to it. */
export type Sandbox = {
  /**
   * Has the world do something. One request at a time.
   * @throws PROVIDER_FAILED when the world ends, or answers nonsense: it is ended then
   */
  ask(request: Request, onOutput?: (output: Output) => void): Promise<Answer>
  /** Bytes of this machine's memory that the world takes: its processes, its files, and what gVisor keeps for them. */
  usedBytes(): Promise<number>
  /**
   * Writes its whole state to an empty folder. The container ends with it, also when that fails.
   * @throws DISK_FULL (retryable), PROVIDER_FAILED
   */
  checkpoint(folder: string): Promise<void>
  /** Ends the container; resolves when nothing of it is left. Idempotent. */
  kill(): Promise<void>
  readonly hasEnded: boolean
  /** Whether it can be asked: it may have ended, and Node not have told of it yet. */
  isAlive(): Promise<boolean>
}

/** What a container is made from. `image` is a folder of a checkpoint; without one it starts anew. */
export type SandboxOptions = {
  engine: Engine
  /** Unique on the machine. */
  id: string
  /** Folder of runsc's own, shared by the containers of a session. */
  state: string
  /** Folder with the container's `config.json`. */
  bundle: string
  image?: string
}

const START_MS = 30_000
const CHECKPOINT_MS = 60_000
/** A container whose processes were killed is gone by then. */
const END_MS = 3_000

type Runsc = ChildProcessByStdio<Writable, Readable, Readable>

/**
 * Starts or restores a container and waits for its first process to answer.
 * @throws PROVIDER_FAILED with what runsc said, DISK_FULL
 */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { engine, id, state, bundle, image } = options
  const [file, ...flags] = engineCommand(engine, state)
  const how = image === undefined ? ['run'] : ['restore', '--image-path', image]
  const child: Runsc = spawn(file, [...flags, ...how, '--bundle', bundle, id], {
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const channel = openChannel(child, id)
  const sandbox = createSandbox(child, channel, options)
  const timer = setTimeout(() => void sandbox.kill(), START_MS)
  try {
    if (image === undefined) await channel.ready
    else await channel.ask({ op: 'ping' })
    return sandbox
  } catch (error) {
    await sandbox.kill()
    throw await orFull(state, error)
  } finally {
    clearTimeout(timer)
  }
}

/** What runsc failed with, or that the disk was full: it does not say which error of the disk it met. */
async function orFull(folder: string, error: unknown): Promise<unknown> {
  return (await isFull(folder)) ? diskFull(folder, error) : error
}

function createSandbox(
  child: Runsc,
  channel: Channel,
  { engine, id, state }: SandboxOptions,
): Sandbox {
  let ending: Promise<void> | null = null
  let places: Promise<Places> | null = null

  return {
    ask: channel.ask,
    usedBytes: async () => {
      const { pid, memory } = await (places ??= findPlaces(state, id))
      const [status, ...files] = await Promise.all([
        readFile(`/proc/${pid}/status`, 'utf8'),
        ...memory.map((path) => stat(path)),
      ])
      const own = Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024
      return files.reduce((sum, { blocks }) => sum + blocks * 512, own)
    },
    checkpoint: async (folder) => {
      const [file, ...flags] = engineCommand(engine, state)
      try {
        await run(file, [...flags, 'checkpoint', '--image-path', folder, id], {
          timeoutMs: CHECKPOINT_MS,
        })
      } catch (error) {
        throw await orFull(folder, error)
      } finally {
        await (ending ??= end())
      }
    },
    kill: () => (ending ??= end(true)),
    get hasEnded() {
      return channel.hasEnded
    },
    isAlive: async () => !channel.hasEnded && (await startTime(child.pid!)) !== null,
  }

  async function end(isForced = false): Promise<void> {
    const pids = await findProcesses(state, id)
    if (isForced) for (const pid of pids) kill(pid)
    // runsc itself then sees its container end, and clears away what it kept of it.
    await Promise.race([channel.closed, sleep(END_MS, null, { ref: false })])
    child.kill('SIGKILL')
    for (const pid of pids) kill(pid)
    await channel.closed
    for (const name of await stateFiles(state, id)) await rm(join(state, name), { force: true })
  }
}

/** Lines to and from a container's first process. */
type Channel = {
  ready: Promise<void>
  ask: Sandbox['ask']
  closed: Promise<void>
  readonly hasEnded: boolean
}

function openChannel(child: Runsc, id: string): Channel {
  type Listener = {
    onOutput: ((output: Output) => void) | undefined
  } & PromiseWithResolvers<Answer>
  let listener: Listener | null = null
  let fault: MultiverseError | null = null
  let said = ''
  const read = createReader()
  const ready = Promise.withResolvers<void>()
  const closed = Promise.withResolvers<void>()
  // Who starts anew waits for it; who restores does not.
  ready.promise.catch(() => undefined)

  child.stdout.on('data', (chunk: Buffer) => {
    try {
      for (const frame of read(chunk)) {
        if (frame.kind === 'ready') ready.resolve()
        else if (frame.kind === 'output') listener?.onOutput?.(frame)
        else listener?.resolve(frame.answer)
      }
    } catch (error) {
      fail(error instanceof Error ? error.message : String(error))
    }
  })
  child.stderr.on('data', (chunk: Buffer) => (said = keepStart(said + chunk.toString())))
  child.stdin.on('error', () => undefined)
  child.on('error', (error) => {
    fail(error.message)
    closed.resolve()
  })
  child.on('close', () => {
    const first = firstLine(said)
    fail(`world ${id} has ended${first && `: ${first}`}`)
    closed.resolve()
  })

  return {
    ready: ready.promise,
    closed: closed.promise,
    ask: (request, onOutput) => {
      if (fault !== null) return Promise.reject(fault)
      const mine = { ...Promise.withResolvers<Answer>(), onOutput }
      listener = mine
      child.stdin.write(encodeRequest(request))
      return mine.promise
    },
    get hasEnded() {
      return fault !== null
    },
  }

  function fail(text: string): void {
    fault ??= new MultiverseError('PROVIDER_FAILED', text, { isRetryable: true })
    ready.reject(fault)
    listener?.reject(fault)
  }
}

/** Where a container's memory can be looked at. */
type Places = { pid: number; memory: string[] }

async function findPlaces(state: string, id: string): Promise<Places> {
  const [pid] = await findProcesses(state, id)
  if (pid === undefined) throw new MultiverseError('PROVIDER_FAILED', `runsc knows no world ${id}`)
  const folder = `/proc/${pid}/fd`
  const memory: string[] = []
  for (const name of await readdir(folder)) {
    const target = await readlink(join(folder, name)).catch(() => '')
    // A world's own memory is one file that has no name on any disk.
    if (target.startsWith('/memfd:runsc-memory')) memory.push(join(folder, name))
  }
  if (memory.length === 0)
    throw new MultiverseError('PROVIDER_FAILED', `process ${pid} of runsc has no memory file`)
  return { pid, memory }
}

/** The processes that runsc says it runs for a container: first the world's own, then the one that opens files for it. */
async function findProcesses(state: string, id: string): Promise<number[]> {
  for (const name of await stateFiles(state, id)) {
    if (!name.endsWith('.state')) continue
    const text = await readFile(join(state, name), 'utf8').catch(() => '{}')
    const { sandbox, goferPid } = parseState(text)
    return [sandbox?.pid, goferPid].filter((pid) => pid !== undefined && pid > 1) as number[]
  }
  return []
}

/** Empty while runsc is writing it. */
function parseState(text: string): { sandbox?: { pid?: number }; goferPid?: number } {
  try {
    return JSON.parse(text) as { sandbox?: { pid?: number }; goferPid?: number }
  } catch {
    return {}
  }
}

async function stateFiles(state: string, id: string): Promise<string[]> {
  return (await readdir(state)).filter((name) => name.includes(id))
}
