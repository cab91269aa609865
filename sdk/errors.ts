/**
 * The one error class of the project. `code` is stable across versions and is what programs match on; the message is one
 * line for people and names the value at fault.
 */
export class MultiverseError extends Error {
  override readonly name = 'MultiverseError'
  readonly code: string
  /** Whether the same call may succeed later without anything being changed. */
  readonly isRetryable: boolean
  /** Milliseconds before which it is not to be tried again, where somebody said so; else null. */
  readonly retryAfterMs: number | null

  constructor(
    code: string,
    message: string,
    options: { cause?: unknown; isRetryable?: boolean; retryAfterMs?: number } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.code = code
    this.isRetryable = options.isRetryable ?? false
    this.retryAfterMs = options.retryAfterMs ?? null
  }
}

/** Whether `error` is a {@link MultiverseError}, optionally of one code. Works across duplicated module instances. */
export function isMultiverseError(error: unknown, code?: string): error is MultiverseError {
  if (!(error instanceof Error) || error.name !== 'MultiverseError') return false
  return code === undefined || (error as MultiverseError).code === code
}

/** The first line of an error's message, fit for one line of output. */
export function oneLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return message.split('\n', 1)[0]?.trim() || 'unknown error'
}
