import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Address,
  BaseError,
  createClient,
  type Hex,
  hexToBigInt,
  http,
  numberToHex,
  type RpcBlock,
} from 'viem'
import { type Deployment, requireCode } from '../sdk/deployment.ts'
import { isMultiverseError, MultiverseError, oneLine } from '../sdk/errors.ts'

/** What matters of a block's header. `timestamp` in Unix seconds. */
export type Header = { number: bigint; hash: Hex; parentHash: Hex; timestamp: bigint }

/** The chain as a judge of hashes. Every method throws RPC_FAILED (retryable) when the RPC does not answer. */
export type ChainReader = {
  head(): Promise<Header>
  /** The canonical headers at these heights, in the order asked for; null where the chain has no such block (yet). */
  headers(numbers: readonly bigint[]): Promise<(Header | null)[]>
  chainId(): Promise<number>
  /** The code at an address in the newest block; `0x` when there is none. */
  code(address: Address): Promise<Hex>
}

export function createChainReader(url: string): ChainReader {
  const client = createClient({
    transport: http(url, { batch: { batchSize: 100, wait: 0 }, retryCount: 1, timeout: 5_000 }),
  })
  const block = async (tag: 'latest' | bigint): Promise<Header | null> => {
    const at = tag === 'latest' ? tag : numberToHex(tag)
    const found = await answered(() =>
      client.request({ method: 'eth_getBlockByNumber', params: [at, false] }),
    )
    return found === null ? null : header(found)
  }
  return {
    async head() {
      const latest = await block('latest')
      if (latest === null) throw failed('the chain has no block')
      return latest
    },
    headers: (numbers) => Promise.all(numbers.map((number) => block(number))),
    async chainId() {
      const id = await answered(() => client.request({ method: 'eth_chainId' }))
      return Number(id)
    },
    code: (address) =>
      answered(() => client.request({ method: 'eth_getCode', params: [address, 'latest'] })),
  }
}

/**
 * Makes sure that the chain is the deployment's, waiting up to `patienceMs` for an RPC that is not up yet.
 * @throws WRONG_CHAIN, NO_CONTRACT, OTHER_CODE, RPC_FAILED
 */
export async function requireDeployment(
  chain: ChainReader,
  deployment: Deployment,
  patienceMs = 15_000,
): Promise<void> {
  const until = Date.now() + patienceMs
  for (;;) {
    try {
      return await checkDeployment(chain, deployment)
    } catch (error) {
      if (!isMultiverseError(error, 'RPC_FAILED') || Date.now() >= until) throw error
    }
    await sleep(100)
  }
}

async function checkDeployment(chain: ChainReader, deployment: Deployment): Promise<void> {
  const chainId = await chain.chainId()
  if (chainId !== deployment.chainId)
    throw new MultiverseError(
      'WRONG_CHAIN',
      `the RPC serves chain ${chainId}, the deployment is on ${deployment.chainId}`,
    )
  const [start] = await chain.headers([BigInt(deployment.startBlock)])
  if (start?.hash !== deployment.startBlockHash)
    throw new MultiverseError(
      'WRONG_CHAIN',
      `block ${deployment.startBlock} is ${start?.hash ?? 'not there'}, the deployment is in ${deployment.startBlockHash}`,
    )
  await requireCode(deployment, (address) => chain.code(address))
}

function header(block: RpcBlock): Header {
  if (block.number === null || block.hash === null) throw failed('the RPC gave a pending block')
  return {
    number: hexToBigInt(block.number),
    hash: block.hash,
    parentHash: block.parentHash,
    timestamp: hexToBigInt(block.timestamp),
  }
}

async function answered<T>(request: () => Promise<T>): Promise<T> {
  try {
    return await request()
  } catch (error) {
    const reason = error instanceof BaseError ? error.shortMessage : oneLine(error)
    throw failed(reason.split('\n', 1)[0] ?? reason, error)
  }
}

function failed(reason: string, cause?: unknown): MultiverseError {
  return new MultiverseError('RPC_FAILED', reason, { cause, isRetryable: true })
}
