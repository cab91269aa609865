import {
  type Address,
  BaseError,
  type Block,
  createPublicClient,
  http,
  type HttpTransport,
  type Log,
  type PublicClient,
} from 'viem'
import { MultiverseError, oneLine } from '../../sdk/errors.ts'
import type { Header } from './window.ts'

/** A read client without a chain definition: the chain is whatever the endpoint serves. */
export type Rpc = PublicClient<HttpTransport>

/** A client of an http endpoint. Failed calls are not repeated here: whoever calls knows what to do. */
export function createRpc(url: string): Rpc {
  return createPublicClient({
    transport: http(url, { retryCount: 0, timeout: 10_000 }),
    cacheTime: 0,
  })
}

/** An endpoint as it may be shown: paths and queries can hold keys. */
export function endpointOf(rpc: Rpc): string {
  return URL.parse(rpc.transport.url ?? '')?.origin ?? 'the endpoint'
}

/** A call's failure as RPC_FAILED (retryable), its message one line. Errors of the project pass as they are. */
export function rpcError(error: unknown): MultiverseError {
  if (error instanceof MultiverseError) return error
  const message =
    error instanceof BaseError
      ? `${error.shortMessage} ${error.details}`.replaceAll(/\s+/g, ' ').trim()
      : oneLine(error)
  return new MultiverseError('RPC_FAILED', message, { cause: error, isRetryable: true })
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
