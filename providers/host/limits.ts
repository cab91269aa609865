import { MultiverseError } from '../../sdk/errors.ts'
import type { Limits, Rates } from '../provider.ts'
import { invalid, ranTooLong } from './errors.ts'

/** The longest that a timer can wait. */
const MAX_TIMER_MS = 2_147_483_647

/**
 * Limits that make sense.
 * @throws INVALID_ARGUMENT
 */
export function checkLimits(limits: Limits, maxMemoryBytes = Number.MAX_SAFE_INTEGER): Limits {
  const { timeMs, memoryBytes } = limits
  for (const [name, value] of Object.entries({ timeMs, memoryBytes }))
    if (!Number.isFinite(value) || value <= 0) throw invalid(`${name} ${value} is not above 0`)
  return { timeMs, memoryBytes: Math.min(Math.ceil(memoryBytes), maxMemoryBytes) }
}

/** What a caller asks for, within what the operator allows. @throws INVALID_ARGUMENT */
export function withinLimits(asked: Partial<Limits>, allowed: Limits): Limits {
  const { timeMs = allowed.timeMs, memoryBytes = allowed.memoryBytes } = asked
  const checked = checkLimits({ timeMs, memoryBytes })
  return {
    timeMs: Math.min(checked.timeMs, allowed.timeMs),
    memoryBytes: Math.min(checked.memoryBytes, allowed.memoryBytes),
  }
}

/**
 * What a caller asks for, within what the operator allows.
 * @param held the rates that the provider can hold a run to
 * @throws INVALID_ARGUMENT, UNSUPPORTED
 */
export function withinRates(
  asked: Rates,
  allowed: Rates,
  { id, held }: { id: string; held: readonly (keyof Rates)[] },
): Rates {
  const rates: Rates = {}
  for (const name of ['cpuShare', 'ioBytesPerS'] as const) {
    const given = [asked[name], allowed[name]].filter((rate) => rate !== undefined)
    if (given.length === 0) continue
    const most = name === 'cpuShare' ? 1 : Number.MAX_SAFE_INTEGER
    const wrong = given.find((rate) => !(rate > 0 && rate <= most))
    if (wrong !== undefined) throw invalid(`${name} ${wrong} is not above 0 and up to ${most}`)
    if (!held.includes(name))
      throw new MultiverseError('UNSUPPORTED', `${id} holds no run to a rate of ${name}`)
    rates[name] = Math.min(...given)
  }
  return rates
}

/** Calls back after so long, however long that is. Gives what stops it. */
export function after(ms: number, callBack: () => void): () => void {
  if (ms === Number.POSITIVE_INFINITY) return () => undefined
  const timer = setTimeout(callBack, Math.min(ms, MAX_TIMER_MS))
  return () => clearTimeout(timer)
}

/**
 * Waits for a program for so long, or until the signal. What comes of it later is no matter.
 * @throws EXECUTION_TIMEOUT, the signal's reason, what `stop` rejects with
 */
export async function withinTime<result>(
  timeMs: number,
  signal: AbortSignal,
  perform: (stop: (reason: unknown) => void) => Promise<result>,
): Promise<result> {
  signal.throwIfAborted()
  const stopped = Promise.withResolvers<never>()
  const leave = () => stopped.reject(signal.reason as Error)
  const cancel = after(timeMs, () => stopped.reject(ranTooLong(timeMs)))
  signal.addEventListener('abort', leave)
  try {
    return await Promise.race([perform(stopped.reject), stopped.promise])
  } finally {
    cancel()
    signal.removeEventListener('abort', leave)
  }
}
