import * as fc from 'fast-check'
import { choose } from './choices.ts'
import { MAX_WORLDS, type Model } from './model.ts'
import {
  at,
  BEGIN,
  type History,
  narrow,
  type Operation,
  OWNERS,
  PICKS,
  type Scene,
  type Subset,
  TOKENS,
} from './operations.ts'

// Random histories. A history is a list of numbers, read against what the model holds at that moment: so every part of it
// means something whatever stands before it, and fast-check can shorten it.

const FIRST_DEADLINE = BEGIN + 100_000

/** A scene ends when it has this many verses to write; it is one transaction, on both ledgers. */
const SCENE_WEIGHT = 96

const pick = fc.nat(0xffff)
const picks = fc.array(pick, { minLength: PICKS, maxLength: PICKS })

const outcomeCount = (most: number) =>
  fc.oneof(
    { weight: 96, arbitrary: fc.integer({ min: 2, max: 4 }) },
    { weight: 16, arbitrary: fc.integer({ min: 5, max: 9 }) },
    { weight: 3, arbitrary: fc.integer({ min: 10, max: 32 }) },
    { weight: 1, arbitrary: fc.integer({ min: 33, max: most }) },
  )
const outcomeCounts = (most: number, maxLength: number) =>
  fc.array(outcomeCount(most), { minLength: 1, maxLength, size: 'max' })

/** Outcome counts whose product is at most 2^12: of up to four questions mostly, else of up to twelve. */
const outcomes = (most: number) =>
  fc
    .oneof(
      { weight: 2, arbitrary: outcomeCounts(most, 4) },
      { weight: 1, arbitrary: outcomeCounts(most, 12) },
    )
    .map((counts) => {
      let worlds = 1
      return counts.filter((count) => {
        const fits = worlds * count <= MAX_WORLDS
        if (fits) worlds *= count
        return fits
      })
    })

const step = fc.record({
  kind: fc.oneof(
    { weight: 8, arbitrary: fc.constant('pushDown' as const) },
    { weight: 6, arbitrary: fc.constant('pullUp' as const) },
    { weight: 3, arbitrary: fc.constant('exit' as const) },
    { weight: 5, arbitrary: fc.constant('transfer' as const) },
    { weight: 2, arbitrary: fc.constant('narrow' as const) },
    { weight: 3, arbitrary: fc.constant('malformed' as const) },
    { weight: 1, arbitrary: fc.constant('wait' as const) },
  ),
  picks,
})

/** Any history; in a plain one no question is so wide that Conditional Tokens would need more gas than a transaction has. */
export const histories = (subset: Subset): fc.Arbitrary<History> =>
  fc.record({
    salt: fc.nat(),
    outcomes: outcomes(subset === 'plain' ? 48 : 254),
    steps: fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }),
    ending: picks,
  })

/** The deadline of each question: apart from each other, in an order that the salt decides. */
export function deadlineOf(story: History, question: number): number {
  return FIRST_DEADLINE + ((question + story.salt) % story.outcomes.length) * 1000
}

/**
 * Plays a history on the model, scene by scene; when a scene is handed out, the model stands at its end. It closes with every
 * question decided and everybody gone.
 */
export function* unfold(story: History, model: Model, subset: Subset): Generator<Scene> {
  let now = BEGIN
  let operations: Operation[] = []
  const questions = model.outcomes.map((_, question) => question)

  function* cut(isLeaving = false): Generator<Scene> {
    if (operations.length > 0) yield { timestamp: now, operations, isLeaving }
    operations = []
    // Conditional Tokens play the same scene one second later.
    now += 2
  }

  function* waitFor(question: number, isRecorded: boolean): Generator<Scene> {
    yield* cut()
    now = Math.max(now, deadlineOf(story, question))
    for (const each of questions) if (deadlineOf(story, each) <= now) model.expire(each)
    // What time has decided need not be written down.
    if (!isRecorded) return
    model.record(question)
    operations.push({ kind: 'expire', question })
  }

  for (const step of story.steps) {
    if (step.kind === 'wait') {
      const [question = 0, dice = 0] = step.picks
      const open = questions.filter((each) => !model.isOver(each))
      // Seldom, for what time decides is decided for good.
      if (subset === 'everything' && dice % 3 === 0 && open.length > 0)
        yield* waitFor(at(open, question), dice % 2 === 0)
    } else {
      const operation = choose(step.kind, step.picks, model, subset)
      if (operation !== undefined) operations.push(operation)
    }
    if (weigh(operations, model) >= SCENE_WEIGHT) yield* cut()
  }
  yield* cut()

  for (const question of questions) {
    if (model.isOver(question)) continue
    const dice = story.ending[question % PICKS]!
    if (subset === 'everything' && dice % 3 === 0) yield* waitFor(question, dice % 2 === 0)
    else operations.push(narrow(model, question, [at(model.live(question), dice)]))
  }
  // Even if it was time alone that decided: the books are compared once more.
  yield { timestamp: now, operations, isLeaving: false }
  operations = []
  now += 2

  for (const operation of leave(story, model)) {
    operations.push(operation)
    if (weigh(operations, model) >= SCENE_WEIGHT) yield* cut(true)
  }
  yield* cut(true)
}

/** Everybody pulls up all that has come true, owner by owner and question by question in some order. */
function* leave(story: History, model: Model): Generator<Operation> {
  const [first = 0, start = 0] = story.ending
  const size = model.outcomes.length
  for (let i = 0; i < OWNERS; i++)
    for (let token = 0; token < TOKENS; token++)
      for (let j = 0; j < size; j++) {
        const owner = (first + i) % OWNERS
        const question = (start + j) % size
        for (const [event] of model.holdings(token, owner)) {
          if (model.answerIn(event, question) !== model.live(question)[0]) continue
          const parent = model.without(event, question)
          const amount = model.held(token, owner, event)
          const move = { token, owner, amount, to: owner }
          const verdict = model.pullUp(token, owner, parent, question, amount, owner)
          yield { kind: 'pullUp', parent, question, ...move, verdict }
        }
      }
}

/** About how many verses these operations write. */
function weigh(operations: readonly Operation[], model: Model): number {
  const wide = (question: number) => model.outcomes[question]!
  return operations.reduce((sum, operation) => {
    if (operation.kind === 'exit')
      return operation.levels.reduce((all, { question }) => all + wide(question), sum)
    return sum + ('parent' in operation ? wide(operation.question) : 2)
  }, 0)
}
