import { formatUnits, parseUnits } from 'viem'
import { MultiverseError } from '../sdk/errors.ts'
import { MAX_AMOUNT } from '../sdk/ids.ts'

/**
 * An amount of a token as a person writes it, in the token's smallest unit.
 * @throws INVALID_AMOUNT, ZERO_AMOUNT, AMOUNT_TOO_LARGE
 */
export function parseAmount(text: string, decimals: number): bigint {
  const fraction = /^\d+(?:\.(\d+))?$/.exec(text)
  if (fraction === null)
    throw new MultiverseError('INVALID_AMOUNT', `${text} is not an amount such as 12.5`)
  if ((fraction[1]?.length ?? 0) > decimals)
    throw new MultiverseError('INVALID_AMOUNT', `${text} has more than ${decimals} decimals`)
  const amount = parseUnits(text, decimals)
  if (amount === 0n) throw new MultiverseError('ZERO_AMOUNT', `amount ${text} must be above 0`)
  if (amount > MAX_AMOUNT)
    throw new MultiverseError(
      'AMOUNT_TOO_LARGE',
      `amount ${text} is over ${formatUnits(MAX_AMOUNT, decimals)}`,
    )
  return amount
}

const UNITS: Record<string, bigint> = { s: 1n, m: 60n, h: 3600n, d: 86_400n }

/**
 * A deadline in Unix seconds: `+90s`, `+30m`, `+1h`, `+7d` from `now` (the chain's, not the clock's), an ISO 8601 time,
 * or Unix seconds.
 * @throws INVALID_DEADLINE
 */
export function parseDeadline(text: string, now: bigint): bigint {
  const relative = /^\+(\d+)([smhd])$/.exec(text)
  if (relative !== null) return now + BigInt(relative[1]!) * UNITS[relative[2]!]!
  if (/^\d{1,15}$/.test(text)) return BigInt(text)
  const milliseconds = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(milliseconds))
    throw new MultiverseError(
      'INVALID_DEADLINE',
      `${text} is not a deadline such as +1h, 2030-01-31T12:00Z or Unix seconds`,
    )
  return BigInt(Math.floor(milliseconds / 1000))
}
