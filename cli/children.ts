import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { MultiverseError } from '../sdk/errors.ts'
import { SUPERVISED } from '../sdk/node/lifecycle.ts'

/** A process that serves one call, and says on its first line of output at which port. */
export type Served = { url: string; stop: () => Promise<void> }

/**
 * Starts a process of ours for one call. It ends with this one, whatever becomes of it.
 * @param entry the file that it runs
 * @throws what it says when it ends at once, else `code`
 */
export async function serveOnce(
  entry: string,
  env: Record<string, string>,
  code: string,
): Promise<Served> {
  const child = spawn(process.execPath, [entry], {
    env: { ...process.env, ...env, [SUPERVISED]: '1' },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  let complaint = ''
  child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()))
  // What it is told when it has ended is of no use to it.
  child.stdin.on('error', () => {})
  const port = await new Promise<string | null>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve)
    child.once('error', reject)
    void ended.then(() => resolve(null))
  })
  if (port === null) throw failureOf(complaint, code)
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      child.stdin.end()
      await ended
    },
  }
}

/** What a service says when it ends: `error CODE: message`. */
function failureOf(complaint: string, otherwise: string): MultiverseError {
  const [, code = otherwise, message = complaint.trim()] =
    /^error ([A-Z_]+): (.*)$/m.exec(complaint) ?? []
  return new MultiverseError(code, message)
}
