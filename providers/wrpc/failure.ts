import { isMultiverseError, MultiverseError, oneLine } from '../../sdk/errors.ts'
import { bool, type Codec, malformed, option, record, string, u32 } from './codec.ts'

const MAX_U32 = 2 ** 32 - 1

/** A failure on its way. `cause` is JSON text, `retryAfterMs` what is asked to be waited. */
export type Failure = {
  code: string
  message: string
  isRetryable: boolean
  retryAfterMs: number | null
  cause: string | null
}

export const failure: Codec<Failure> = record('failure', {
  code: string,
  message: string,
  isRetryable: bool,
  retryAfterMs: option(u32),
  cause: option(string),
})

export function toFailure(error: unknown): Failure {
  if (!isMultiverseError(error))
    return {
      code: 'PROVIDER_FAILED',
      message: oneLine(error),
      isRetryable: false,
      retryAfterMs: null,
      cause: null,
    }
  const { code, message, isRetryable, cause } = error
  const asked = error.retryAfterMs ?? null
  const retryAfterMs = asked === null ? null : Math.min(asked, MAX_U32)
  return { code, message, isRetryable, retryAfterMs, cause: toText(cause) }
}

export function fromFailure({
  code,
  message,
  isRetryable,
  retryAfterMs,
  cause,
}: Failure): MultiverseError {
  return new MultiverseError(code, message, {
    isRetryable,
    ...(retryAfterMs === null ? {} : { retryAfterMs }),
    ...(cause === null ? {} : { cause: parseJson(cause) }),
  })
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw malformed('a value is not JSON', cause)
  }
}

/** Errors travel as their message, and what JSON cannot say does not travel. */
function toText(cause: unknown): string | null {
  if (cause === undefined) return null
  try {
    return JSON.stringify(cause instanceof Error ? cause.message : cause) ?? null
  } catch {
    return null
  }
}
