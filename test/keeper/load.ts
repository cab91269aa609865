import { type Address, encodeFunctionData, type Hex, zeroHash } from 'viem'
import { multiverseAbi } from '../../sdk/abi.ts'
import { questionId } from '../../sdk/ids.ts'
import { parseSpec, specDataUri } from '../../sdk/spec.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { spec, USER } from './world.ts'

/** Whose word answers the questions of the load: not the keeper's, so that nothing but worlds and reports is measured. */
const ORACLE = 1
/** What fits into one transaction with room to spare, as the cap is 16,777,216 gas. */
const MOST_AT_ONCE = 24
const GAS = 16_000_000n

/** Users and an oracle on a chain: many partitions in one transaction, each of a question of its own. */
export type Load = {
  /** Asks and pushes down into this many questions. Gives them in order. */
  push: (count: number) => Promise<Hex[]>
  /** Has the first verse of each of these questions come true. */
  answer: (questions: readonly Hex[]) => Promise<void>
}

/** A load whose wallet was funded. Every question has a spec of its own. */
export function createLoad(chain: LocalChain): Load {
  const { multiverse, token } = chain.deployment.addresses
  const oracle = chain.accounts[ORACLE]!.address
  let asked = 0

  async function push(count: number): Promise<Hex[]> {
    const { timestamp } = await chain.publicClient.getBlock()
    const questions: Hex[] = []
    const calls: Hex[] = []
    for (let at = 0; at < count; at++) {
      const json = JSON.stringify(spec({ title: `Which road, ${++asked}?` }))
      const { specHash } = parseSpec(json)
      const deadline = timestamp + 1_000_000n + BigInt(asked)
      const terms = { oracle, outcomes: 4, deadline, specHash, termsHash: zeroHash }
      const question = questionId(terms)
      questions.push(question)
      calls.push(
        encodeFunctionData({
          abi: multiverseAbi,
          functionName: 'ask',
          args: [oracle, 4, deadline, specHash, zeroHash, specDataUri(json)],
        }),
        encodeFunctionData({
          abi: multiverseAbi,
          functionName: 'pushDown',
          args: [[], question, token, 1n, chain.accounts[USER]!.address],
        }),
      )
    }
    await multicall(USER, calls, 2 * MOST_AT_ONCE)
    return questions
  }

  async function answer(questions: readonly Hex[]): Promise<void> {
    const calls = questions.map((question) =>
      encodeFunctionData({
        abi: multiverseAbi,
        functionName: 'narrow',
        args: [question, 1n],
      }),
    )
    await multicall(ORACLE, calls, 4 * MOST_AT_ONCE)
  }

  async function multicall(index: number, calls: readonly Hex[], most: number): Promise<void> {
    for (let at = 0; at < calls.length; at += most)
      await send(index, multiverse, calls.slice(at, at + most))
  }

  async function send(index: number, to: Address, calls: Hex[]): Promise<void> {
    const hash = await chain.wallet(index).sendTransaction({
      to,
      data: encodeFunctionData({ abi: multiverseAbi, functionName: 'multicall', args: [calls] }),
      gas: GAS,
      maxFeePerGas: 10n ** 10n,
      maxPriorityFeePerGas: 1n,
    })
    const { status } = await chain.publicClient.waitForTransactionReceipt({ hash })
    if (status !== 'success') throw new Error(`the load's transaction ${hash} reverted`)
  }

  return { push, answer }
}
