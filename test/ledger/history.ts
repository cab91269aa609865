import * as fc from 'fast-check'
import { type Event, MAX_WORLDS, type Model, type Verdict } from './model.ts'

// Random histories. A history is a list of numbers, read against what the model holds at that moment: so every part of it
// means something whatever stands before it, and fast-check can shorten it.

export const OWNERS = 3
export const TOKENS = 2
/** The first block of every history, and the earliest deadline, in Unix seconds. */
export const BEGIN = 2_000_000_000
const FIRST_DEADLINE = BEGIN + 100_000

/** Ways to name a parent wrongly, and the ledger's error for each. */
const MALFORMED = ['PathNotAscending', 'QuestionInPath', 'OutcomeOutOfRange'] as const
export type Malformed = (typeof MALFORMED)[number]

type Move = { token: number; owner: number; amount: bigint; to: number; verdict: Verdict }
export type Operation =
  | ({ kind: 'pushDown' | 'pullUp'; parent: Event; question: number } & Move)
  | ({ kind: 'transfer'; event: Event } & Move)
  | { kind: 'narrow'; question: number; survivors: number[] }
  | { kind: 'expire'; question: number }
  | { kind: 'malformed'; how: Malformed; parent: Event; question: number; owner: number }

/**
 * Operations that are played in one block, after which the books are compared. `timestamp` in Unix seconds; `isLeaving` when
 * all is decided and the owners only take what is theirs.
 */
export type Scene = { timestamp: number; operations: Operation[]; isLeaving: boolean }

type Step = { kind: (typeof KINDS)[number]; picks: number[] }
export type History = { salt: number; outcomes: number[]; steps: Step[]; ending: number[] }

/**
 * What may happen. `plain` is what Gnosis's Conditional Tokens can express: nothing refused, no time, questions are answered
 * at once, answered questions are redeemed by whole balances.
 */
export type Subset = 'everything' | 'plain'

const KINDS = ['pushDown', 'pullUp', 'transfer', 'narrow', 'wait', 'malformed'] as const
const PICKS = 7
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
    { weight: 5, arbitrary: fc.constant('transfer' as const) },
    { weight: 2, arbitrary: fc.constant('narrow' as const) },
    { weight: 2, arbitrary: fc.constant('malformed' as const) },
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

/** What a step draws its choices from. */
type Choice = { token: number; owner: number; picks: readonly number[]; subset: Subset }

function choose(
  kind: Exclude<Step['kind'], 'wait'>,
  drawn: number[],
  model: Model,
  subset: Subset,
) {
  const [a = 0, b = 0, ...rest] = drawn
  // One book is written in more than the others.
  const token = a % 4 === 0 ? a % TOKENS : 0
  const owner = b % 2 === 0 ? b % OWNERS : 0
  return CHOICES[kind](model, { token, owner, picks: [a, ...rest], subset })
}

const CHOICES: Record<
  Exclude<Step['kind'], 'wait'>,
  (model: Model, choice: Choice) => Operation | undefined
> = { pushDown, pullUp, transfer, narrow: narrowSome, malformed }

function pushDown(model: Model, choice: Choice): Operation | undefined {
  const { token, owner, subset } = choice
  const [, c = 0, d = 0, e = 0, f = 0, g = 0] = choice.picks
  const isPlain = subset === 'plain'
  const open = model.outcomes.flatMap((_, each) =>
    model.isOver(each) && (isPlain || g % 4 !== 1) ? [] : [each],
  )
  if (open.length === 0) return undefined
  const question = at(open, c)
  const parents = model
    .holdings(token, owner)
    .filter(([event]) => model.answerIn(event, question) === undefined)
  // From ROOT when the dice says so, or when there is nothing else; mostly onwards from what came last, to get deep.
  const [parent, most] =
    parents.length === 0 || d % 6 === 0
      ? [model.everything, undefined]
      : at(parents, d % 6 === 1 ? e : parents.length - 1)
  const amount = most === undefined ? BigInt(1 + e) * 10n ** BigInt(f % 20) : part(most, choice)
  const to = receiver(choice)
  const verdict = model.pushDown(token, owner, parent, question, amount, to)
  return { kind: 'pushDown', token, owner, parent, question, amount, to, verdict }
}

