import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process'
import { constants } from 'node:fs'
import { access, realpath } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import type { Duplex } from 'node:stream'
import { MultiverseError } from '../../sdk/errors.ts'

/** A machine's process. The kernel ends it when this process dies. */
export type MachineProcess = {
  pid: number
  /** What stands at the descriptors from 3 on, as far as pipes were asked for. */
  pipes: Duplex[]
  /** Adds what the process last wrote to its stderr to an error. */
  explain: (error: unknown) => unknown
  /** Kills it. Resolves when it is gone. Idempotent. */
  end: () => Promise<void>
  hasEnded: () => boolean
}

const MAX_COMPLAINT = 2_000

/** Starts a machine's process in its folder, with so many pipes beside the standard files. */
export function startProcess(
  command: readonly [string, ...string[]],
  folder: string,
  pipes: number,
): MachineProcess {
  const stdio: StdioOptions = ['ignore', 'ignore', 'pipe', ...Array<'pipe'>(pipes).fill('pipe')]
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...command], { cwd: folder, stdio })
  let complaint = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-MAX_COMPLAINT)
  })
  const ended = exitOf(child)
  return {
    pid: child.pid ?? 0,
    pipes: child.stdio.slice(3) as Duplex[],
    hasEnded: () => child.exitCode !== null || child.signalCode !== null || child.pid === undefined,
    end: () => {
      child.kill('SIGKILL')
      return ended
    },
    explain: (error) => {
      const last = complaint.trim().split('\n').at(-1)
      if (!last || !(error instanceof MultiverseError) || error.message.endsWith(last)) return error
      const { code, isRetryable } = error
      return new MultiverseError(code, `${error.message}: ${last}`, { cause: error, isRetryable })
    },
  }
}

function exitOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('error', () => resolve())
    child.once('close', () => resolve())
  })
}

/** Runs a command to its end and gives what it wrote to stdout. Rejects with PROVIDER_FAILED and its last words. */
export function run(
  command: readonly [string, ...string[]],
  { timeoutMs = 600_000 }: { timeoutMs?: number } = {},
): Promise<string> {
  const [file, ...args] = command
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs })
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
    child.on('error', (cause) => reject(failed(cause.message, cause)))
    child.on('close', (code, signal) => {
      if (code === 0) resolve(out)
      else reject(failed(err.trim().split('\n').at(-1) || `ended with ${signal ?? code}`))
    })
  })

  function failed(why: string, cause?: unknown): MultiverseError {
    return new MultiverseError('PROVIDER_FAILED', `${file}: ${why}`, { cause })
  }
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
