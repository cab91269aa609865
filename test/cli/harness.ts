import { type ChildProcess, spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { execute } from '../../cli/execute.ts'

/** The command as a file that Node runs. */
export const main = fileURLToPath(new URL('../../cli/main.ts', import.meta.url))

/** What Node compiled once it need not compile for every process: half of what a short one takes. */
const compiled = fileURLToPath(new URL('../../.node/compile-cache', import.meta.url))

const nowhere = join(tmpdir(), 'multiverse-has-no-keystore')

/** What a run of the command came to. */
export type Ran = { code: number | null; stdout: string; stderr: string }

/** Runs `multiverse` with the arguments, as a process of its own. */
export function multiverse(
  args: readonly string[],
  env: Record<string, string> = {},
  inputs: readonly string[] = [],
): Promise<Ran> {
  return collect(start(args, env, 290_000, inputs))
}

/**
 * Starts `multiverse` and leaves it running, for `timeout` milliseconds at most when given. The first of the inputs is its
 * standard input, the others are what its file descriptors from 3 on hold. It has no terminal, and of this machine's
 * settings and keys it knows nothing.
 */
export function start(
  args: readonly string[],
  env: Record<string, string> = {},
  timeout = 0,
  inputs: readonly string[] = [],
): ChildProcess & { stdout: Readable; stderr: Readable } {
  const [stdin, ...others] = inputs
  const child = spawn(process.execPath, [main, ...args], {
    env: harnessEnv(env),
    stdio: [
      stdin === undefined ? 'ignore' : 'pipe',
      'pipe',
      'pipe',
      ...others.map(() => 'pipe' as const),
    ],
    detached: true,
    timeout,
  })
  child.stdin?.on('error', () => {})
  child.stdin?.end(stdin)
  for (const [index, text] of others.entries()) {
    const descriptor = child.stdio[index + 3] as Writable
    // It may end without having read it.
    descriptor.on('error', () => {})
    descriptor.end(text)
  }
  return child as ChildProcess & { stdout: Readable; stderr: Readable }
}

/** An environment without this machine's settings, keys and accounts. */
export function harnessEnv(env: Record<string, string> = {}): Record<string, string | undefined> {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^((MULTIVERSE|KEEPER)_|(MORPH|MODAL|PRIME|GENSYN|RITUAL)_)/.test(name),
  )
  return {
    ...Object.fromEntries(inherited),
    MULTIVERSE_KEYSTORE: nowhere,
    NODE_COMPILE_CACHE: compiled,
    ...env,
  }
}

/** Waits for the end of a started one. */
function collect(child: ReturnType<typeof start>): Promise<Ran> {
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}

/**
 * Runs a command line in this process, for cases by the dozen: all of it but the lines of cli/main.ts. It has this process's
 * environment.
 */
export async function inProcess(args: readonly string[]): Promise<Ran> {
  const [stdout, stderr] = [collector(), collector()]
  const code = await execute(args, {
    stdout: stdout.stream,
    stderr: stderr.stream,
    progress: { say: () => {}, begin: () => {}, end: () => {} },
    signal: () => new AbortController().signal,
  })
  return { code, stdout: stdout.text(), stderr: stderr.text() }
}

let last: Promise<unknown> = Promise.resolve()

/**
 * As `inProcess`, with the environment that a process of its own would have. It lends this process's environment to the
 * command, so each waits for the one before it.
 */
export function alone(args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  const run = last.then(async () => {
    const own = process.env
    process.env = harnessEnv(env)
    try {
      return await inProcess(args)
    } finally {
      process.env = own
    }
  })
  last = run.catch(() => {})
  return run
}

function collector() {
  let text = ''
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString()
      done()
    },
  })
  return { stream, text: () => text }
}

/** The JSON value on the last line of standard output. */
export function lastJson({ stdout }: Ran): unknown {
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '')
}
