import { isMultiverseError, MultiverseError, oneLine } from '../sdk/errors.ts'

/** An environment variable that must be set. @throws MISSING_ENVIRONMENT */
export function required(name: string): string {
  const value = process.env[name]
  if (value === undefined || value === '')
    throw new MultiverseError('MISSING_ENVIRONMENT', `${name} is not set`)
  return value
}

/** A TCP port from the environment. @throws MISSING_ENVIRONMENT, INVALID_ENVIRONMENT */
export function requiredPort(name: string): number {
  const value = required(name)
  const port = Number(value)
  if (!/^\d+$/.test(value) || port > 65_535)
    throw new MultiverseError('INVALID_ENVIRONMENT', `${name} is not a port: ${value}`)
  return port
}

const EXIT_CODES: Record<string, number> = {
  MISSING_ENVIRONMENT: 2,
  INVALID_ENVIRONMENT: 2,
  NO_DEPLOYMENT: 2,
  DEPLOYMENT_INVALID: 2,
  WRONG_CHAIN: 3,
  WRONG_DEPLOYMENT: 3,
  NO_CONTRACT: 3,
  OTHER_CODE: 3,
  DATA_TOO_NEW: 3,
  DATA_INVALID: 3,
  SCHEMA_TOO_NEW: 3,
  REORG_PAST_FINALITY: 3,
}

/** Runs a service's main function; when it throws, writes one line to standard error and ends with the fitting exit code. */
export async function runService(main: () => Promise<void>): Promise<void> {
  try {
    await main()
  } catch (error) {
    process.exit(fail(error))
  }
}

/** Writes a fatal error as one line and gives the exit code that tells a supervisor what to do about it. */
export function fail(error: unknown): number {
  const code = isMultiverseError(error) ? error.code : 'INTERNAL'
  process.stderr.write(`error ${code}: ${oneLine(error)}\n`)
  if (isMultiverseError(error) && error.isRetryable) return 75
  return EXIT_CODES[code] ?? 1
}

/** Writes one line about something that happened: a `noun.verb` and its facts. */
export type Log = (event: string, facts?: Record<string, unknown>) => void

/** A log of JSON lines on standard output. */
export function createLog(service: string): Log {
  return (event, facts = {}) => {
    const line = JSON.stringify(
      { at: new Date().toISOString(), service, event, ...facts },
      (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value),
    )
    process.stdout.write(`${line}\n`)
  }
}
