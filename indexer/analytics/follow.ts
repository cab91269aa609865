import { setTimeout as sleep } from 'node:timers/promises'
import { isMultiverseError, oneLine } from '../../sdk/errors.ts'
import type { Log } from '../service.ts'
import type { JournalReader } from './journal.ts'
import type { Mirror, Tick } from './mirror.ts'

// Keeps the database level with the chain and with the keepers' journals, for as long as it may.

/** Something that does not work now, and of whom: the mirror, or a keeper's URL. It is tried again and again. */
export type Problem = { of: string; code: string; message: string }

export type Follower = {
  /** What does not work at this moment. */
  problems(): Problem[]
  /** Rejects when what happened cannot pass by itself; resolves once stopped. */
  ended: Promise<void>
  stop(): Promise<void>
}

const RETRY_MS = 500
/** Errors that trying again in the same process does not mend. */
const FATAL = ['WRONG_CHAIN', 'DISK_FULL', 'DATABASE_BROKEN', 'DATABASE_UNREADABLE']

/** Starts to follow; `onTick` and `onEntries` hear of what was taken in. */
export function follow({
  mirror,
  readers,
  pollMs,
  onTick,
  onEntries,
  log,
}: {
  mirror: Mirror
  readers: readonly { url: string; reader: JournalReader }[]
  pollMs: number
  onTick: (tick: Tick, seconds: number) => void
  onEntries: () => Promise<void>
  log: Log
}): Follower {
  const stopping = new AbortController()
  const problems = new Map<string, Problem>()
  /** Does `work` again and again; it gives the milliseconds to wait. A failure is told once for each of its kinds. */
  const repeat = async (of: string, event: string, work: () => Promise<number>) => {
    while (!stopping.signal.aborted) {
      let pauseMs = RETRY_MS
      try {
        pauseMs = await work()
        problems.delete(of)
      } catch (error) {
        const code = isMultiverseError(error) ? error.code : 'INTERNAL'
        if (FATAL.includes(code)) throw error
        const message = oneLine(error)
        if (problems.get(of)?.code !== code) log(event, { code, message, of })
        problems.set(of, { of, code, message })
      }
      await sleep(pauseMs, undefined, { signal: stopping.signal }).catch((error: unknown) => {
        if (!stopping.signal.aborted) throw error
      })
    }
  }
  const loops = [
    repeat('mirror', 'mirror.failed', async () => {
      const from = performance.now()
      const tick = await mirror.tick()
      onTick(tick, (performance.now() - from) / 1_000)
      return tick.kind === 'current' ? pollMs : pollMs / 4
    }),
    ...readers.map(({ url, reader }) =>
      repeat(url, 'journal.failed', async () => {
        if ((await reader.poll()) > 0) await onEntries()
        return pollMs
      }),
    ),
  ]
  return {
    problems: () => [...problems.values()],
    ended: Promise.all(loops).then(() => undefined),
    async stop() {
      stopping.abort()
      await Promise.allSettled(loops)
    },
  }
}
