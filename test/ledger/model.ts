// The multiverse by brute force: a verse is nothing but the set of worlds in which it is true, and the books say how much an
// owner has of each set. No ids, no paths, no complete sets, no order among questions.

/** A set of worlds, one bit for each combination of answers to all questions. */
export type Event = bigint

/** An answer to the question of this index. */
export type ModelAnswer = { question: number; outcome: number }

/** What the model says of an operation: `done`, or the ledger's error it must fail with. */
export type Verdict = 'done' | 'AlreadyResolved' | 'DeadlinePassed' | 'InsufficientBalance'

/** A question of the model. `live` is ascending; `isRecorded` once an answer was given, not only decided by time. */
type Question = { live: number[]; isOver: boolean; isRecorded: boolean }

/** One level of an exit. */
export type Level = { parent: Event; question: number; amount: bigint }

export type Model = ReturnType<typeof createModel>

/** No more combinations than this: the model enumerates them. */
export const MAX_WORLDS = 4096

/** A model of questions with so many outcomes each, in which nobody has anything. */
export function createModel(outcomes: readonly number[], owners: number, tokens: number) {
  const size = outcomes.reduce((product, count) => product * count, 1)
  if (size > MAX_WORLDS) throw new RangeError(`${size} worlds are more than ${MAX_WORLDS}`)
  const everything: Event = (1n << BigInt(size)) - 1n
  /** The worlds in which a question gets an answer, by enumeration. */
  const answered = enumerate(outcomes, size)
  const questions: Question[] = outcomes.map((count) => ({
    live: Array.from({ length: count }, (_, outcome) => outcome),
    isOver: false,
    isRecorded: false,
  }))
  const books = Array.from({ length: tokens }, () =>
    Array.from({ length: owners }, () => new Map<Event, bigint>()),
  )
  /** What each owner got out of the ledger less what he put in. */
  const wallets = Array.from({ length: tokens }, () => Array.from({ length: owners }, () => 0n))

  const held = (token: number, owner: number, event: Event) =>
    books[token]![owner]!.get(event) ?? 0n

  function add(token: number, owner: number, event: Event, amount: bigint): void {
    if (event === everything) wallets[token]![owner]! += amount
    else {
      const sum = held(token, owner, event) + amount
      if (sum < 0n) throw new RangeError('the model went below zero')
      if (sum === 0n) books[token]![owner]!.delete(event)
      else books[token]![owner]!.set(event, sum)
    }
  }

  /** The verses that `event` falls into by the answers to a question that are still possible. */
  function children(event: Event, question: number): Event[] {
    return questions[question]!.live.map((outcome) => event & answered[question]![outcome]!)
  }

  /** The answer that an event fixes for a question, if any. */
  function answerIn(event: Event, question: number): number | undefined {
    const outcome = answered[question]!.findIndex((worlds) => (event & ~worlds) === 0n)
    return outcome === -1 ? undefined : outcome
  }

  const paths = new Map<Event, readonly ModelAnswer[]>()

  function path(event: Event): readonly ModelAnswer[] {
    const known = paths.get(event)
    if (known !== undefined) return known
    const found = outcomes.flatMap((_, question) => {
      const outcome = answerIn(event, question)
      return outcome === undefined ? [] : [{ question, outcome }]
    })
    paths.set(event, found)
    return found
  }

  function eventOf(answers: readonly ModelAnswer[]): Event {
    return answers.reduce(
      (event, { question, outcome }) => event & answered[question]![outcome]!,
      everything,
    )
  }

  return {
    everything,
    outcomes,
    held,
    children,
    answerIn,
    wallet: (token: number, owner: number) => wallets[token]![owner]!,
    live: (question: number): readonly number[] => questions[question]!.live,
    isOver: (question: number) => questions[question]!.isOver,
    holdings: (token: number, owner: number): [Event, bigint][] => [...books[token]![owner]!],
    /** Every answer that an event fixes, in the order of the questions. */
    path,
    /** The worlds in which all these answers are given. */
    eventOf,
    /** The verse that an event falls out of: all its answers but the one to `question`. */
    without: (event: Event, question: number): Event =>
      eventOf(path(event).filter((answer) => answer.question !== question)),
    /** The most that an owner can pull up: the least he has in any child still possible. */
    pullable: (token: number, owner: number, parent: Event, question: number): bigint =>
      children(parent, question)
        .map((child) => held(token, owner, child))
        .reduce((least, amount) => (amount < least ? amount : least)),
    /**
     * What an owner ends with if the first of the worlds still possible comes true: what he took out, and all that he has of
     * events that hold it. The same for all of them once all is decided.
     */
    due: (token: number, owner: number): bigint => {
      const world = questions.reduce(
        (worlds, { live }, question) => worlds & answered[question]![live[0]!]!,
        everything,
      )
      return [...books[token]![owner]!]
        .filter(([event]) => (event & world) !== 0n)
        .reduce((sum, [, amount]) => sum + amount, wallets[token]![owner]!)
    },

    narrow(question: number, survivors: number[]): void {
      questions[question]!.live = survivors
      questions[question]!.isOver = survivors.length === 1
      questions[question]!.isRecorded = survivors.length === 1
    },
    /** The deadline came: the last outcome has won if nothing else had. */
    expire(question: number): void {
      if (questions[question]!.isOver) return
      questions[question]!.live = [outcomes[question]! - 1]
      questions[question]!.isOver = true
    },
    /** Somebody had the ledger write down what time has decided. */
    record(question: number): void {
      questions[question]!.isRecorded = true
    },
    pushDown(
      token: number,
      owner: number,
      parent: Event,
      question: number,
      amount: bigint,
      to: number,
    ): Verdict {
      const { isOver, isRecorded } = questions[question]!
      if (isOver) return isRecorded ? 'AlreadyResolved' : 'DeadlinePassed'
      if (parent !== everything && held(token, owner, parent) < amount) return 'InsufficientBalance'
      add(token, owner, parent, -amount)
      for (const child of children(parent, question)) add(token, to, child, amount)
      return 'done'
    },
    pullUp(
      token: number,
      owner: number,
      parent: Event,
      question: number,
      amount: bigint,
      to: number,
    ): Verdict {
      const burned = children(parent, question)
      if (burned.some((child) => held(token, owner, child) < amount)) return 'InsufficientBalance'
      for (const child of burned) add(token, owner, child, -amount)
      add(token, to, parent, amount)
      return 'done'
    },
    /** All levels or none; what one gives, the next finds. */
    exit(token: number, owner: number, levels: readonly Level[], to: number): Verdict {
      const before = [new Map(books[token]![owner]), wallets[token]![owner]!] as const
      for (const [index, { parent, question, amount }] of levels.entries()) {
        const receiver = index === levels.length - 1 ? to : owner
        if (this.pullUp(token, owner, parent, question, amount, receiver) !== 'done') {
          ;[books[token]![owner], wallets[token]![owner]] = before
          return 'InsufficientBalance'
        }
      }
      return 'done'
    },
    transfer(token: number, owner: number, event: Event, amount: bigint, to: number): Verdict {
      if (held(token, owner, event) < amount) return 'InsufficientBalance'
      add(token, owner, event, -amount)
      add(token, to, event, amount)
      return 'done'
    },
  }
}

/** For each question and outcome the set of worlds, by writing every world out. */
function enumerate(outcomes: readonly number[], size: number): Event[][] {
  const bits = outcomes.map((count) =>
    Array.from({ length: count }, () => new Uint8Array(Math.ceil(size / 8))),
  )
  for (let world = 0; world < size; world++) {
    let rest = world
    for (const [question, count] of outcomes.entries()) {
      const bytes = bits[question]![rest % count]!
      bytes[bytes.length - 1 - (world >> 3)]! |= 1 << (world & 7)
      rest = Math.floor(rest / count)
    }
  }
  return bits.map((each) => each.map((bytes) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`)))
}
