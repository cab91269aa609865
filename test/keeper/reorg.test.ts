import type { Hex } from 'viem'
import { beforeAll, expect, test, vi } from 'vitest'
import { childVerse, ROOT } from '../../sdk/ids.ts'
import { type LocalChain, rawTransaction, reorg } from '../helpers/chain.ts'
import { createStage } from './stage.ts'
import {
  answersOf,
  askQuestion,
  eventually,
  isState,
  KEEPER,
  PATIENT,
  push,
  reportsOf,
  spec,
  type TestKeeper,
} from './world.ts'

vi.setConfig(PATIENT)

// Blocks that were followed are taken back; others come, or none. One chain, and one keeper at a time, on one folder.

const stage = createStage()
let chain: LocalChain
let dataDir: string
let keeper: TestKeeper

beforeAll(async () => {
  // An epoch of one slot: final is what is two blocks below the head.
  chain = await stage.chain({ args: ['--slots-in-an-epoch', '1'] })
  dataDir = await stage.folder(chain)
  keeper = await stage.keeper(chain, {}, { dataDir })
})

/**
 * Starts the keeper again with other settings, and waits until all that it ever signed is in a block: what a reorganisation
 * took back is sent again, and a block of its own is one more confirmation of what went before.
 */
async function restart(env: Record<string, string>): Promise<void> {
  await keeper.stop()
  keeper = await stage.keeper(chain, env, { dataDir })
  const { address } = chain.accounts[KEEPER]!
  await eventually('all that was signed in blocks', async () => {
    const { body } = await keeper.call('GET', '/txs')
    const nonces = (body as { txs: { nonce: number }[] }).txs.map(({ nonce }) => nonce)
    const value = await chain.publicClient.getTransactionCount({ address })
    return { value: { value, nonces }, isReached: value > Math.max(...nonces) }
  })
}

const head = async () => Number(await chain.publicClient.getBlockNumber())

async function followed(): Promise<void> {
  await eventually('the head followed', async () => {
    const { body } = await keeper.call('GET', '/status')
    const value = (body as { head: { hash: Hex } | null }).head?.hash
    // The keeper itself adds to the chain: what it sends again is a new head.
    const { hash } = await chain.publicClient.getBlock()
    return { value, isReached: value === hash }
  })
}

/** How many worlds live of a question's verses. */
async function liveWorlds(question: Hex): Promise<number> {
  const verses = [0, 1, 2].map((outcome) => childVerse(ROOT, question, outcome))
  const { body } = await keeper.call('GET', '/worlds')
  const { worlds } = body as { worlds: { verseId: Hex }[] }
  return worlds.filter(({ verseId }) => verses.includes(verseId)).length
}

test('lets go of a partition whose push-down was taken back, and begins anew when it comes again', async () => {
  const { question } = await askQuestion(chain, spec())
  const before = await head()
  await push(chain, question)
  const first = await keeper.until(ROOT, question, isState('reported'))
  expect(await liveWorlds(question)).toBe(3)

  await reorg(chain, (await head()) - before)
  await eventually('no partition', async () => {
    const value = await keeper.partition(ROOT, question)
    return { value, isReached: value === null }
  })
  await eventually('no worlds', async () => {
    const value = await liveWorlds(question)
    return { value, isReached: value === 0 }
  })
  const journal = await keeper.journal()
  expect(journal.map(({ event }) => event)).toContainEqual(
    expect.objectContaining({ kind: 'partition.failed', code: 'REORGED_OUT', question }),
  )

  await push(chain, question)
  const again = await keeper.until(ROOT, question, isState('reported'))
  expect(again.worlds).toEqual(first.worlds)
  expect(await reportsOf(chain, question)).toHaveLength(1)
  expect(keeper.fatal).toEqual([])
})

test('keeps what came again in another block, and reports it again', async () => {
  const { question } = await askQuestion(chain, spec())
  const before = await head()
  const { hash } = await push(chain, question)
  const raw = await rawTransaction(chain, hash)
  const first = await keeper.until(ROOT, question, isState('reported'))
  await reorg(chain, (await head()) - before, [[raw, 1]])
  await followed()
  const { blockNumber } = await chain.publicClient.getTransactionReceipt({ hash })
  expect(Number(blockNumber)).toBe(before + 2)
  // The report was in a block that was taken back: the same transaction goes into another.
  await eventually('the report on the chain again', async () => {
    const value = await reportsOf(chain, question)
    return { value: value.length, isReached: value.length === 1 }
  })
  const partition = await keeper.until(ROOT, question, isState('reported'))
  expect(partition.reportTx).toBe(first.reportTx)
  expect(partition.worlds).toEqual(first.worlds)
  const [report] = await reportsOf(chain, question)
  await eventually('the new block in the journal', async () => {
    const value = (await keeper.journal())
      .map(({ event }) => event)
      .filter((event) => event.kind === 'partition.reported')
      .filter((event) => event.question === question)
      .map(({ blockNumber }) => blockNumber)
    return { value, isReached: value.at(-1) === Number(report!.blockNumber) }
  })
  await keeper.answer(question, 0)
  await keeper.until(ROOT, question, isState('resolved'))
})

