import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { MultiverseError } from '../../sdk/errors.ts'
import { isFinalExit } from '../../sdk/node/exits.ts'
import { allKeyVariables } from '../../sdk/node/keys/keyring.ts'
import { SUPERVISED } from '../../sdk/node/lifecycle.ts'
import { describeProcess, type ProcessRecord, reap } from './record.ts'

/** A process of the stack. */
export type ProcessSpec = {
  name: string
  /** Path of its entry in the repository. */
  entry: string
  /** Options of Node itself. */
  flags?: readonly string[]
  env: Record<string, string>
  /** How often it is started again, within a minute, when it ends by itself. */
  restarts: number
}

/** Starts processes, watches them, and ends them. */
export type Supervisor = {
  start: (spec: ProcessSpec) => Promise<void>
  /** Ends the named processes, in order and then by force. */
  stop: (names: readonly string[]) => Promise<void>
  /** Rejects with CHILD_DIED once a process has ended by itself for good. */
  failure: Promise<never>
  /** Waits for `condition`, but not longer than the processes live. @throws NOT_READY after `timeoutMs`, INTERRUPTED */
  until: (what: string, condition: () => Promise<boolean>, timeoutMs: number) => Promise<void>
}

type Options = {
  logsDir: string
  /** Aborted when nothing is to be waited for any more. */
  signal: AbortSignal
  /** Called with everything that runs, each time that changes. */
  onChange: (processes: ProcessRecord[]) => Promise<void>
  /** Takes lines for people about processes that end by themselves. */
  say: (line: string) => void
}

type Managed = {
  spec: ProcessSpec
  child: ChildProcess
  records: ProcessRecord[]
  ended: Promise<void>
  startedAt: number[]
  isStopping: boolean
}

const root = fileURLToPath(new URL('../../', import.meta.url))
const STOP_MS = 12_000
const RESTART_WINDOW_MS = 60_000

/** The user's own keys are nobody else's business. */
const noKeys = Object.fromEntries(allKeyVariables().map((name) => [name, undefined]))

/** A supervisor whose children end with it however it ends: they hold the other end of a pipe. */
export function createSupervisor({ logsDir, signal, onChange, say }: Options): Supervisor {
  mkdirSync(logsDir, { recursive: true })
  const managed = new Map<string, Managed>()
  const { promise: failure, reject: fail } = Promise.withResolvers<never>()
  // Somebody may not be listening when it happens.
  failure.catch(() => {})

  const announce = () => onChange([...managed.values()].flatMap(({ records }) => records))

  const launch = async (spec: ProcessSpec, startedAt: number[]): Promise<void> => {
    const log = openSync(join(logsDir, `${spec.name}.log`), 'a')
    const child = spawn(process.execPath, [...(spec.flags ?? []), join(root, spec.entry)], {
      cwd: root,
      env: { ...process.env, ...noKeys, ...spec.env, [SUPERVISED]: '1' },
      stdio: ['pipe', log, log, 'ipc'],
      // In a group of its own, so that a terminal's Ctrl-C reaches the supervisor alone, which stops things in order.
      detached: true,
    })
    closeSync(log)
    const ended = new Promise<void>((resolve) => {
      child.once('close', () => resolve())
      child.once('error', () => resolve())
    })
    // Writing to a child that has ended is no news: its end is.
    child.stdin?.on('error', () => {})
    const entry: Managed = { spec, child, records: [], ended, startedAt, isStopping: false }
    managed.set(spec.name, entry)
    // A process may have one of its own that must not outlive it.
    child.on('message', (message) => {
      const { pid } = message as { pid: number }
      note(entry, `${spec.name}.inner`, pid).catch(fail)
    })
    ended.then(() => onEnd(entry)).catch(fail)
    if (child.pid !== undefined) await note(entry, spec.name, child.pid)
  }

  const note = async (entry: Managed, name: string, pid: number) => {
    entry.records.push(await describeProcess(name, pid))
    await announce()
  }

  const onEnd = async (entry: Managed): Promise<void> => {
    const { spec, child, startedAt } = entry
    // Whatever it had started itself and left behind.
    await reap(entry.records)
    if (entry.isStopping) return
    const reason = child.signalCode ?? `code ${child.exitCode ?? 'unknown'}`
    const recent = startedAt.filter((at) => Date.now() - at < RESTART_WINDOW_MS)
    if (recent.length <= spec.restarts && !isFinalExit(child.exitCode)) {
      say(`${spec.name} ended with ${reason}: starting it again`)
      await sleep(100 * 2 ** recent.length)
      if (!entry.isStopping) await launch(spec, [...recent, Date.now()])
      return
    }
    const logPath = join(logsDir, `${spec.name}.log`)
    const tail = await lastLines(logPath, 10)
    say(`${spec.name} ended with ${reason}; the last lines of ${logPath}:`)
    for (const line of tail) say(`  ${line}`)
    const why = tail.findLast((line) => line.startsWith('error ')) ?? tail.at(-1)
    fail(
      new MultiverseError(
        'CHILD_DIED',
        `${spec.name} ended with ${reason}${why === undefined ? '' : `: ${why}`}`,
      ),
    )
  }

  return {
    failure,
    start: (spec) => launch(spec, [Date.now()]),
    async stop(names) {
      await Promise.all(
        names.map(async (name) => {
          const entry = managed.get(name)
          if (entry === undefined) return
          entry.isStopping = true
          entry.child.kill('SIGTERM')
          const timer = setTimeout(() => entry.child.kill('SIGKILL'), STOP_MS)
          await entry.ended
          clearTimeout(timer)
          await reap(entry.records)
          managed.delete(name)
        }),
      )
    },
    until: (what, condition, timeoutMs) =>
      Promise.race([failure, waitFor(what, condition, timeoutMs, signal)]),
  }
}

async function waitFor(
  what: string,
  condition: () => Promise<boolean>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await condition())) {
    if (signal.aborted) throw new MultiverseError('INTERRUPTED', 'ended before it was done')
    if (Date.now() > deadline)
      throw new MultiverseError('NOT_READY', `${what} not ready within ${timeoutMs / 1000} s`)
    await sleep(25)
  }
}

/** The last lines of a log that are not empty. */
async function lastLines(path: string, count: number): Promise<string[]> {
  const text = await readFile(path, 'utf8')
  const lines = text.split('\n').filter((line) => line !== '')
  return lines.slice(-count)
}
