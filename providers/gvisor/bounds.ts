import { isMultiverseError, MultiverseError, oneLine } from '../../sdk/errors.ts'
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
/** A world that cannot be looked at for so long is not merely ending. */
const BLIND_MS = 2_000

/**
 * Waits for what a world does as long as it keeps to its bounds. The world itself is left as it is.
 * @throws EXECUTION_TIMEOUT, OUT_OF_MEMORY, PROVIDER_FAILED when it cannot be looked at, or the signal's reason
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
    let blindSince: number | null = null
    const look = async () => {
      if (isLooking || world.hasEnded) return
      isLooking = true
      try {
        const used = await world.usedBytes()
        const text = `the world takes ${used} bytes, at most ${maxBytes}`
        blindSince = null
        if (used > maxBytes) stop(new MultiverseError('OUT_OF_MEMORY', text))
      } catch (error) {
        // There is nothing to look at in a world that is ending, and it is about to say so itself.
        blindSince ??= performance.now()
        if (performance.now() - blindSince > BLIND_MS) stop(unseen(error))
      } finally {
        isLooking = false
      }
    }
    watch = setInterval(() => void look(), WATCH_MS)
    return perform()
  }).finally(() => clearInterval(watch))
}

function unseen(error: unknown): MultiverseError {
  if (isMultiverseError(error)) return error
  const text = `the memory of the world cannot be looked at: ${oneLine(error)}`
  return new MultiverseError('PROVIDER_FAILED', text, { cause: error, isRetryable: true })
}
