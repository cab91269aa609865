import { spawn } from 'node:child_process'
import { MultiverseError } from '../../sdk/errors.ts'

/** How much of what a command says on stderr is kept for its error. */
const KEPT_CHARACTERS = 2_000

export type RunOptions = {
  env?: Record<string, string>
  /** The command is killed after this long. */
  timeoutMs?: number
  /** An open file that takes its output instead. */
  output?: number
}

/**
 * Runs a command to its end and gives what it wrote to stdout.
 * @throws PROVIDER_FAILED naming the command, and what it said first, when it fails or is not there
 */
export async function run(
  file: string,
  args: readonly string[],
  { env = {}, timeoutMs, output }: RunOptions = {},
): Promise<string> {
  const child = spawn(file, args, {
    stdio: ['ignore', output ?? 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C', ...env },
    ...(timeoutMs === undefined ? {} : { timeout: timeoutMs, killSignal: 'SIGKILL' as const }),
  })
  let out = ''
  let said = ''
  child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (said = keepStart(said + chunk.toString())))
  await finished(file, child, () => said)
  return out
}

function finished(
  file: string,
  child: ReturnType<typeof spawn>,
  said: () => string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    child.on('error', (error: NodeJS.ErrnoException) => {
      const text = error.code === 'ENOENT' ? `there is no command ${file}` : error.message
      reject(new MultiverseError('PROVIDER_FAILED', text, { cause: error }))
    })
    child.on('close', (code, signal) => {
      if (code === 0) return resolve()
      const how = signal === null ? `exited with ${code}` : `was ended by ${signal}`
      const first = firstLine(said())
      reject(new MultiverseError('PROVIDER_FAILED', `${file} ${how}${first && `: ${first}`}`))
    })
  })
}

/** The first line that is not empty: what follows is how it came to that. */
export function firstLine(text: string): string {
  return text.trim().split('\n', 1)[0]?.trim().slice(0, 300) ?? ''
}

/** So much of what a command says as may be told. */
export function keepStart(text: string): string {
  return text.slice(0, KEPT_CHARACTERS)
}
