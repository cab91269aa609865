import { MultiverseError } from '../../sdk/errors.ts'

// What every provider of worlds says alike.

export function notInitialised(id: string): MultiverseError {
  return new MultiverseError('NOT_INITIALIZED', `${id} is not initialised`)
}

export function invalid(text: string, cause?: unknown): MultiverseError {
  return new MultiverseError('INVALID_ARGUMENT', text, { cause })
}

export function unknownInstance(id: string): MultiverseError {
  return new MultiverseError('UNKNOWN_INSTANCE', `no instance ${id}`)
}

export function unknownSnapshot(id: string): MultiverseError {
  return new MultiverseError('UNKNOWN_SNAPSHOT', `no snapshot ${id}`)
}

export function linkDenied(id: string, component: string): MultiverseError {
  return new MultiverseError('LINK_DENIED', `component ${component} has no link to ${id}`)
}

export function aborted(what: string, cause: unknown): MultiverseError {
  const text = `${what} was aborted by its caller`
  return new MultiverseError('ABORTED', text, { cause, isRetryable: true })
}

export function tooLate(what: string, deadlineMs: number): MultiverseError {
  const text = `${what} was not done after ${deadlineMs} ms`
  return new MultiverseError('DEADLINE_EXCEEDED', text, { isRetryable: true })
}

export function ranTooLong(timeMs: number): MultiverseError {
  return new MultiverseError('EXECUTION_TIMEOUT', `the program ran longer than ${timeMs} ms`)
}

export function resultInvalid(what: string, cause?: unknown): MultiverseError {
  return new MultiverseError('RESULT_INVALID', `the program's result ${what}`, { cause })
}
