import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access, realpath } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { MultiverseError } from '../../sdk/errors.ts'
import { after } from './limits.ts'

/** How much of what a command says on stderr is kept for its error. */
const KEPT_CHARACTERS = 2_000

export type RunOptions = {
  env?: Record<string, string>
  /** The command is killed after this long. */
  timeoutMs?: number
  /** Which line of what it says on stderr tells what went wrong; the first unless it is said. */
  tells?: 'first' | 'last'
  /** An open file that takes its output instead. */
  output?: number
}

/**
 * Runs a command to its end and gives what it wrote to stdout.
 * @throws PROVIDER_FAILED naming the command, and what it said, when it fails or is not there
 */
export async function run(
  file: string,
  args: readonly string[],
  { env = {}, timeoutMs, output, tells = 'first' }: RunOptions = {},
): Promise<string> {
  const child = spawn(file, args, {
    stdio: ['ignore', output ?? 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C', ...env },
  })
  // Node's own would go on, and keep this process alive, when there is no such command.
  const cancel = after(timeoutMs ?? Number.POSITIVE_INFINITY, () => void child.kill('SIGKILL'))
  let out = ''
  let said = ''
  child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => {
    const all = said + chunk.toString()
    said = tells === 'first' ? keepStart(all) : all.slice(-KEPT_CHARACTERS)
  })
  try {
    await finished(file, child, () => (tells === 'first' ? firstLine(said) : lastLine(said)))
  } finally {
    cancel()
  }
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
      const why = said()
      reject(new MultiverseError('PROVIDER_FAILED', `${file} ${how}${why && `: ${why}`}`))
    })
  })
}

/** The first line that is not empty: what follows is how it came to that. */
export function firstLine(text: string): string {
  return text.trim().split('\n', 1)[0]?.trim().slice(0, 300) ?? ''
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)?.trim().slice(-300) ?? ''
}

/** So much of what a command says as may be told. */
export function keepStart(text: string): string {
  return text.slice(0, KEPT_CHARACTERS)
}

/** The path of a program, found as a shell finds it; null when there is none. */
export async function locate(name: string): Promise<string | null> {
  const folders = name.includes('/') ? [''] : (process.env['PATH'] ?? '').split(delimiter)
  for (const folder of folders) {
    const path = folder === '' ? name : join(folder, name)
    try {
      await access(path, constants.X_OK)
      return await realpath(path)
    } catch {
      // Not here.
    }
  }
  return null
}
