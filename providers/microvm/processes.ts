import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process'
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
