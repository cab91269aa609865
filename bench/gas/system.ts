import type { Address, Hex } from 'viem'
import type { Call } from './chain.ts'

/** A question as every system can derive its own id from it. */
export type Question = { salt: Hex; outcomes: number }

/** An answer, and the answers that lead to a verse, in the order in which people got there. */
export type Step = { question: Question; outcome: number }
export type Route = readonly Step[]

/** A ledger under measurement: how each operation is said to it. One account, `oracle`, answers every question. */
export type System = {
  name: string
  address: Address
  ask: (question: Question) => Call
  pushDown: (owner: Address, route: Route, question: Question, amount: bigint) => Promise<Call>
  pullUp: (owner: Address, route: Route, question: Question, amount: bigint) => Promise<Call>
  transfer: (from: Address, to: Address, route: Route, amount: bigint) => Promise<Call>
  answer: (question: Question, outcome: number) => Call
  /** Takes all that `owner` has of the winner's position, `amount`, out into the collateral. */
  redeem: (owner: Address, question: Question, winner: number, amount: bigint) => Promise<Call>
  /** The questions in the order in which this system sorts them into a path; as given where it does not. */
  sorted: (questions: readonly Question[]) => Question[]
}

/** What a system is made of. */
export type Setting = { oracle: Address; collateral: Address; address: Address }
