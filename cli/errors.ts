import type { FailureOutput } from '../sdk/output.ts'
import { isMultiverseError, MultiverseError, oneLine } from '../sdk/errors.ts'

/** What a verb ends with: the one place that decides it. */
export const EXIT = {
  ok: 0,
  /** The operation failed. */
  failed: 1,
  /** An argument is missing or not understood. */
  usage: 2,
  /** The chain or the data folder is another one. */
  wrongChain: 3,
  /** Nothing is running that could answer. */
  noStack: 4,
  /** The user ended it with Ctrl-C. */
  interrupted: 130,
} as const

/** What a verb that failed exits with, by the error's code; {@link EXIT.failed} for all others. Each is told in docs/operations.md. */
export const EXIT_BY_CODE: Record<string, number> = {
  USAGE: EXIT.usage,
  INVALID_ADDRESS: EXIT.usage,
  INVALID_AMOUNT: EXIT.usage,
  INVALID_DEADLINE: EXIT.usage,
  INVALID_OPTION: EXIT.usage,
  INVALID_PATH: EXIT.usage,
  INVALID_QUESTION: EXIT.usage,
  UNKNOWN_PROVIDER: EXIT.usage,
  UNKNOWN_WORLD: EXIT.usage,
  AMBIGUOUS_QUESTION: EXIT.usage,
  UNKNOWN_WALLET: EXIT.usage,
  NO_WALLET: EXIT.usage,
  INVALID_KEY: EXIT.usage,
  INVALID_SETTING: EXIT.usage,
  INVALID_WALLET_NAME: EXIT.usage,
  WALLET_EXISTS: EXIT.usage,
  AMBIGUOUS_WALLET: EXIT.usage,
  KEY_AMBIGUOUS: EXIT.usage,
  NO_PASSPHRASE: EXIT.usage,
  OTHER_CHAIN: EXIT.wrongChain,
  OTHER_BUILD: EXIT.wrongChain,
  OTHER_CODE: EXIT.wrongChain,
  NO_CONTRACT: EXIT.wrongChain,
  DATA_TOO_NEW: EXIT.wrongChain,
  DATA_INVALID: EXIT.wrongChain,
  WRONG_CHAIN: EXIT.wrongChain,
  WRONG_DEPLOYMENT: EXIT.wrongChain,
  DEPLOYMENT_INVALID: EXIT.wrongChain,
  STACK_INVALID: EXIT.wrongChain,
  NOT_A_DATA_FOLDER: EXIT.wrongChain,
  SCHEMA_TOO_NEW: EXIT.wrongChain,
  NOT_AN_EXPORT: EXIT.usage,
  FILE_UNWRITABLE: EXIT.usage,
  EXPORT_DIVERGED: EXIT.wrongChain,
  NO_DEPLOYMENT: EXIT.noStack,
  NO_STACK: EXIT.noStack,
  NO_KEEPER: EXIT.noStack,
  NO_ANALYTICS: EXIT.noStack,
  INTERRUPTED: EXIT.interrupted,
}

/** Any error as one with a code. An unexpected one is INTERNAL. */
export function toFailure(error: unknown): FailureOutput {
  const code = isMultiverseError(error) ? error.code : 'INTERNAL'
  return { error: { code, message: oneLine(error) } }
}

/** The exit code an error ends a verb with. */
export function exitCodeOf(error: unknown): number {
  return EXIT_BY_CODE[toFailure(error).error.code] ?? EXIT.failed
}

/** An argument that is missing or cannot be understood. */
export function usageError(message: string): MultiverseError {
  return new MultiverseError('USAGE', message)
}
