import { type Address, encodeFunctionData, type Hex } from 'viem'
import { multiverseAbi } from '../../sdk/abi.ts'
import { canonicalPath, type Path, positionId, questionId, ROOT, verseId } from '../../sdk/ids.ts'
import type { Question, Route, Setting, System } from './system.ts'

const DEADLINE = 4_102_444_800n

/** This repository's `Multiverse`. */
export function ledgerSystem({ address, collateral, oracle }: Setting): System {
  const id = ({ salt, outcomes }: Question): Hex =>
    questionId({ oracle, outcomes, deadline: DEADLINE, specHash: salt, termsHash: ROOT })
  const path = (route: Route): Path =>
    canonicalPath(route.map(({ question, outcome }) => ({ question: id(question), outcome })))

  const pullUp = async (owner: Address, route: Route, question: Question, amount: bigint) => ({
    to: address,
    data: encodeFunctionData({
      abi: multiverseAbi,
      functionName: 'pullUp',
      args: [path(route), id(question), collateral, amount, owner],
    }),
  })

  return {
    name: 'ledger',
    address,
    ask: ({ outcomes, salt }) => ({
      to: address,
      data: encodeFunctionData({
        abi: multiverseAbi,
        functionName: 'ask',
        args: [oracle, outcomes, DEADLINE, salt, ROOT, ''],
      }),
    }),
    pushDown: async (owner, route, question, amount) => ({
      to: address,
      data: encodeFunctionData({
        abi: multiverseAbi,
        functionName: 'pushDown',
        args: [path(route), id(question), collateral, amount, owner],
      }),
    }),
    pullUp,
    transfer: async (_from, to, route, amount) => ({
      to: address,
      data: encodeFunctionData({
        abi: multiverseAbi,
        functionName: 'transfer',
        args: [to, positionId(verseId(path(route)), collateral), amount],
      }),
    }),
    answer: (question, outcome) => ({
      to: address,
      data: encodeFunctionData({
        abi: multiverseAbi,
        functionName: 'narrow',
        args: [id(question), 1n << BigInt(outcome)],
      }),
    }),
    redeem: (owner, question, _winner, amount) => pullUp(owner, [], question, amount),
    sorted: (questions) => questions.toSorted((a, b) => (id(a) < id(b) ? -1 : 1)),
  }
}