test('posts an answer again whose block was taken back, and keeps the same world', async () => {
  const { question } = await askQuestion(chain, spec())
  await push(chain, question)
  await keeper.until(ROOT, question, isState('reported'))
  const before = await head()
  await keeper.answer(question, 'chaos')
  await keeper.until(ROOT, question, isState('resolved'))
  expect(await liveWorlds(question)).toBe(1)
  await reorg(chain, (await head()) - before)
  await eventually('the answer on the chain again', async () => {
    const value = await answersOf(chain, question)
    return { value: value.length, isReached: value.length === 1 }
  })
  await followed()
  await keeper.until(ROOT, question, isState('resolved'))
  expect(await liveWorlds(question)).toBe(1)
  expect(await reportsOf(chain, question)).toHaveLength(1)
})

test('reads everything again when more was taken back than it remembers', async () => {
  const { question } = await askQuestion(chain, spec())
  const { hash } = await push(chain, question)
  const raw = await rawTransaction(chain, hash)
  await keeper.until(ROOT, question, isState('reported'))
  const { question: gone } = await askQuestion(chain, spec())
  await push(chain, gone)
  await keeper.until(ROOT, gone, isState('reported'))
  await chain.testClient.mine({ blocks: 200 })
  await followed()
  const depth =
    (await head()) -
    Number((await chain.publicClient.getTransactionReceipt({ hash })).blockNumber) +
    1
  await reorg(chain, depth, [[raw, 0]])
  await eventually('the other partition gone', async () => {
    const value = await keeper.partition(ROOT, gone)
    return { value, isReached: value === null }
  })
  await keeper.until(ROOT, question, isState('reported'))
  await eventually('the report on the chain again', async () => {
    const value = await reportsOf(chain, question)
    return { value: value.length, isReached: value.length === 1 }
  })
  expect(keeper.fatal).toEqual([])
})

test('posts nothing before its confirmations, so that what is taken back in time costs nothing', async () => {
  await restart({ KEEPER_CONFIRMATIONS: '3' })
  const { question } = await askQuestion(chain, spec({ outcome: { source: 'pipeline' } }))
  await chain.testClient.mine({ blocks: 3 })
  const before = await head()
  await push(chain, question)
  await eventually('worlds', async () => {
    const value = (await keeper.partition(ROOT, question))?.winner
    return { value, isReached: value === 1 }
  })
  await chain.testClient.mine({ blocks: 2 })
  await followed()
  expect(await reportsOf(chain, question)).toEqual([])
  await reorg(chain, (await head()) - before)
  await eventually('no partition', async () => {
    const value = await keeper.partition(ROOT, question)
    return { value, isReached: value === null }
  })

  await push(chain, question)
  await chain.testClient.mine({ blocks: 3 })
  await eventually('a report', async () => {
    const value = await reportsOf(chain, question)
    return { value: value.length, isReached: value.length === 1 }
  })
  // It counts only at its own depth, as the answer does, and as the resolution does.
  expect(await keeper.partition(ROOT, question)).toMatchObject({ state: 'running' })
  await eventually('an answer', async () => {
    await chain.testClient.mine({ blocks: 1 })
    const value = await answersOf(chain, question)
    return { value: value.length, isReached: value.length === 1 }
  })
  await chain.testClient.mine({ blocks: 3 })
  await keeper.until(ROOT, question, isState('resolved'))
  expect(await reportsOf(chain, question)).toHaveLength(1)
})

test('posts nothing about blocks that the chain itself does not call final yet', async () => {
  await restart({ KEEPER_FINALITY: 'finalized' })
  const { question } = await askQuestion(chain, spec())
  await push(chain, question)
  await eventually('worlds', async () => {
    const value = (await keeper.partition(ROOT, question))?.winner
    return { value, isReached: value === 1 }
  })
  await chain.testClient.mine({ blocks: 1 })
  await followed()
  expect(await reportsOf(chain, question)).toEqual([])
  await chain.testClient.mine({ blocks: 1 })
  await eventually('a report', async () => {
    const value = await reportsOf(chain, question)
    return { value: value.length, isReached: value.length === 1 }
  })
  expect(await keeper.partition(ROOT, question)).toMatchObject({ state: 'running' })
  await chain.testClient.mine({ blocks: 2 })
  await keeper.until(ROOT, question, isState('reported'))
})
