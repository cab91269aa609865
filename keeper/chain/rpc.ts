import {
  type Address,
  type Block,
  createPublicClient,
  http,
  type Log,
  type PublicClient,
  type Transport,
  webSocket,
  type WebSocketTransport,
} from 'viem'
import { MultiverseError, oneLine } from '../../sdk/errors.ts'
import type { Header } from './window.ts'

/** A read client without a chain definition: the chain is whatever the endpoint serves. */
export type Rpc = PublicClient<Transport>

/** A client for an http(s) or ws(s) endpoint. Failed calls are not repeated here: whoever calls knows what to do. */
export function createRpc(url: string): Rpc {
  const transport = /^wss?:/.test(url)
    ? webSocket(url, { retryCount: 0, timeout: 10_000, reconnect: { attempts: 1e9, delay: 500 } })
    : http(url, { retryCount: 0, timeout: 10_000 })
  return createPublicClient({ transport, cacheTime: 0 })
}

/**
 * Calls `wake` at each new head that a websocket endpoint tells of. An http endpoint tells nothing, and what is missed
 * is seen at the next poll. Gives what ends it.
 */
export function watchHeads(rpc: Rpc, wake: () => void): () => void {
  if (rpc.transport.type !== 'webSocket') return () => {}
  return rpc.watchBlockNumber({ onBlockNumber: wake, onError: () => {} })
}

/** Ends the connection of a websocket endpoint, which would keep the process alive. */
export async function closeRpc(rpc: Rpc): Promise<void> {
  if (rpc.transport.type !== 'webSocket') return
  const socket = rpc.transport as unknown as ReturnType<WebSocketTransport>['value']
  const client = await socket?.getRpcClient().catch(() => null)
  client?.close()
}

/** A call's failure as RPC_FAILED (retryable), its message one line. Errors of the project pass as they are. */
export function rpcError(error: unknown): MultiverseError {
  if (error instanceof MultiverseError) return error
  return new MultiverseError('RPC_FAILED', oneLine(error), { cause: error, isRetryable: true })
}

/** The block at `number`, or the newest. @throws RPC_FAILED, also when there is none */
export async function getHeader(rpc: Rpc, number?: number): Promise<Header> {
  const block = await rpc
    .getBlock(number === undefined ? {} : { blockNumber: BigInt(number) })
    .catch(reject)
  return header(block)
}

/** The logs of `addresses` in exactly this block. @throws RPC_FAILED */
export function getBlockLogs(rpc: Rpc, addresses: Address[], { hash }: Header): Promise<Log[]> {
  return rpc.getLogs({ address: addresses, blockHash: hash }).catch(reject)
}

/** The logs of `addresses` from one block to another, both included. @throws RPC_FAILED */
export function getRangeLogs(
  rpc: Rpc,
  addresses: Address[],
  from: number,
  to: number,
): Promise<Log[]> {
  return rpc
    .getLogs({ address: addresses, fromBlock: BigInt(from), toBlock: BigInt(to) })
    .catch(reject)
}

function header({ number, hash, parentHash, timestamp }: Block): Header {
  if (number === null || hash === null)
    throw new MultiverseError('RPC_FAILED', 'the endpoint gave a pending block', {
      isRetryable: true,
    })
  return { number: Number(number), hash, parentHash, timestamp: Number(timestamp) }
}

function reject(error: unknown): never {
  throw rpcError(error)
}
