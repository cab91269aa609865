import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { MultiverseError, oneLine } from '../../sdk/errors.ts'
import type { Origin } from '../provider.ts'
import { anvilBinary } from './binary.ts'
import type { Reaper } from './reaper.ts'

/** One anvil process. */
export type Anvil = {
  /**
   * @throws EVM_FAILED (what the EVM or anvil said no to; `cause` is an {@link RpcFailure}), PROVIDER_FAILED (anvil is gone,
   * or makes no sense)
   */
  rpc: (method: string, params?: unknown[]) => Promise<unknown>
  /** Ends it at once; resolves when it is gone. Idempotent. */
  end: () => Promise<void>
}

/** An error of JSON-RPC. */
export type RpcFailure = { code: number; message: string; data: string | null }

/** Worlds start at 2000-01-01T00:00:00Z, seconds. */
const EPOCH_S = 946_684_800
const CHAIN_ID = 31_337
/** More than any program uses: time and memory bound a run. */
const BLOCK_GAS = 2n ** 50n
const START_MS = 15_000
/** As many characters of stderr are kept, to tell why a process ended. */
const TAIL = 2_000

/**
 * Starts anvil on a free port of this machine.
 * @param memoryBytes what one execution may hold
 * @throws PROVIDER_FAILED, ABORTED (the signal's reason)
 */
export async function startAnvil(options: {
  memoryBytes: number
  origin: Origin | null
  reaper: Reaper
  signal: AbortSignal
}): Promise<Anvil> {
  const { memoryBytes, origin, reaper, signal } = options
  signal.throwIfAborted()
  // It makes a folder for old states as it starts, in the home folder if it is not told where, and leaves it when it is killed.
  // Nobody asks for states so old that they would be in it.
  const states = await mkdtemp(join(tmpdir(), 'multiverse-evm-'))
  const child = spawn(
    anvilBinary(),
    [...FLAGS, '--memory-limit', `${memoryBytes}`, '--cache-path', states, ...from(origin)],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {},
    },
  )
  const { pid } = child
  if (pid !== undefined) reaper.watch(pid)
  const kill = () => child.kill('SIGKILL')
  let isAlive = true
  let tail = ''
  child.stderr.on('data', (data: Buffer) => (tail = (tail + data.toString()).slice(-TAIL)))
  const ended = new Promise<void>((resolve) => {
    const settle = (error: unknown) => {
      if (!isAlive) return
      isAlive = false
      if (error instanceof Error) tail = error.message
      if (pid !== undefined) reaper.release(pid)
      resolve()
    }
    child.once('exit', settle)
    child.once('error', settle)
  })
  const agent = new Agent({ keepAlive: true, maxSockets: 4 })
  const end = async () => {
    kill()
    await ended
    agent.destroy()
  }
  const timer = setTimeout(kill, START_MS)
  signal.addEventListener('abort', kill)
  try {
    const port = await listening(child.stdout, ended, () => tail)
    return {
      rpc: (method, params = []) => ask(agent, port, method, params),
      end,
    }
  } catch (error) {
    await end()
    signal.throwIfAborted()
    throw error
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', kill)
    await rm(states, { recursive: true, force: true })
  }
}

/** No account, no fee, no mining but by request, any sender. */
const FLAGS =
  `--host 127.0.0.1 --port 0 --accounts 0 --no-mining --auto-impersonate --gas-price 0 --block-base-fee-per-gas 0
  --disable-min-priority-fee --hardfork osaka --gas-limit ${BLOCK_GAS} --disable-code-size-limit
  --disable-default-create2-deployer --no-request-size-limit --threads 1`.split(/\s+/)

function from(origin: Origin | null): string[] {
  if (origin === null) return ['--timestamp', `${EPOCH_S}`, '--chain-id', `${CHAIN_ID}`]
  const block = ['--fork-url', origin.url, '--fork-block-number', `${origin.blockNumber}`]
  return [...block, '--no-storage-caching', '--retries', '1', '--timeout', '5000']
}

async function listening(
  stdout: NodeJS.ReadableStream,
  ended: Promise<void>,
  tail: () => string,
): Promise<number> {
  const port = new Promise<number>((resolve) => {
    // Read on after the port is known: a full pipe would block the process.
    createInterface({ input: stdout }).on('line', (line) => {
      const found = /^Listening on .*:(\d+)/.exec(line)
      if (found) resolve(Number(found[1]))
    })
  })
  const dead = ended.then(() => {
    throw new MultiverseError('PROVIDER_FAILED', `anvil ended at its start: ${oneLine(tail())}`)
  })
  return Promise.race([port, dead])
}

async function ask(
  agent: Agent,
  port: number,
  method: string,
  params: unknown[],
): Promise<unknown> {
  const text = await post(agent, port, JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))
  let answer: { result?: unknown; error?: { code: number; message: string; data?: unknown } }
  try {
    answer = JSON.parse(text) as typeof answer
  } catch (cause) {
    throw new MultiverseError('PROVIDER_FAILED', `anvil's answer to ${method} is not JSON`, {
      cause,
    })
  }
  if (answer.error === undefined) return answer.result
  const { code, message, data } = answer.error
  const failure: RpcFailure = { code, message, data: typeof data === 'string' ? data : null }
  throw new MultiverseError('EVM_FAILED', `${method}: ${oneLine(message)}`, { cause: failure })
}

function post(agent: Agent, port: number, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) =>
      reject(new MultiverseError('PROVIDER_FAILED', `anvil is gone: ${oneLine(cause)}`, { cause }))
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    }
    const call = request(
      { agent, host: '127.0.0.1', port, method: 'POST', headers },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.once('end', () => resolve(Buffer.concat(chunks).toString()))
        response.once('error', fail)
      },
    )
    call.once('error', fail)
    call.end(body)
  })
}
