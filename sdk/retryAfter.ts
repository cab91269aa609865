import { MultiverseError } from './errors.ts'

/**
 * What a Retry-After header asks for, in milliseconds from now: a number of seconds, or a date. Null when there is none.
 * @param now Unix milliseconds
 */
export function retryAfterMs(header: string | null | undefined, now = Date.now()): number | null {
  if (!header) return null
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - now
  return Number.isNaN(ms) ? null : Math.max(0, ms)
}

/** Somebody asks for fewer requests, and may say for how long: RATE_LIMITED (retryable). */
export function rateLimited(who: string, header: string | null | undefined): MultiverseError {
  const ms = retryAfterMs(header)
  const wait = ms === null ? '' : `, and to wait for ${Math.ceil(ms / 1_000)} s`
  return new MultiverseError('RATE_LIMITED', `${who} asks for fewer requests${wait}`, {
    isRetryable: true,
    ...(ms === null ? {} : { retryAfterMs: ms }),
  })
}
