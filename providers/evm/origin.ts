import { z } from 'zod'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import { rateLimited } from '../../sdk/retryAfter.ts'
import { invalid } from '../host/errors.ts'
import type { Origin } from '../provider.ts'

/** What may come of a chain that is away, beside what comes of a program. */
const SUSPICIOUS = ['EVM_FAILED', 'PROVIDER_FAILED', 'PROGRAM_ERROR', 'EXECUTION_TIMEOUT']
const ANSWER_MS = 5_000

const answer = z.object({ result: z.object({ hash: z.string() }).nullable() })

/** Refuses what is no block of a chain. @throws INVALID_ARGUMENT */
export function checkOrigin({ url, blockNumber, blockHash }: Origin): void {
  if (!/^https?:\/\//.test(url)) throw invalid(`origin ${hostOf(url)} is not an http URL`)
  if (!Number.isSafeInteger(blockNumber) || blockNumber < 0)
    throw invalid(`block ${blockNumber} is no block number`)
  if (!/^0x[0-9a-f]{64}$/.test(blockHash)) throw invalid(`${blockHash} is no block hash`)
}

/**
 * What a failure in a world that began from a chain is to be called: the chain's, when that does not have the block to give now,
 * so that no program is blamed for it; else what it was.
 */
export async function blame(error: unknown, origin: Origin | null): Promise<unknown> {
  if (origin === null || !isMultiverseError(error) || !SUSPICIOUS.includes(error.code)) return error
  const hash = await hashOf(origin)
  if (isMultiverseError(hash)) return hash
  if (hash === origin.blockHash) return error
  return hash === null ? failed(origin) : moved(origin, hash)
}

export function moved({ url, blockNumber, blockHash }: Origin, hash: string): MultiverseError {
  return new MultiverseError(
    'ORIGIN_MOVED',
    `block ${blockNumber} of ${hostOf(url)} is ${hash}, not ${blockHash}`,
  )
}

export function failed({ url, blockNumber }: Origin, cause?: unknown): MultiverseError {
  const text = `block ${blockNumber} of ${hostOf(url)} cannot be had`
  return new MultiverseError('ORIGIN_FAILED', text, { cause, isRetryable: true })
}

/** The hash of the block that has the origin's number now; null, or RATE_LIMITED, when the chain does not say. */
async function hashOf({ url, blockNumber }: Origin): Promise<string | null | MultiverseError> {
  const params = [`0x${blockNumber.toString(16)}`, false]
  const body = { jsonrpc: '2.0', id: 1, method: 'eth_getBlockByNumber', params }
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_MS),
    })
    if (response.status === 429)
      return rateLimited(hostOf(url), response.headers.get('retry-after'))
    return answer.parse(await response.json()).result?.hash ?? null
  } catch {
    return null
  }
}

/** The rest of a URL may be a secret. */
function hostOf(url: string): string {
  return URL.parse(url)?.host ?? 'the URL given'
}
