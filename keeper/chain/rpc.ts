import {
  type Address,
  BaseError,
  type Block,
  type BlockTag,
  createPublicClient,
  custom,
  type CustomTransport,
  type Hex,
  type Log,
  numberToHex,
  type PublicClient,
  type RpcBlock,
  type RpcLog,
} from 'viem'
import { formatLog } from 'viem/utils'
import { MultiverseError, oneLine } from '../../sdk/errors.ts'
import type { Log as Logger } from '../log.ts'
import { createEndpoints, type Endpoints, type Request } from './endpoints.ts'
import { isUnknownMethod } from './faults.ts'
import type { Header } from './window.ts'

/** A read client without a chain definition: the chain is whatever the endpoints serve. */
export type Rpc = PublicClient<CustomTransport> & { endpoints: Endpoints }

/** What tells a chain from others. */
export type ChainIdentity = { chainId: number; startBlock: number; startBlockHash: string }

/**
 * A client of one chain through any of its endpoints, in order of preference. Failed calls are not repeated here, only put to
 * another endpoint: whoever calls knows what to do. An endpoint of several that serves another chain than `chain` is not used.
 */
export function createRpc(
  urls: readonly string[],
  chain: ChainIdentity,
  timeoutMs: number,
  log: Logger,
): Rpc {
  const endpoints = createEndpoints({
    urls,
    admit: (request) => admit(request, chain),
    timeoutMs,
    log,
  })
  const transport = custom({ request: endpoints.request }, { retryCount: 0 })
  return createPublicClient({ transport, cacheTime: 0 }).extend(() => ({ endpoints }))
}

/** @throws OTHER_CHAIN */
async function admit(request: Request, chain: ChainIdentity): Promise<void> {
  const chainId = Number(await request({ method: 'eth_chainId' }))
  const params = [numberToHex(chain.startBlock), false]
  const start = (await request({ method: 'eth_getBlockByNumber', params })) as RpcBlock | null
  if (chainId !== chain.chainId)
    throw new MultiverseError('OTHER_CHAIN', `it serves chain ${chainId}, not ${chain.chainId}`)
  if (start && start.hash !== chain.startBlockHash)
    throw new MultiverseError(
      'OTHER_CHAIN',
      `its block ${chain.startBlock} is ${start.hash}, not ${chain.startBlockHash}`,
    )
}

/** A call's failure as RPC_FAILED (retryable), its message one line. Errors of the project pass as they are. */
export function rpcError(error: unknown): MultiverseError {
  if (error instanceof MultiverseError) return error
  const ours = error instanceof BaseError && error.walk((each) => each instanceof MultiverseError)
  if (ours instanceof MultiverseError) return ours
  const message =
    error instanceof BaseError
      ? `${error.shortMessage} ${error.details}`.replaceAll(/\s+/g, ' ').trim()
      : oneLine(error)
  return new MultiverseError('RPC_FAILED', message, { cause: error, isRetryable: true })
}

/** The block at a number or a tag, or the newest. @throws RPC_FAILED, also when there is none */
export async function getHeader(rpc: Rpc, at: number | BlockTag = 'latest'): Promise<Header> {
  const block = await rpc
    .getBlock(typeof at === 'number' ? { blockNumber: BigInt(at) } : { blockTag: at })
    .catch(reject)
  return header(block)
}

/** The logs of `addresses` in exactly this block. @throws RPC_FAILED */
export function getBlockLogs(rpc: Rpc, addresses: Address[], { hash }: Header): Promise<Log[]> {
  return rpc.getLogs({ address: addresses, blockHash: hash }).catch(reject)
}

/** All logs of a block, from its receipts; null where the endpoint does not offer them. @throws RPC_FAILED, CHAIN_MOVED */
export async function getReceiptLogs(rpc: Rpc, { number, hash }: Header): Promise<Log[] | null> {
  try {
    const receipts = (await rpc.endpoints.request({
      method: 'eth_getBlockReceipts',
      params: [numberToHex(number)],
    })) as { blockHash: string; logs: RpcLog[] }[] | null
    if (receipts === null) return null
    if (receipts.some(({ blockHash }) => blockHash !== hash))
      throw new MultiverseError('CHAIN_MOVED', `block ${number} is another by now`, {
        isRetryable: true,
      })
    return receipts.flatMap(({ logs }) => logs.map((log) => formatLog(log)))
  } catch (error) {
    if (isUnknownMethod(error)) return null
    throw rpcError(error)
  }
}

/** What another endpoint than the one in use says of a range; null when none says anything. */
export async function getOtherRangeLogs(
  rpc: Rpc,
  addresses: Address[],
  from: number,
  to: number,
): Promise<Log[] | null> {
  const filter = { address: addresses, fromBlock: numberToHex(from), toBlock: numberToHex(to) }
  const logs = await rpc.endpoints.secondOpinion({ method: 'eth_getLogs', params: [filter] })
  return Array.isArray(logs) ? (logs as RpcLog[]).map((log) => formatLog(log)) : null
}

/** Whether a transaction is in a block, as far as the endpoint knows. @throws RPC_FAILED */
export async function isMined(rpc: Rpc, hash: Hex): Promise<boolean> {
  const params = [hash]
  const receipt = await rpc.endpoints
    .request({ method: 'eth_getTransactionReceipt', params })
    .catch(reject)
  return receipt !== null
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

function header({ number, hash, parentHash, timestamp, logsBloom }: Block): Header {
  if (number === null || hash === null)
    throw new MultiverseError('RPC_FAILED', 'the endpoint gave a pending block', {
      isRetryable: true,
    })
  const bloom = logsBloom === null ? {} : { bloom: logsBloom }
  return { number: Number(number), hash, parentHash, timestamp: Number(timestamp), ...bloom }
}

function reject(error: unknown): never {
  throw rpcError(error)
}
