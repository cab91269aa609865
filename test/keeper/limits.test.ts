import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createLimiter } from '../../keeper/limits.ts'

// Limits on a provider's calls, on a clock of the test's own.

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** Has calls arrive after each other and take a while; gives when each began and ended. */
async function simulate(
  limits: { concurrency: number | null; perMinute: number | null },
  calls: readonly { afterMs: number; takesMs: number }[],
) {
  const limiter = createLimiter(limits, () => Date.now())
  const times: { begun: number; ended: number }[] = []
  const running: Promise<void>[] = []
  for (const { afterMs, takesMs } of calls) {
    await vi.advanceTimersByTimeAsync(afterMs)
    running.push(
      limiter.run(async () => {
        const time = { begun: Date.now(), ended: Infinity }
        times.push(time)
        await new Promise((resolve) => setTimeout(resolve, takesMs))
        time.ended = Date.now()
      }),
    )
  }
  const all = Promise.all(running)
  await vi.runAllTimersAsync()
  await all
  return times
}

const calls = fc.array(
  fc.record({
    afterMs: fc.integer({ min: 0, max: 5_000 }),
    takesMs: fc.integer({ min: 1, max: 5_000 }),
  }),
  { minLength: 1, maxLength: 20 },
)

test('no more calls run at a time, and none begin closer together, than is allowed', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 6, max: 600 }),
      calls,
      async (concurrency, perMinute, arriving) => {
        const times = await simulate({ concurrency, perMinute }, arriving)
        // Each is done, once.
        expect(times).toHaveLength(arriving.length)
        for (const [i, { begun }] of times.entries()) {
          const beside = times.filter((other) => other.begun <= begun && begun < other.ended)
          expect(beside.length).toBeLessThanOrEqual(concurrency)
          const gap = i === 0 ? Infinity : begun - times[i - 1]!.begun
          // Timers count whole milliseconds.
          expect(gap).toBeGreaterThanOrEqual(Math.floor(60_000 / perMinute) - 1)
        }
      },
    ),
    { numRuns: 50 },
  )
})

test('without limits nothing waits', async () => {
  const times = await simulate({ concurrency: null, perMinute: null }, [
    { afterMs: 0, takesMs: 1_000 },
    { afterMs: 0, takesMs: 1_000 },
  ])
  expect(times[1]!.begun).toBe(times[0]!.begun)
})

test('whoever waits when it ends is turned away', async () => {
  const limiter = createLimiter({ concurrency: null, perMinute: 1 }, () => Date.now())
  await limiter.run(async () => {})
  const waiting = limiter.run(async () => {})
  limiter.close()
  await expect(waiting).rejects.toMatchObject({ code: 'ABORTED', isRetryable: true })
})
