import { destination, type Logger, pino } from 'pino'
import { MultiverseError, oneLine } from '../sdk/errors.ts'
import type { Config } from './config.ts'

/** Structured log: `log.info({ partition }, 'partition.reported')`. Messages are `noun.verb` keys. */
export type Log = Logger

/** JSON lines on stderr. Amounts become decimal strings; nothing secret is ever handed to it. */
export function createLog(level: Config['logLevel']): Log {
  return pino(
    {
      level,
      base: { name: 'keeper' },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: {
        level: (label) => ({ level: label }),
        log: (fields) => mapBigints(fields) as Record<string, unknown>,
      },
    },
    destination({ fd: 2, sync: true }),
  )
}

/** An error as log fields: its code and one line, never a library's dump of a whole request. */
export function errorFields(error: unknown): { code: string; error: string } {
  const code = error instanceof MultiverseError ? error.code : 'UNEXPECTED'
  return { code, error: oneLine(error) }
}

function mapBigints(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (Array.isArray(value)) return value.map(mapBigints)
  if (
    value !== null &&
    typeof value === 'object' &&
    Object.getPrototypeOf(value) === Object.prototype
  )
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, mapBigints(each)]))
  return value
}