function pullUp(model: Model, choice: Choice): Operation | undefined {
  const { token, owner, subset } = choice
  const [, c = 0, d = 0] = choice.picks
  const holdings = model.holdings(token, owner)
  if (holdings.length === 0) return undefined
  const [event] = at(holdings, c)
  const { question } = at(model.path(event), d)
  const parent = model.without(event, question)
  const most = model.pullable(token, owner, parent, question)
  if (most === 0n && !isGreedy(choice)) return undefined
  // Conditional Tokens redeem whole balances.
  const amount = subset === 'plain' && model.isOver(question) ? most : part(most, choice)
  const to = receiver(choice)
  const verdict = model.pullUp(token, owner, parent, question, amount, to)
  return { kind: 'pullUp', token, owner, parent, question, amount, to, verdict }
}

function transfer(model: Model, choice: Choice): Operation | undefined {
  const { token, owner } = choice
  const [, c = 0, d = 0] = choice.picks
  const holdings = model.holdings(token, owner)
  if (holdings.length === 0) return undefined
  const [event, most] = at(holdings, c)
  const amount = part(most, choice)
  const to = d % OWNERS
  const verdict = model.transfer(token, owner, event, amount, to)
  return { kind: 'transfer', token, owner, event, amount, to, verdict }
}

function narrowSome(model: Model, { picks: drawn, subset }: Choice): Operation | undefined {
  const [a = 0, c = 0, d = 0, e = 0] = drawn
  const question = a % model.outcomes.length
  if (model.isOver(question)) return undefined
  const live = model.live(question)
  if (subset === 'plain' || d % 4 === 0)
    return e % 3 === 0 ? narrow(model, question, [at(live, c)]) : undefined
  const last = model.outcomes[question]! - 1
  const some = live.filter((outcome) => outcome === last || ((c >> (outcome % 16)) & 1) === 1)
  return some.length === 1 ? undefined : narrow(model, question, some)
}

function malformed(
  model: Model,
  { token, owner, picks: drawn, subset }: Choice,
): Operation | undefined {
  const [, c = 0, d = 0, e = 0] = drawn
  const parents = model.holdings(token, owner)
  if (subset === 'plain' || parents.length === 0) return undefined
  const how = at(MALFORMED, c)
  const [parent] = at(parents, d)
  const path = model.path(parent)
  if (how === 'PathNotAscending' && path.length < 2) return undefined
  const question =
    how === 'QuestionInPath'
      ? at(path, e).question
      : model.outcomes.findIndex((_, each) => model.answerIn(parent, each) === undefined)
  return question === -1 ? undefined : { kind: 'malformed', how, parent, question, owner }
}

function narrow(model: Model, question: number, survivors: number[]): Operation {
  model.narrow(question, survivors)
  return { kind: 'narrow', question, survivors }
}

/** About how many verses these operations write. */
function weigh(operations: readonly Operation[], model: Model): number {
  return operations.reduce(
    (sum, operation) => sum + ('parent' in operation ? model.outcomes[operation.question]! : 2),
    0,
  )
}

/** Whether a step asks for one unit more than there is, now and then. */
function isGreedy({ picks: drawn, subset }: Choice): boolean {
  return subset === 'everything' && drawn[5]! % 12 === 0
}

/** The owner mostly, else anybody. */
function receiver({ owner, picks: drawn, subset }: Choice): number {
  return subset === 'plain' || drawn[5]! % 4 !== 0 ? owner : drawn[5]! % OWNERS
}

/** All of it, the least of it, or something between; one more than there is when greedy. */
function part(most: bigint, choice: Choice): bigint {
  const [dice, fraction] = [choice.picks[3]!, choice.picks[4]!]
  if (isGreedy(choice)) return most + 1n
  if (dice % 3 === 0) return most
  return dice % 3 === 1 ? 1n : 1n + ((most - 1n) * BigInt(fraction)) / 0x10000n
}

function at<T>(list: readonly T[], index: number): T {
  return list[index % list.length]!
}
