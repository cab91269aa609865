import { type Address, encodeFunctionData, type Hex, numberToHex } from 'viem'
import { multiverseAbi } from '../../sdk/abi.ts'
import * as actions from '../../sdk/actions.ts'
import {
  childPaths,
  type Path,
  positionId,
  type QuestionTerms,
  questionId,
  verseId,
} from '../../sdk/ids.ts'
import { mix64 } from '../../sdk/gf3.ts'
import type { LocalChain } from '../../test/helpers/chain.ts'

// A chain on which much happens: blocks full of the ledger's events, made as fast as anvil makes them. What happens is
// drawn from a seed: of 25 events 20 are transfers between a thousand owners, the rest push-downs and pull-ups.

const OUTCOMES = 4
const QUESTIONS = 3
const OWNERS = 1_000
/** A push-down at ROOT, with a Transfer for each outcome. */
const PER_MOVE = 1 + OUTCOMES
const PER_TRANSACTION = 125
const SENDERS = [0, 1, 2, 3]
/** Of a multicall of {@link PER_TRANSACTION} events with room for new owners' slots; a transaction may have 2^24. */
const GAS = 12_000_000n

export type BusyChain = {
  /** Mines one block with so many events, rounded down to whole transactions of 125. Gives the number of events. */
  mine(events: number): Promise<number>
}

/** anvil's arguments for such a chain. */
export const BUSY_ARGS = ['--gas-limit', '400000000', '--accounts', '10', '--no-request-size-limit']

/** Asks the questions and fills the senders' pockets. */
export async function createBusyChain(chain: LocalChain): Promise<BusyChain> {
  const { multiverse, token } = chain.deployment.addresses
  const owners = Array.from({ length: OWNERS }, (_, index) => ownerAt(index))
  const questions: Hex[] = []
  for (let index = 0; index < QUESTIONS; index++) {
    const terms: QuestionTerms = {
      oracle: chain.accounts[9]!.address,
      outcomes: OUTCOMES,
      deadline: 2n ** 40n + BigInt(index),
      specHash: `0x${'0'.repeat(64)}`,
      termsHash: `0x${'0'.repeat(64)}`,
    }
    await actions.ask(chain.wallet(9), { multiverse, uri: '', ...terms })
    questions.push(questionId(terms))
  }
  const verses = questions.flatMap((question) => childPaths([], question))
  for (const sender of SENDERS) {
    const wallet = chain.wallet(sender)
    await actions.mint(wallet, { token, to: chain.accounts[sender]!.address, amount: 10n ** 30n })
    await actions.approve(wallet, { token, spender: multiverse, amount: 2n ** 255n })
    for (const question of questions)
      await actions.pushDown(wallet, { multiverse, token, question, path: [], amount: 10n ** 24n })
  }
  const { testClient } = chain
  const rpc = (method: string, params: unknown[]) =>
    testClient.request<never>({ method, params } as never)
  await rpc('evm_setAutomine', [false])

  let drawn = 0n
  const draw = (below: number) => Number(mix64((drawn += 0x9e3779b97f4a7c15n)) % BigInt(below))
  const call = (sender: Address, index: number): { data: Hex; events: number } => {
    const question = questions[draw(QUESTIONS)]!
    const move = [[], question, token, BigInt(1 + draw(1_000_000)), sender] as const
    if (index % 105 === 0)
      return {
        data: encodeFunctionData({ abi: multiverseAbi, functionName: 'pushDown', args: move }),
        events: PER_MOVE,
      }
    return {
      data: encodeFunctionData({
        abi: multiverseAbi,
        functionName: 'transfer',
        args: [
          owners[draw(OWNERS)]!,
          positionId(verseId(verses[draw(verses.length)]! as Path), token),
          BigInt(1 + draw(1_000_000)),
        ],
      }),
      events: 1,
    }
  }
  return {
    async mine(events) {
      let made = 0
      for (let nth = 0; made + PER_TRANSACTION <= events; nth++) {
        const from = chain.accounts[SENDERS[nth % SENDERS.length]!]!.address
        const calls: Hex[] = []
        for (let inside = 0, index = 0; inside < PER_TRANSACTION; index++) {
          const { data, events: count } = call(from, index % 21 === 0 ? 0 : 1)
          if (inside + count > PER_TRANSACTION) break
          calls.push(data)
          inside += count
          made += count
        }
        const data = encodeFunctionData({
          abi: multiverseAbi,
          functionName: 'multicall',
          args: [calls],
        })
        await rpc('eth_sendTransaction', [{ from, to: multiverse, data, gas: numberToHex(GAS) }])
      }
      await rpc('evm_mine', [])
      return made
    },
  }
}

function ownerAt(index: number): Address {
  return numberToHex(mix64(BigInt(index + 1)) * 2n ** 64n + BigInt(index), { size: 20 })
}
