import { MultiverseError } from '../../sdk/errors.ts'
import type { Sandbox } from './sandbox.ts'

/** What a run may take. */
export type Bounds = {
  timeMs: number
  /** Of this machine's memory, for the whole world. Infinity for no bound. */
  maxBytes: number
}

/** Between two looks at a world's memory. */
const WATCH_MS = 25
/** The longest that a timer can wait. */
const MAX_TIMER_MS = 2_147_483_647

/**
 * Waits for what a world does as long as it keeps to its bounds. The world itself is left as it is.
 * @throws EXECUTION_TIMEOUT, OUT_OF_MEMORY, or the signal's reason
 */
export async function withinBounds<result>(
  world: Pick<Sandbox, 'usedBytes' | 'hasEnded'>,
  { timeMs, maxBytes }: Bounds,
  signal: AbortSignal,
  perform: () => Promise<result>,
): Promise<result> {
  const stop = Promise.withResolvers<never>()
  const leave = () => stop.reject(signal.reason as Error)
  const late = () =>
    stop.reject(
      new MultiverseError('EXECUTION_TIMEOUT', `the program ran longer than ${timeMs} ms`),
    )
  let isLooking = false
  const look = async () => {
    if (isLooking || world.hasEnded) return
    isLooking = true
    try {
      const used = await world.usedBytes()
      if (used > maxBytes)
        stop.reject(
          new MultiverseError(
            'OUT_OF_MEMORY',
            `the world takes ${used} bytes, at most ${maxBytes}`,
          ),
        )
    } catch (error) {
      // There is nothing to look at in a world that is ending, and it is about to say so itself.
      setTimeout(() => stop.reject(error as Error), WATCH_MS)
    } finally {
      isLooking = false
    }
  }
  const timer = setTimeout(late, Math.min(timeMs, MAX_TIMER_MS))
  const watch = setInterval(() => void look(), WATCH_MS)
  signal.addEventListener('abort', leave)
  try {
    return await Promise.race([perform(), stop.promise])
  } finally {
    clearTimeout(timer)
    clearInterval(watch)
    signal.removeEventListener('abort', leave)
  }
}
