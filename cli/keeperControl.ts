import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { isMultiverseError, MultiverseError } from '../sdk/errors.ts'
import { dataPaths } from '../sdk/node/data.ts'
import { keeperSocketPath } from '../sdk/node/keeperSocket.ts'
import { SUPERVISED } from '../sdk/node/lifecycle.ts'
import { overSocket } from './services.ts'

/** Asks the keeper of a data folder something over its socket. */
export type AskKeeper = (method: 'GET' | 'POST', path: string, body?: unknown) => Promise<unknown>

const BOOKS = fileURLToPath(new URL('../keeper/booksMain.ts', import.meta.url))

/**
 * Has `use` talk to the keeper of a data folder. When none runs, its books are opened for the call by a process that has neither
 * chain nor key, so that whatever the books can tell and be told works all the same.
 * @throws NO_KEEPER when none has ever run there, LOCKED while one starts or ends
 */
export async function withKeeper<T>(
  dataDir: string,
  use: (ask: AskKeeper) => Promise<T>,
): Promise<T> {
  const ask: AskKeeper = async (method, path, body) =>
    overSocket(await keeperSocketPath(dataDir), method, path, body)
  try {
    return await use(ask)
  } catch (error) {
    if (!isMultiverseError(error, 'NO_KEEPER')) throw error
  }
  await requireBooks(dataDir)
  const close = await openBooks(dataDir)
  try {
    return await use(ask)
  } finally {
    await close()
  }
}

/** A database that is not there would be made. */
async function requireBooks(dataDir: string): Promise<void> {
  if (process.env['KEEPER_DATABASE_URL']) return
  try {
    await access(dataPaths(dataDir).keeper)
  } catch (cause) {
    throw new MultiverseError('NO_KEEPER', `no keeper has run on ${dataDir}`, { cause })
  }
}

/** Starts the process that serves the books. Gives what ends it. */
async function openBooks(dataDir: string): Promise<() => Promise<void>> {
  const child = spawn(process.execPath, [BOOKS], {
    env: { ...process.env, MULTIVERSE_DATA: dataDir, [SUPERVISED]: '1' },
    // It ends when its input does, however this process ends.
    stdio: ['pipe', 'ignore', 'pipe', 'ipc'],
  })
  child.stdin?.on('error', () => {})
  const lines: string[] = []
  createInterface({ input: child.stderr! }).on('line', (line) => lines.push(line))
  const ended = once(child, 'exit')
  const outcome = await Promise.race([once(child, 'message'), ended.then(() => null)])
  if (outcome === null) throw failureOf(lines)
  return async () => {
    child.stdin?.end()
    await ended
  }
}

function failureOf(lines: readonly string[]): MultiverseError {
  const line = lines.findLast((each) => each.startsWith('error ')) ?? lines.at(-1) ?? ''
  const [, code, message] = /^error ([A-Z0-9_]+): (.*)$/.exec(line) ?? []
  return new MultiverseError(code ?? 'SERVICE_FAILED', message ?? line)
}
