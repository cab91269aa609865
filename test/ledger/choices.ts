import {
  at,
  MALFORMED,
  narrow,
  type Operation,
  OWNERS,
  type Step,
  type Subset,
  TOKENS,
} from './operations.ts'
import type { Event, Level, Model } from './model.ts'

/** What a step draws its choices from. */
type Choice = { token: number; owner: number; picks: readonly number[]; subset: Subset }

/** Reads a step against what the model holds, and does it there; nothing when it means nothing now. */
export function choose(
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
> = { pushDown, pullUp, exit, transfer, narrow: narrowSome, malformed }

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

/** Up through as many levels as there are, whole; a greedy one asks too much of the last. */
function exit(model: Model, choice: Choice): Operation | undefined {
  const { token, owner, subset } = choice
  const [, c = 0, d = 0] = choice.picks
  const holdings = model.holdings(token, owner)
  if (subset === 'plain' || holdings.length === 0) return undefined
  const levels: Level[] = []
  // What came last is deep mostly, and whole.
  let [below] = at(holdings, d % 2 === 0 ? c : holdings.length - 1)
  let given = 0n
  for (;;) {
    const level = levelAbove(model, choice, below, given)
    if (level === undefined) break
    levels.push(level)
    below = level.parent
    given = level.amount
  }
  if (levels.length === 0) return undefined
  if (isGreedy(choice)) levels.at(-1)!.amount += 1n
  const to = receiver(choice)
  const verdict = model.exit(token, owner, levels, to)
  return { kind: 'exit', token, owner, levels, to, verdict }
}

/** The next level up, when the level below has just given `given` of `below`, and of no other child. */
function levelAbove(
  model: Model,
  { token, owner }: Choice,
  below: Event,
  given: bigint,
): Level | undefined {
  for (const { question } of model.path(below)) {
    const parent = model.without(below, question)
    const amount = model
      .children(parent, question)
      .map((child) => model.held(token, owner, child) + (child === below ? given : 0n))
      .reduce((least, each) => (each < least ? each : least))
    if (amount > 0n) return { parent, question, amount }
  }
  return undefined
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
  const [parent] = at(parents, d % 2 === 0 ? d : parents.length - 1)
  const path = model.path(parent)
  if (how === 'PathNotAscending' && path.length < 2) return undefined
  const question =
    how === 'QuestionInPath'
      ? at(path, e).question
      : model.outcomes.findIndex((_, each) => model.answerIn(parent, each) === undefined)
  return question === -1 ? undefined : { kind: 'malformed', how, parent, question, owner }
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
