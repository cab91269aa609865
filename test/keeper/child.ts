import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'

// A keeper as a process of its own, the way the stack runs it.

const MAIN = fileURLToPath(new URL('../../keeper/main.ts', import.meta.url))
/** A keeper that ends itself where it is told, and tells what lives at its providers. */
export const CRASH_CHILD = fileURLToPath(new URL('./crash/child.ts', import.meta.url))

/** For processes that live for seconds: a database's code that is compiled once more, to be faster later, is not worth it. */
const SHORT_LIVED = ['--liftoff-only']

type LogLine = Record<string, unknown> & { msg: string }

export type KeeperProcess = {
  pid: number
  /** Its log so far. */
  lines: LogLine[]
  /** What it wrote that is no log line. */
  errors: string[]
  /** Resolves with the first line that says so, from the first on; rejects when it ends without. */
  says: (msg: string, matches?: (line: LogLine) => boolean) => Promise<LogLine>
  /** Resolves when its log has so many lines. */
  saysMuch: (count: number) => Promise<void>
  port: () => Promise<number>
  signal: (signal: NodeJS.Signals) => void
  /** Ends what it reads from, as a supervisor does that is gone. */
  closeInput: () => void
  /** Its exit code, or the signal that ended it. */
  ended: Promise<number | NodeJS.Signals | null>
}

/**
 * `cache` is a folder for what the next one need not compile again; `inputs` is what descriptors from 3 on hold; `main` is
 * another entry point than the keeper's own; `within` is a command that becomes the one that follows it; `isLasting` says that
 * it lives for longer than seconds.
 */
export function spawnKeeper(
  env: Record<string, string>,
  cache: string,
  {
    inputs = [],
    main = MAIN,
    within = [],
    isLasting = false,
  }: {
    inputs?: readonly string[]
    main?: string
    within?: readonly string[]
    isLasting?: boolean
  } = {},
): KeeperProcess {
  const [command, ...args] = [...within, process.execPath, ...(isLasting ? [] : SHORT_LIVED), main]
  const child: ChildProcess = spawn(command, args, {
    env: { PATH: process.env['PATH'] ?? '', NODE_COMPILE_CACHE: cache, ...env },
    stdio: ['pipe', 'inherit', 'pipe', ...inputs.map(() => 'pipe' as const)],
  })
  for (const [index, text] of inputs.entries()) {
    const descriptor = child.stdio[index + 3] as Writable
    // It may end without having read it.
    descriptor.on('error', () => {})
    descriptor.end(text)
  }
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const lines: LogLine[] = []
  const errors: string[] = []
  const waiting = new Set<() => void>()
  createInterface({ input: child.stderr! }).on('line', (line) => {
    if (line.startsWith('{')) lines.push(JSON.parse(line) as LogLine)
    else errors.push(line)
    for (const look of waiting) look()
  })
  let hasEnded = false
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.once('close', (code, signal) => {
      process.removeListener('exit', kill)
      hasEnded = true
      resolve(code ?? signal)
      for (const look of waiting) look()
    })
  })
  const until = <T>(what: string, find: () => T | undefined): Promise<T> =>
    new Promise((resolve, reject) => {
      function look() {
        const found = find()
        if (found === undefined && !hasEnded) return
        waiting.delete(look)
        if (found !== undefined) resolve(found)
        else reject(new Error(`it ended without saying ${what}: ${errors.join('; ')}`))
      }
      waiting.add(look)
      look()
    })
  const says: KeeperProcess['says'] = (msg, matches = () => true) =>
    until(msg, () => lines.find((line) => line.msg === msg && matches(line)))
  return {
    pid: child.pid!,
    lines,
    errors,
    says,
    saysMuch: async (count) => {
      await until(`${count} lines`, () => (lines.length >= count ? true : undefined))
    },
    port: async () => (await says('http.listening'))['port'] as number,
    signal: (signal) => void child.kill(signal),
    closeInput: () => void child.stdin!.end(),
    ended,
  }
}
