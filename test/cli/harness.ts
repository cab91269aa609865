import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../../cli/main.ts', import.meta.url))

/** What a run of the command came to. */
export type Ran = { code: number | null; stdout: string; stderr: string }

/** Runs `multiverse` with the arguments, as a process of its own. */
export function multiverse(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Ran> {
  return collect(start(args, env, 290_000))
}

/** Starts `multiverse` and leaves it running, for `timeout` milliseconds at most when given. */
export function start(args: readonly string[], env: Record<string, string> = {}, timeout = 0) {
  const { MULTIVERSE_PRIVATE_KEY: _, MULTIVERSE_DATA: __, ...inherited } = process.env
  return spawn(process.execPath, [main, ...args], {
    env: { ...inherited, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout,
  })
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

/** The JSON value on the last line of standard output. */
export function lastJson({ stdout }: Ran): unknown {
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '')
}
