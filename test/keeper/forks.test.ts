import type { Hex } from 'viem'
import { beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { partitionKey } from '../../keeper/jobs/key.ts'
import { multiverseAbi } from '../../sdk/abi.ts'
import { childVerse, ROOT } from '../../sdk/ids.ts'
import { type LocalChain, rawTransaction, reorg } from '../helpers/chain.ts'
import { randomFrom } from '../helpers/random.ts'
import { watched } from './crash/points.ts'
import { createStage } from './stage.ts'
import {
  askQuestion,
  eventually,
  isState,
  PATIENT,
  push,
  reportsOf,
  spec,
  type TestKeeper,
} from './world.ts'

vi.setConfig(PATIENT)

// One chain and one keeper, and reorganisations of many depths: afterwards keeper, chain and worlds agree.

const DEPTHS = process.env['DEEP'] === '1' ? [1, 2, 3, 5, 8, 13, 21, 34, 40] : [1, 3, 13, 40]
const SEED = Number(process.env['SEED'] ?? 7)

const stage = createStage()
let chain: LocalChain
let keeper: TestKeeper
/** What is stopped at which place: nobody goes on there until it is let go. */
let hold: { point: string; about: string; reached: () => void; released: Promise<void> } | null =
  null
const pushed: { question: Hex; hash: Hex }[] = []

beforeAll(async () => {
  chain = await stage.chain()
  const through = (books: Parameters<typeof watched>[0]) =>
    watched(books, async (point, about) => {
      if (hold?.point !== point || hold.about !== about) return
      hold.reached()
      await hold.released
    })
  keeper = await stage.keeper(chain, {}, { through })
})
beforeEach(() => {
  hold = null
})

const head = async () => Number(await chain.publicClient.getBlockNumber())
const blockOf = async (hash: Hex) =>
  Number((await chain.publicClient.getTransactionReceipt({ hash })).blockNumber)

async function begin(): Promise<{ question: Hex; hash: Hex; key: Hex }> {
  const { question } = await askQuestion(chain, spec())
  const { hash } = await push(chain, question, [], 1n)
  pushed.push({ question, hash })
  const { chainId, addresses } = chain.deployment
  return {
    question,
    hash,
    key: partitionKey(chainId, addresses.multiverse, { parent: ROOT, question }),
  }
}

/** The partitions, reports and worlds are those of the push-downs that stand on the chain now. */
async function expectAgreement(): Promise<void> {
  const height = await head()
  await eventually('a head of this chain', async () => {
    const { body } = await keeper.call('GET', '/status')
    const { head: value } = body as { head: { number: number; hash: Hex } | null }
    const block =
      value &&
      (await chain.publicClient.getBlock({ blockNumber: BigInt(value.number) }).catch(() => null))
    return {
      value,
      isReached: value !== null && value.number >= height && block?.hash === value.hash,
    }
  })
  const stands = await chain.publicClient.getContractEvents({
    address: chain.deployment.addresses.multiverse,
    abi: multiverseAbi,
    eventName: 'PushDown',
    fromBlock: 0n,
    strict: true,
  })
  const questions = [...new Set(stands.map(({ args }) => args.question))].toSorted()
  await eventually('the partitions of the chain', async () => {
    const { body } = await keeper.call('GET', '/partitions')
    const { partitions } = body as { partitions: { question: Hex; state: string }[] }
    const value = {
      partitions: partitions.map(({ question }) => question).toSorted(),
      states: [...new Set(partitions.map(({ state }) => state))],
    }
    const isReached =
      JSON.stringify(value.partitions) === JSON.stringify(questions) &&
      value.states.every((state) => state === 'reported')
    return { value: { ...value, questions }, isReached }
  })
  for (const question of questions)
    await eventually('one report', async () => {
      const value = (await reportsOf(chain, question)).length
      return { value, isReached: value === 1 }
    })
  const expected = questions
    .flatMap((question) => [0, 1, 2].map((outcome) => childVerse(ROOT, question, outcome)))
    .toSorted()
  // Those of what was taken back end a moment after it was let go.
  await eventually('the worlds of the chain', async () => {
    const { body } = await keeper.call('GET', '/worlds')
    const { worlds } = body as { worlds: { verseId: Hex }[] }
    const value = worlds.map(({ verseId }) => verseId).toSorted()
    return { value: { value, expected }, isReached: value.join() === expected.join() }
  })
}

test.each(DEPTHS)('reorganised %i deep, keeper, chain and worlds agree', async (depth) => {
  const random = randomFrom(SEED + depth)
  // Two that are out of reach, two on either side of the fork, one in the newest block.
  const before = [await begin()]
  for (const { question } of before) await keeper.until(ROOT, question, isState('reported'))
  const fork = await head()
  const inside = [await begin(), await begin()]
  for (const { question } of inside) await keeper.until(ROOT, question, isState('reported'))
  const missing = depth - ((await head()) - fork) - 1
  if (missing > 0) await chain.testClient.mine({ blocks: missing })
  await begin()
  const taken = [] as (readonly [Hex, number])[]
  const newest = await head()
  // Some of what is taken back comes again, in order and in other blocks.
  let place = 0
  for (const { hash } of pushed) {
    const receipt = await chain.publicClient.getTransactionReceipt({ hash }).catch(() => null)
    if (receipt === null || Number(receipt.blockNumber) <= newest - depth) continue
    if (random() < 0.5) continue
    place = Math.min(depth - 1, place + Math.floor(random() * 2))
    taken.push([await rawTransaction(chain, hash), place])
  }
  await reorg(chain, depth, taken)
  await expectAgreement()
  expect(keeper.fatal).toEqual([])
})

test.each([
  'intended base',
  'acted snapshot',
  'intended branch',
  'acted branch',
  'acted execute',
  'acted verify',
  'intended report',
])(
  'taken back at the moment "%s", it ends what it did, and begins anew when it comes again',
  async (point) => {
    const { question } = await askQuestion(chain, spec())
    const { chainId, addresses } = chain.deployment
    const about = partitionKey(chainId, addresses.multiverse, { parent: ROOT, question })
    const { promise: reached, resolve } = Promise.withResolvers<void>()
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    hold = { point, about, reached: resolve, released }
    const { hash } = await push(chain, question, [], 1n)
    await reached
    await reorg(chain, (await head()) - (await blockOf(hash)) + 1)
    await eventually('no partition', async () => {
      const value = await keeper.partition(ROOT, question)
      return { value, isReached: value === null }
    })
    release()
    await expectAgreement()
    await push(chain, question, [], 1n)
    await keeper.until(ROOT, question, isState('reported'))
    await expectAgreement()
    expect(keeper.fatal).toEqual([])
  },
)

test('forgets a question that was taken back along with its push-down, and knows it when it is asked again', async () => {
  const before = await head()
  const { question } = await askQuestion(chain, spec())
  const { hash } = await push(chain, question, [], 1n)
  await keeper.until(ROOT, question, isState('reported'))
  const block = await chain.publicClient.getBlock({ blockNumber: BigInt(before + 1) })
  const raws = [
    await rawTransaction(chain, block.transactions[0]!),
    await rawTransaction(chain, hash),
  ]
  await reorg(chain, (await head()) - before)
  await eventually('no partition', async () => {
    const value = await keeper.partition(ROOT, question)
    return { value, isReached: value === null }
  })
  await expectAgreement()
  for (const serializedTransaction of raws)
    await chain.publicClient.sendRawTransaction({ serializedTransaction })
  await keeper.until(ROOT, question, isState('reported'))
  await expectAgreement()
  expect(keeper.fatal).toEqual([])
})
