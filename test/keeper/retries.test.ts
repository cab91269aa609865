import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { classOf, type ErrorClass, nextTry, RETRIES } from '../../keeper/jobs/errorClass.ts'
import { MultiverseError } from '../../sdk/errors.ts'

// What becomes of work that failed, by the class of its error.

const classes = Object.keys(RETRIES) as ErrorClass[]
const anyClass = fc.constantFrom(...classes)
const anyRandom = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

test('an error has the class of its code, else of whether it may pass, else it is a bug', () => {
  const ours = (code: string, isRetryable = false) =>
    classOf(new MultiverseError(code, 'x', { isRetryable }))
  expect(ours('RPC_FAILED')).toBe('outage')
  expect(ours('PROVIDER_FAILED')).toBe('transient')
  expect(ours('RATE_LIMITED', true)).toBe('rateLimit')
  expect(ours('SPEC_UNREACHABLE', true)).toBe('transient')
  expect(ours('WORLDS_FAILED')).toBe('permanent')
  expect(classOf(new TypeError('x is undefined'))).toBe('bug')
  expect(classOf('thrown text')).toBe('bug')
})

test('every wait is within its bounds, and a longer one follows a shorter one', () => {
  const waitOf = (of: ErrorClass, count: number, random: number) => {
    const verdict = nextTry(of, count, random)
    return verdict.kind === 'again' ? verdict.afterMs : null
  }
  fc.assert(
    fc.property(anyClass, fc.integer({ min: 1, max: 10_000 }), anyRandom, (of, count, random) => {
      const { attempts, firstMs, maxMs } = RETRIES[of]
      const waits = waitOf(of, count, random)
      expect(waits === null).toBe(count >= attempts)
      const ms = waits ?? firstMs
      expect(ms).toBeGreaterThanOrEqual(Math.floor(firstMs / 2))
      expect(ms).toBeLessThanOrEqual(maxMs)
      // The least of the next bound is the most of this one, until both are the longest.
      const next = firstMs * 2 ** count <= maxMs ? waitOf(of, count + 1, 0) : null
      expect(next ?? ms).toBeGreaterThanOrEqual(ms - 1)
    }),
  )
})

test('work that always fails is tried as often as its class says, and an outage for ever', () => {
  for (const of of classes) {
    let tries = 1
    while (tries < 1_000 && nextTry(of, tries, 0.5).kind === 'again') tries++
    expect([of, tries]).toEqual([of, Math.min(1_000, RETRIES[of].attempts)])
  }
})

test('failures of several classes in turn come to an end', () => {
  // Each class counts by itself, so that an outage in between does not begin the count of another anew.
  const ending = fc.constantFrom<ErrorClass>('transient', 'rateLimit', 'bug')
  fc.assert(
    fc.property(fc.infiniteStream(ending), (stream) => {
      const counts = new Map<ErrorClass, number>()
      const most = 1 + 4 + 29 + 2
      let tries = 0
      for (const of of stream) {
        const count = (counts.get(of) ?? 0) + 1
        counts.set(of, count)
        if (++tries > most || nextTry(of, count, 0).kind === 'dead') break
      }
      expect(tries).toBeLessThanOrEqual(most)
    }),
  )
})

test('nobody is asked again sooner than it said, nor for ever for having said so', () => {
  const asked = fc.integer({ min: 0, max: 10 ** 12 })
  fc.assert(
    fc.property(
      anyClass,
      fc.integer({ min: 1, max: 50 }),
      anyRandom,
      asked,
      (of, count, random, ms) => {
        const [own, told] = [nextTry(of, count, random), nextTry(of, count, random, ms)]
        expect(told.kind).toBe(own.kind)
        if (told.kind === 'dead' || own.kind === 'dead') return
        expect(told.afterMs).toBeGreaterThanOrEqual(Math.max(own.afterMs, Math.min(ms, 3_600_000)))
        expect(told.afterMs).toBeLessThanOrEqual(Math.max(own.afterMs, 3_960_000))
      },
    ),
    { examples: [['outage', 1, 1 - 2 ** -52, 3_600_000]] },
  )
  expect(nextTry('rateLimit', 1, 0.5, 20_000)).toEqual({ kind: 'again', afterMs: 21_000 })
})

test('jitter spreads what failed together over half of the wait', () => {
  const waits = Array.from({ length: 100 }, (_, i) => nextTry('outage', 5, i / 100))
  const ms = waits.map((wait) => (wait.kind === 'again' ? wait.afterMs : 0))
  expect(Math.min(...ms)).toBe(8_000)
  expect(Math.max(...ms)).toBeGreaterThan(15_800)
})
