import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { plan, planWorlds, type Progress, STEPS, type StepName } from '../../keeper/jobs/machine.ts'

const nothing: Progress = {
  isOnChain: true,
  isTriggerDeep: true,
  hasFailed: false,
  isDeclined: false,
  isHeld: false,
  done: new Set(),
  live: { base: false, verses: false, any: false },
  isAnswerOurs: false,
  isAnswered: false,
  isResolved: false,
  isCollapsed: false,
}
const upTo = (step: StepName) => new Set(STEPS.slice(0, STEPS.indexOf(step) + 1))

test('begins with the spec', () => {
  expect(plan(nothing)).toEqual({ kind: 'run', step: 'spec' })
})

test('makes again what lived only in a process that is gone', () => {
  expect(plan({ ...nothing, done: upTo('base') })).toEqual({ kind: 'run', step: 'base' })
  expect(plan({ ...nothing, done: upTo('branch') })).toEqual({ kind: 'run', step: 'branch' })
})

test('reports only what is deep', () => {
  const executed = { ...nothing, done: upTo('verify') }
  expect(plan({ ...executed, isTriggerDeep: false })).toEqual({ kind: 'wait', state: 'running' })
  expect(plan(executed)).toEqual({ kind: 'run', step: 'report' })
})

test('answers only what is its own to answer and has no answer', () => {
  const reported = { ...nothing, done: upTo('report') }
  expect(plan(reported)).toEqual({ kind: 'wait', state: 'reported' })
  expect(plan({ ...reported, isAnswerOurs: true })).toEqual({ kind: 'run', step: 'answer' })
  expect(plan({ ...reported, isAnswerOurs: true, isAnswered: true })).toEqual({
    kind: 'wait',
    state: 'answered',
  })
})

test('lets go of a partition that is on no chain, failed, or whose parent never was', () => {
  const live = { base: true, verses: false, any: true }
  for (const [end, state] of [
    [{ isOnChain: false }, 'cancelled'],
    [{ hasFailed: true }, 'failed'],
    [{ isCollapsed: true }, 'resolved'],
  ] as const) {
    expect(plan({ ...nothing, ...end, live })).toEqual({ kind: 'release' })
    expect(plan({ ...nothing, ...end })).toEqual({ kind: 'finish', state })
  }
})

test('worlds alone stop where the chain would be acted on', () => {
  expect(planWorlds({ done: upTo('verify'), live: nothing.live })).toBeNull()
  expect(planWorlds({ done: upTo('merge'), live: nothing.live })).toBeNull()
  expect(planWorlds({ done: upTo('plan'), live: nothing.live })).toBe('base')
  expect(planWorlds({ done: upTo('execute'), live: nothing.live })).toBe('optimize')
  expect(planWorlds({ done: upTo('optimize'), live: nothing.live })).toBe('verify')
})

// A partition in a world where the process may be killed between any two moments, and the chain does what it likes.

type Event =
  | 'kill'
  | 'killInStep'
  | 'answer'
  | 'resolve'
  | 'deep'
  | 'takeBack'
  | 'comeAgain'
  | 'hold'
  | 'admit'
  | 'decline'
  | 'fail'
  | 'retry'
  | 'run'
const events = fc.array(
  fc.constantFrom<Event>(
    'kill',
    'killInStep',
    'answer',
    'resolve',
    'deep',
    'takeBack',
    'comeAgain',
    'hold',
    'admit',
    'decline',
    'fail',
    'retry',
    'run',
    'run',
    'run',
  ),
  { maxLength: 60 },
)

function simulate(history: readonly Event[], isAnswerOurs: boolean) {
  const done = new Set<StepName>()
  const live = { base: false, verses: false, hasRun: false }
  const chain = { isOnChain: true, isTriggerDeep: false, isAnswered: false, isResolved: false }
  const gate = { isHeld: false, isDeclined: false, hasFailed: false }
  const effects: { step: StepName; isCut: boolean }[] = []
  const progress = (): Progress => ({
    ...nothing,
    ...chain,
    ...gate,
    isAnswerOurs: isAnswerOurs && done.has('verify'),
    done: new Set(done),
    live: {
      base: live.base,
      verses: live.verses && !live.hasRun,
      any: live.base || live.verses,
    },
  })
  const kill = () => Object.assign(live, { base: false, verses: false, hasRun: false })

  /** One action; with `isCut` its effect happens but is never recorded. Says whether there was one. */
  function act(isCut: boolean): boolean {
    const next = plan(progress())
    if (next.kind === 'release') {
      kill()
      return true
    }
    if (next.kind !== 'run') return false
    const { step } = next
    const needs = STEPS.slice(0, STEPS.indexOf(step)).filter(
      // The answer is optional, and only the chain says whether it was given.
      (each) => each !== 'answer',
    )
    expect(done).toEqual(new Set([...done, ...needs]))
    expect(chain.isOnChain).toBe(true)
    expect(gate).toMatchObject({ isDeclined: false, hasFailed: false })
    // What is held back does not begin; what has begun goes on.
    if (!done.has('verify')) expect(gate.isHeld && !live.base && !live.verses).toBe(false)
    if (step === 'report') expect(chain.isTriggerDeep).toBe(true)
    if (step === 'answer') expect(chain.isAnswered).toBe(false)
    if (step === 'merge') expect(chain.isResolved).toBe(true)
    if (step === 'snapshot') expect(live.base).toBe(true)
    if (step === 'execute') expect(live.verses && !live.hasRun).toBe(true)
    effects.push({ step, isCut })
    if (step === 'base') live.base = true
    if (step === 'branch') Object.assign(live, { verses: true, hasRun: false })
    if (step === 'execute') Object.assign(live, { base: false, hasRun: true })
    if (isCut) kill()
    else done.add(step)
    return true
  }

  function happen(event: Event): void {
    switch (event) {
      case 'kill':
        kill()
        break
      case 'killInStep':
        act(true)
        break
      case 'run':
        act(false)
        break
      case 'answer':
        chain.isAnswered = chain.isOnChain
        break
      case 'resolve':
        chain.isAnswered = chain.isOnChain
        chain.isResolved = chain.isOnChain && chain.isTriggerDeep
        break
      case 'deep':
        chain.isTriggerDeep = chain.isOnChain
        break
      case 'takeBack':
        Object.assign(chain, {
          isOnChain: false,
          isTriggerDeep: false,
          isAnswered: false,
          isResolved: false,
        })
        // What the store does when nothing came in its place.
        done.clear()
        gate.hasFailed = false
        break
      case 'comeAgain':
        chain.isOnChain = true
        break
      case 'hold':
        gate.isHeld = true
        break
      case 'decline':
        // Only what has not begun is asked about: the admission of the rest is settled.
        gate.isDeclined = !done.has('verify')
        break
      case 'admit':
        Object.assign(gate, { isHeld: false, isDeclined: false })
        break
      case 'fail':
        gate.hasFailed = true
        break
      case 'retry':
        // What the operator does: all is done anew, unless it was reported.
        if (gate.hasFailed && !done.has('report')) done.clear()
        gate.hasFailed = false
        break
    }
  }

  for (const event of history) happen(event)
  return { act, chain, gate, done, effects, live, progress }
}

