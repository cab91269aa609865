import type { Hex } from 'viem'
import { expect } from 'vitest'
import type { PartitionView } from '../../keeper/views.ts'
import type { JournalEntry } from '../../sdk/journal.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { answersOf, KEEPER, reportsOf } from './world.ts'

// That everything was done exactly once, whatever happened meanwhile.

/** What a partition came to, without what may differ between two lives. */
export const finalOf = ({ state, winner, worlds }: PartitionView) => ({
  state,
  winner,
  worlds: worlds.map(({ stateRoot, cost, isVerified, error, optimized, lane }) => {
    const providers = lane.providers.toSorted()
    return { stateRoot, cost, isVerified, error, optimized, lane: { ...lane, providers } }
  }),
})

/** The chain has one report and one answer of each of these questions. */
export async function expectOnceOnChain(
  chain: LocalChain,
  questions: readonly Hex[],
): Promise<void> {
  for (const question of questions) {
    const [reports, answers] = await Promise.all([
      reportsOf(chain, question),
      answersOf(chain, question),
    ])
    expect({ question, reports: reports.length, answers: answers.length }).toEqual({
      question,
      reports: 1,
      answers: 1,
    })
  }
}

/** The keeper paid for nothing that did nothing: none of its transactions reverted, and each did something of its own. */
export async function expectNothingWasted(chain: LocalChain): Promise<void> {
  const { address } = chain.accounts[KEEPER]!
  const newest = Number(await chain.publicClient.getBlockNumber())
  const blocks = await Promise.all(
    Array.from({ length: newest }, (_, index) =>
      chain.publicClient.getBlock({ blockNumber: BigInt(index + 1), includeTransactions: true }),
    ),
  )
  const sent = blocks
    .flatMap(({ transactions }) => transactions)
    .filter(({ from }) => from.toLowerCase() === address.toLowerCase())
  const receipts = await Promise.all(
    sent.map(({ hash }) => chain.publicClient.getTransactionReceipt({ hash })),
  )
  const wasted = receipts.filter(({ status, logs }) => status !== 'success' || logs.length === 0)
  expect(wasted.map(({ transactionHash }) => transactionHash)).toEqual([])
}

const ONCE = [
  'partition.started',
  'partition.reported',
  'question.answered',
  'partition.resolved',
] as const

/** The journal has no gap, and tells of each of these questions' ends once. */
export function expectOnceInJournal(
  journal: readonly JournalEntry[],
  questions: readonly Hex[],
): void {
  expect(journal.map(({ seq }) => seq)).toEqual(journal.map((_, index) => index + 1))
  const told = new Map<string, number>()
  for (const { event } of journal) {
    if (!('question' in event)) continue
    const name = `${event.kind} ${event.question}`
    told.set(name, (told.get(name) ?? 0) + 1)
  }
  const expected = questions.flatMap((question) => ONCE.map((kind) => `${kind} ${question}`))
  expect(expected.map((name) => [name, told.get(name)])).toEqual(expected.map((name) => [name, 1]))
}
