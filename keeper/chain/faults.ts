import {
  BaseError,
  HttpRequestError,
  ResponseBodyTooLargeError,
  RpcError,
  RpcRequestError,
  TimeoutError,
} from 'viem'
import { oneLine } from '../../sdk/errors.ts'
import { retryAfterMs } from '../../sdk/retryAfter.ts'

/**
 * Whose fault a failed request is. `call`: its own, and any endpoint would say the same. `down`: the endpoint's. `limit`: too
 * much was asked of the endpoint; `retryAfterMs` is what it said, if it did.
 */
export type Fault =
  | { kind: 'call' }
  | { kind: 'down' }
  | { kind: 'limit'; retryAfterMs: number | null }

/** What a sound endpoint never refuses; other methods' errors are mostly what the call came to. */
const PLAIN = new Set([
  'eth_blockNumber',
  'eth_chainId',
  'eth_getBalance',
  'eth_getBlockByHash',
  'eth_getBlockByNumber',
  'eth_getCode',
  'eth_getTransactionCount',
  'eth_getTransactionReceipt',
])

const LIMITED = /rate.?limit|too many requests|request limit|capacity|compute units|throttl/i
const TOO_MUCH =
  /range|too many (results|logs|blocks)|more than \d+ (results|logs)|response size|too large|exceed|limit|timed? ?out/i

/** The fault of a request that failed with `error`. */
export function faultOf(method: string, error: unknown): Fault {
  // It answered, with more than is taken in at once.
  if (find(error, ResponseBodyTooLargeError)) return { kind: 'call' }
  const http = find(error, HttpRequestError)
  if (http) {
    if (http.status === 429)
      return { kind: 'limit', retryAfterMs: retryAfterMs(http.headers?.get('retry-after')) }
    return { kind: http.status === 413 ? 'call' : 'down' }
  }
  const said = find(error, RpcRequestError) ?? find(error, RpcError)
  if (!said) return { kind: 'down' }
  const details = detailsOf(error)
  if (method === 'eth_getLogs' && isTooMuch(error)) return { kind: 'call' }
  if (said.code === -32_005 || LIMITED.test(details)) return { kind: 'limit', retryAfterMs: null }
  return { kind: PLAIN.has(method) ? 'down' : 'call' }
}

/** Whether a log query failed for being over too much; a smaller one may not. */
export function isTooMuch(error: unknown): boolean {
  const cause = error instanceof Error && error.cause instanceof BaseError ? error.cause : error
  if (find(cause, TimeoutError) || find(cause, ResponseBodyTooLargeError)) return true
  const http = find(cause, HttpRequestError)
  if (http) return http.status === 413
  const details = detailsOf(cause)
  return find(cause, RpcRequestError) !== null && TOO_MUCH.test(details) && !LIMITED.test(details)
}

/** Whether the endpoint does not offer a method. */
export function isUnknownMethod(error: unknown): boolean {
  const said = find(error, RpcRequestError)
  return (
    said !== null &&
    (said.code === -32_601 || /not (supported|found|exist|available)/i.test(said.details))
  )
}

function find<T extends BaseError>(
  error: unknown,
  kind: abstract new (...args: never[]) => T,
): T | null {
  if (!(error instanceof BaseError)) return null
  const found = error.walk((each) => each instanceof kind)
  return found instanceof kind ? found : null
}

function detailsOf(error: unknown): string {
  return error instanceof BaseError ? error.details : oneLine(error)
}
