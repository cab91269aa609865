import {
  BaseError,
  createClient,
  type Hex,
  http,
  HttpRequestError,
  isAddress,
  isHex,
  RpcRequestError,
} from 'viem'
import { MultiverseError, oneLine } from '../../sdk/errors.ts'
import { rateLimited } from '../../sdk/retryAfter.ts'
import { invalid } from './errors.ts'
import type { HostFunction } from './functions.ts'

/** The name under which links give worlds a look at the chain. */
export const CHAIN_CALL = 'chain.call'

/** JSON-RPC's code of a call that reverted. */
const REVERTED = 3
const TIMEOUT_MS = 5_000

/**
 * `host.call('chain.call', {to, data})` gives what a call of a contract comes to, in the block that the link names by its hash
 * (`blockHash`): the same whenever it is asked. A call that reverts throws CALL_REVERTED in the program; a chain that does not
 * answer, or has not got the block, ends the run with RPC_FAILED, one that wants less to be asked with RATE_LIMITED.
 * @param url the chain's; no link names it, as it may hold a secret
 */
export function createChainCall(url: string): HostFunction {
  const client = createClient({ transport: http(url, { retryCount: 1, timeout: TIMEOUT_MS }) })
  return {
    check: ({ blockHash }) => {
      if (!isHex(blockHash) || blockHash.length !== 66)
        throw invalid(`a link to ${CHAIN_CALL} names a block by blockHash, not ${blockHash}`)
    },
    call: async ([request], { config }) => {
      const { to, data } = parse(request)
      try {
        return await client.request<{ Parameters: unknown[]; ReturnType: Hex; Method: 'eth_call' }>(
          {
            method: 'eth_call',
            params: [{ to, data }, { blockHash: config['blockHash'] }],
          },
        )
      } catch (error) {
        throw failed(error)
      }
    },
  }
}

function parse(request: unknown): { to: Hex; data: Hex } {
  const { to, data = '0x' } = (request ?? {}) as { to?: unknown; data?: unknown }
  if (typeof to !== 'string' || !isAddress(to, { strict: false }) || !isHex(data))
    throw invalid(`${CHAIN_CALL} takes {to: an address, data: hexadecimal bytes}`)
  return { to, data }
}

function failed(error: unknown): MultiverseError {
  const cause =
    error instanceof BaseError ? error.walk((each) => each instanceof RpcRequestError) : null
  if (cause instanceof RpcRequestError && cause.code === REVERTED)
    return new MultiverseError('CALL_REVERTED', oneLine(cause.details), { cause: error })
  const refused =
    error instanceof BaseError ? error.walk((each) => each instanceof HttpRequestError) : null
  if (refused instanceof HttpRequestError && refused.status === 429)
    return rateLimited(`the chain behind ${CHAIN_CALL}`, refused.headers?.get('retry-after'))
  // The URL, which viem's message has, may hold a secret.
  const why = cause instanceof RpcRequestError ? cause.details : 'the chain does not answer'
  return new MultiverseError('RPC_FAILED', `${CHAIN_CALL}: ${oneLine(why)}`, {
    cause: error,
    isRetryable: true,
  })
}
