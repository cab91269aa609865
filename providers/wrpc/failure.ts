import { isMultiverseError, MultiverseError, oneLine } from '../../sdk/errors.ts'
import { bool, type Codec, malformed, option, record, string } from './codec.ts'

/** A failure on its way. `cause` is JSON text. */
export type Failure = { code: string; message: string; isRetryable: boolean; cause: string | null }

export const failure: Codec<Failure> = record('failure', {
  code: string,
  message: string,
  isRetryable: bool,
  cause: option(string),
})

export function toFailure(error: unknown): Failure {
  if (!isMultiverseError(error))
    return { code: 'PROVIDER_FAILED', message: oneLine(error), isRetryable: false, cause: null }
  const { code, message, isRetryable, cause } = error
  return { code, message, isRetryable, cause: toText(cause) }
}

export function fromFailure({ code, message, isRetryable, cause }: Failure): MultiverseError {
  return new MultiverseError(code, message, {
    isRetryable,
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
