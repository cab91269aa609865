import { isMultiverseError } from '../../sdk/errors.ts'

/**
 * What an error says about trying again: `outage` is of something that comes back, or is brought back, and nothing is given up
 * for it; `transient` may go well the next time; `rateLimit` goes well when less is asked; `permanent` never does unless
 * something is changed; `bug` is an error that nobody foresaw.
 */
export type ErrorClass = 'outage' | 'transient' | 'rateLimit' | 'permanent' | 'bug'

/** When work that failed is tried again. Waits double from `firstMs` up to `maxMs`. */
export type RetryPolicy = {
  /** How often it is tried in all before it is given up. */
  attempts: number
  firstMs: number
  maxMs: number
}

/** The rules by class. */
export const RETRIES: Record<ErrorClass, RetryPolicy> = {
  outage: { attempts: Infinity, firstMs: 1_000, maxMs: 30_000 },
  transient: { attempts: 5, firstMs: 500, maxMs: 30_000 },
  rateLimit: { attempts: 30, firstMs: 5_000, maxMs: 300_000 },
  permanent: { attempts: 1, firstMs: 0, maxMs: 0 },
  bug: { attempts: 3, firstMs: 5_000, maxMs: 60_000 },
}

/** Codes whose class their `isRetryable` does not tell. */
const CLASS_BY_CODE: Record<string, ErrorClass> = {
  RPC_FAILED: 'outage',
  DATABASE_FAILED: 'outage',
  DISK_FULL: 'outage',
  SIGNER_UNREACHABLE: 'outage',
  TX_PENDING: 'outage',
  FEE_TOO_HIGH: 'outage',
  SPEND_LIMIT: 'outage',
  INSUFFICIENT_FUNDS: 'outage',
  REPORT_UNSEEN: 'outage',
  QUESTION_UNSEEN: 'outage',
  PROVIDER_MISSING: 'outage',
  STEP_SUPERSEDED: 'outage',
  ORIGIN_FAILED: 'outage',
  // The chain went on before it was followed so far: worlds are planned anew when it is.
  ORIGIN_MOVED: 'transient',
  RATE_LIMITED: 'rateLimit',
  PROVIDER_FAILED: 'transient',
  UNKNOWN_INSTANCE: 'transient',
  NOT_INITIALIZED: 'transient',
  UNEXPECTED: 'bug',
}

/** The class of an error, from the table above; of any other of ours from its `isRetryable`. */
export function classOf(error: unknown): ErrorClass {
  if (!isMultiverseError(error)) return 'bug'
  return CLASS_BY_CODE[error.code] ?? (error.isRetryable ? 'transient' : 'permanent')
}

/** What becomes of work that failed. */
export type Verdict = { kind: 'again'; afterMs: number } | { kind: 'dead' }

/** Nobody is waited for longer because it says so: anybody can name a server that does. */
const MAX_ASKED_MS = 3_600_000

/**
 * Decides what becomes of work that has failed `count` times in a row, from 1. The wait is drawn from the upper half of its
 * bound, so that what failed together does not come again together. `random` is in [0, 1).
 * @param askedMs what whoever refused it asked to wait: it never comes again sooner, and up to a tenth of that later
 */
export function nextTry(
  of: ErrorClass,
  count: number,
  random: number,
  askedMs: number | null = null,
): Verdict {
  const { attempts, firstMs, maxMs } = RETRIES[of]
  if (count >= attempts) return { kind: 'dead' }
  const bound = Math.min(maxMs, firstMs * 2 ** Math.min(count - 1, 30))
  const ownMs = (bound * (1 + random)) / 2
  const heededMs = Math.min(askedMs ?? 0, MAX_ASKED_MS)
  // Not `heededMs * (1 + random / 10)`, which rounds to more than a tenth above it.
  const leastMs = heededMs + (heededMs * random) / 10
  return { kind: 'again', afterMs: Math.ceil(Math.max(ownMs, leastMs)) }
}

/** How long an error asks not to be tried again; null when it says nothing of it. */
export function askedMsOf(error: unknown): number | null {
  return isMultiverseError(error) ? (error.retryAfterMs ?? null) : null
}
