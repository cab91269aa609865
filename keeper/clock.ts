import { errorFields, type Log } from './log.ts'
import type { Queue } from './store/queue.ts'

// The machine's clock can be set while the keeper runs, and goes on by hours when the machine wakes from sleep. Whatever lasts is
// measured on a clock that nobody sets; what is stored with a time is moved along.

/** How often the clocks are compared, milliseconds. */
const LOOK_MS = 1_000
/** More than a busy machine puts between two readings. */
const TOLERANCE_MS = 500

/** Both clocks, milliseconds. */
type Clocks = { wall: () => number; steady: () => number }

/** How far the machine's clock was set since the last look; 0 when it was not. */
export function createJumps({ wall, steady }: Clocks): () => number {
  let apart = wall() - steady()
  return () => {
    const now = wall() - steady()
    const jumped = now - apart
    apart = now
    return Math.abs(jumped) > TOLERANCE_MS ? Math.round(jumped) : 0
  }
}

/** Has jobs that wait for a time wait as long as they were to, whatever the machine's clock does. Gives what ends that. */
export function keepTime({ queue, log }: { queue: Pick<Queue, 'shift'>; log: Log }): {
  stop: () => Promise<void>
} {
  const jumped = createJumps({ wall: Date.now, steady: () => performance.now() })
  const timer = setInterval(() => {
    const byMs = jumped()
    if (byMs === 0) return
    log.warn({ byMs }, 'clock.jumped')
    queue.shift(byMs).catch((error: unknown) => log.warn(errorFields(error), 'queue.failed'))
  }, LOOK_MS)
  return {
    async stop() {
      clearInterval(timer)
    },
  }
}
