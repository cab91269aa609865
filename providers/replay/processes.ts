import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { MultiverseError, oneLine } from '../../sdk/errors.ts'
import { createGate } from '../host/gate.ts'
import type { Redone } from './lane.ts'
import { notice, type Notice, type Order, type Source, type Task } from './protocol.ts'

/** Processes that do lanes again, one at a time each. */
export type Processes = {
  /**
   * Does a task's steps in a fresh world, and gives each as it ends; stops when `next` says so.
   * @throws REPLAY_TIMEOUT (it does not answer), REPLAY_DIED, REPLAY_INVALID (it answers what makes no sense), and what
   * the world's provider rejected the beginning with
   */
  perform: (
    task: Omit<Task, 'id'>,
    next: (step: number, redone: Redone) => boolean,
    options: { signal: AbortSignal; stepMs: number },
  ) => Promise<void>
  /** Has all processes ready, which go on to open these while they wait for tasks. */
  prepare: (sources: readonly Source[]) => Promise<void>
  close: () => Promise<void>
}

type Process = { child: ChildProcess; hear: (hearer: (event: Event) => void) => void }
type Event = { kind: 'notice'; notice: Notice } | { kind: 'broken'; error: MultiverseError }

const START_MS = 30_000
/** How long a task may wait for its world. */
const BEGIN_MS = 120_000
/** How long a task that was called off may take to end. */
const STOP_MS = 5_000
const MAX_TIMER_MS = 2 ** 31 - 1
const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url))