test('from any history, what runs on undisturbed comes to rest', () => {
  fc.assert(
    fc.property(events, fc.boolean(), (history, isAnswerOurs) => {
      const { act, progress } = simulate(history, isAnswerOurs)
      let actions = 0
      while (act(false)) expect(++actions).toBeLessThan(20)
      expect(['wait', 'finish']).toContain(plan(progress()).kind)
    }),
    { numRuns: 1_000 },
  )
})

test('however often it is killed, it ends as if it never had been', () => {
  fc.assert(
    fc.property(events, fc.boolean(), (history, isAnswerOurs) => {
      const calm = history.filter((event) => ['kill', 'killInStep', 'deep', 'run'].includes(event))
      const { act, chain, done, effects, live, progress } = simulate(calm, isAnswerOurs)
      Object.assign(chain, { isTriggerDeep: true })
      while (act(false));
      Object.assign(chain, { isAnswered: true, isResolved: true })
      while (act(false));
      expect(plan(progress())).toEqual({ kind: 'finish', state: 'resolved' })
      const expected = STEPS.filter((step) => step !== 'answer' || isAnswerOurs)
      expect([...done].toSorted()).toEqual([...expected].toSorted())
      expect(live.base).toBe(false)
      // Once recorded as done, what binds is never done again.
      for (const binding of ['report', 'merge'] as const)
        expect(effects.filter(({ step, isCut }) => step === binding && !isCut)).toHaveLength(1)
      expect(effects.at(-1)).toEqual({ step: 'merge', isCut: false })
    }),
    { numRuns: 1_000 },
  )
})

test('what is declined, or has failed, keeps no world and does nothing, until that is undone', () => {
  fc.assert(
    fc.property(events, fc.boolean(), fc.boolean(), (history, isAnswerOurs, isFailure) => {
      const { act, chain, gate, done, effects, live, progress } = simulate(history, isAnswerOurs)
      Object.assign(chain, { isOnChain: true })
      Object.assign(gate, { hasFailed: isFailure, isDeclined: !isFailure, isHeld: false })
      const before = effects.length
      while (act(false));
      expect(effects).toHaveLength(before)
      expect([live.base, live.verses]).toEqual([false, false])
      expect(plan(progress())).toEqual({ kind: 'finish', state: isFailure ? 'failed' : 'declined' })

      if (!done.has('report')) done.clear()
      Object.assign(gate, { hasFailed: false, isDeclined: false })
      Object.assign(chain, { isTriggerDeep: true, isAnswered: true, isResolved: true })
      while (act(false));
      expect(plan(progress())).toEqual({ kind: 'finish', state: 'resolved' })
    }),
    { numRuns: 1_000 },
  )
})

test('what is held waits without a world, and goes to its end when it is admitted', () => {
  fc.assert(
    fc.property(events, (history) => {
      const { act, chain, gate, done, live, progress } = simulate(history, false)
      Object.assign(chain, { isOnChain: true, isTriggerDeep: true })
      Object.assign(gate, { hasFailed: false, isDeclined: false, isHeld: true })
      const hadBegun = live.base || live.verses || done.has('verify')
      while (act(false));
      const held = plan(progress())
      expect(held.kind === 'wait' && held.state === 'waiting').toBe(!done.has('verify'))
      expect(done.has('verify')).toBe(hadBegun)
      gate.isHeld = false
      Object.assign(chain, { isAnswered: true, isResolved: true })
      while (act(false));
      expect(plan(progress())).toEqual({ kind: 'finish', state: 'resolved' })
    }),
    { numRuns: 1_000 },
  )
})
