import type { Event, Level, Model, Verdict } from './model.ts'

// What happens in a history, in the model's words.

export const OWNERS = 3
export const TOKENS = 2
/** The first block of every history, and the earliest deadline, in Unix seconds. */
export const BEGIN = 2_000_000_000

/** Ways to name a parent wrongly, and the ledger's error for each. */
export const MALFORMED = ['PathNotAscending', 'QuestionInPath', 'OutcomeOutOfRange'] as const
export type Malformed = (typeof MALFORMED)[number]

type Move = { token: number; owner: number; amount: bigint; to: number; verdict: Verdict }
export type Operation =
  | ({ kind: 'pushDown' | 'pullUp'; parent: Event; question: number } & Move)
  | ({ kind: 'transfer'; event: Event } & Move)
  | ({ kind: 'exit'; levels: Level[] } & Omit<Move, 'amount'>)
  | { kind: 'narrow'; question: number; survivors: number[] }
  | { kind: 'expire'; question: number }
  | { kind: 'malformed'; how: Malformed; parent: Event; question: number; owner: number }

/**
 * Operations that are played in one block, after which the books are compared. `timestamp` in Unix seconds; `isLeaving` when
 * all is decided and the owners only take what is theirs.
 */
export type Scene = { timestamp: number; operations: Operation[]; isLeaving: boolean }

/** Kinds of steps; a step is one of them and the numbers that its choices are drawn with. */
export const KINDS = [
  'pushDown',
  'pullUp',
  'exit',
  'transfer',
  'narrow',
  'wait',
  'malformed',
] as const
export const PICKS = 7
export type Step = { kind: (typeof KINDS)[number]; picks: number[] }
export type History = { salt: number; outcomes: number[]; steps: Step[]; ending: number[] }

/**
 * What may happen. `plain` is what Gnosis's Conditional Tokens can express: nothing refused, no time, questions are answered
 * at once, answered questions are redeemed by whole balances.
 */
export type Subset = 'everything' | 'plain'

/** Gives a question some answers less, or its answer. */
export function narrow(model: Model, question: number, survivors: number[]): Operation {
  model.narrow(question, survivors)
  return { kind: 'narrow', question, survivors }
}

/** The element at an index of any size. */
export function at<T>(list: readonly T[], index: number): T {
  return list[index % list.length]!
}