/** @param max as many processes live at a time */
export function createProcesses(max: number): Processes {
  const enter = createGate(max)
  const idle: Process[] = []
  const all = new Map<ChildProcess, Promise<void>>()
  let count = 0

  async function acquire(): Promise<Process> {
    for (let kept = idle.pop(); kept !== undefined; kept = idle.pop())
      if (kept.child.connected) return kept
    const started = start()
    await new Promise<void>((resolve, reject) => {
      const late = () => reject(broken('REPLAY_TIMEOUT', `no process within ${START_MS} ms`))
      const timer = setTimeout(late, START_MS)
      started.hear((event) => {
        clearTimeout(timer)
        if (event.kind === 'broken') reject(event.error)
        else resolve()
      })
    }).catch((error: unknown) => {
      started.child.kill('SIGKILL')
      throw error
    })
    return started
  }

  function start(): Process {
    const child = fork(WORKER, [], {
      env: environment(),
      execArgv: [],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    let hearer: (event: Event) => void = ignore
    const gone = new Promise<void>((resolve) => {
      const end = (why: string) => {
        hearer({ kind: 'broken', error: broken('REPLAY_DIED', `the verifier's process ${why}`) })
        all.delete(child)
        resolve()
      }
      child.once('exit', (code, signal) => end(`ended with ${signal ?? `code ${code}`}`))
      child.once('error', (error) => end(`failed: ${oneLine(error)}`))
    })
    child.on('message', (message) => {
      const parsed = notice.safeParse(message)
      hearer(
        parsed.success
          ? { kind: 'notice', notice: parsed.data }
          : { kind: 'broken', error: broken('REPLAY_INVALID', 'the verifier makes no sense') },
      )
    })
    all.set(child, gone)
    return { child, hear: (next) => (hearer = next) }
  }

  return {
    perform: (given, next, { signal, stepMs }) =>
      enter(async () => {
        signal.throwIfAborted()
        const worker = await acquire()
        if (signal.aborted) {
          idle.push(worker)
          throw signal.reason
        }
        const task: Task = { ...given, id: ++count }
        try {
          await carry(worker, task, next, signal, stepMs)
          idle.push(worker)
        } catch (error) {
          // One that has said how its task ended can be given another.
          if (error instanceof Lost) idle.push(worker)
          else worker.child.kill('SIGKILL')
          throw error instanceof Lost ? error.cause : error
        } finally {
          worker.hear(ignore)
        }
      }),

    prepare: async (sources) => {
      const started = await Promise.allSettled(
        Array.from({ length: max }, () =>
          enter(async () => {
            const worker = await acquire()
            for (const source of sources)
              worker.child.send({ kind: 'open', source } satisfies Order)
            return worker
          }),
        ),
      )
      const failed = started.find((each) => each.status === 'rejected')
      for (const each of started) if (each.status === 'fulfilled') idle.push(each.value)
      if (failed) throw failed.reason
    },

    close: async () => {
      const ends = [...all]
      for (const [child] of ends) {
        if (child.connected) child.disconnect()
        const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
        child.once('exit', () => clearTimeout(timer))
      }
      await Promise.all(ends.map(([, gone]) => gone))
      idle.length = 0
    },
  }
}

/** What engines are found by, and where they keep what is made once for the whole machine. No secret is passed on. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    ['PATH', 'HOME', 'XDG_CACHE_HOME', 'TMPDIR', 'NODE_COMPILE_CACHE'].flatMap((name) => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )
}

/** A task that ended with an error, and left its process well. */
class Lost extends Error {}

/** Has a process do one task; it is called off when `next` or the signal says so, and waited for. */
function carry(
  { child, hear }: Process,
  task: Task,
  next: (step: number, redone: Redone) => boolean,
  signal: AbortSignal,
  stepMs: number,
): Promise<void> {
  const late = () => broken('REPLAY_TIMEOUT', `a step has not ended within ${stepMs} ms`)
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined
    let due = 0
    let isStopped = false
    const fail = (error: unknown) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      reject(error)
    }
    const wait = (ms: number, error: () => Error) => {
      clearTimeout(timer)
      timer = setTimeout(() => fail(error()), Math.min(ms, MAX_TIMER_MS))
    }
    const stop = () => {
      isStopped = true
      child.send({ kind: 'stop', id: task.id } satisfies Order)
      wait(STOP_MS, () => (signal.aborted ? (signal.reason as Error) : late()))
    }
    signal.addEventListener('abort', stop)
    hear((event) => {
      if (event.kind === 'broken') return fail(event.error)
      const { notice: told } = event
      if (!('id' in told) || told.id !== task.id)
        return fail(broken('REPLAY_INVALID', 'the verifier tells of what it was not asked'))
      if (told.kind === 'lost') {
        const { code, message, isRetryable } = told
        const cause = new MultiverseError(code, message, { isRetryable })
        return fail(new Lost('lost', { cause: signal.aborted ? signal.reason : cause }))
      }
      if (told.kind === 'over') {
        if (signal.aborted) return fail(new Lost('aborted', { cause: signal.reason }))
        if (!isStopped && due !== task.steps.length)
          return fail(broken('REPLAY_INVALID', 'the verifier left steps out'))
        clearTimeout(timer)
        signal.removeEventListener('abort', stop)
        return resolve()
      }
      if (isStopped) return undefined
      if (told.kind === 'begun') return wait(stepMs, late)
      if (told.step !== due++)
        return fail(broken('REPLAY_INVALID', 'the verifier took another order'))
      wait(stepMs, late)
      return next(told.step, toRedone(told)) ? undefined : stop()
    })
    // The first task of a provider waits for it to open, which may take longer than any step.
    wait(BEGIN_MS, () => broken('REPLAY_TIMEOUT', `no world within ${BEGIN_MS} ms`))
    child.send({ kind: 'task', ...task } satisfies Order)
  })
}

function ignore(): void {}

function toRedone(told: Extract<Notice, { kind: 'done' | 'failed' }>): Redone {
  return told.kind === 'done'
    ? { kind: 'done', stateRoot: told.stateRoot, value: told.value }
    : { kind: 'failed', code: told.code, message: told.message }
}

function broken(code: string, message: string): MultiverseError {
  return new MultiverseError(code, message, { isRetryable: code !== 'REPLAY_INVALID' })
}
