import { MultiverseError } from '../../sdk/errors.ts'
import { withinTime } from '../host/limits.ts'
import type { Sandbox } from './sandbox.ts'

/** What a run may take. */
export type Bounds = {
  timeMs: number
  /** Of this machine's memory, for the whole world. Infinity for no bound. */
  maxBytes: number
}

/** Between two looks at a world's memory. */
const WATCH_MS = 25

/**
 * Waits for what a world does as long as it keeps to its bounds. The world itself is left as it is.
 * @throws EXECUTION_TIMEOUT, OUT_OF_MEMORY, or the signal's reason
 */
export function withinBounds<result>(
  world: Pick<Sandbox, 'usedBytes' | 'hasEnded'>,
  { timeMs, maxBytes }: Bounds,
  signal: AbortSignal,
  perform: () => Promise<result>,
): Promise<result> {
  let watch: NodeJS.Timeout | undefined
  return withinTime(timeMs, signal, (stop) => {
    let isLooking = false
    const look = async () => {
      if (isLooking || world.hasEnded) return
      isLooking = true
      try {
        const used = await world.usedBytes()
        const text = `the world takes ${used} bytes, at most ${maxBytes}`
        if (used > maxBytes) stop(new MultiverseError('OUT_OF_MEMORY', text))
      } catch (error) {
        // There is nothing to look at in a world that is ending, and it is about to say so itself.
        setTimeout(() => stop(error), WATCH_MS)
      } finally {
        isLooking = false
      }
    }
    watch = setInterval(() => void look(), WATCH_MS)
    return perform()
  }).finally(() => clearInterval(watch))
}
