import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Hex, zeroHash } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ask } from '../../sdk/actions.ts'
import { type EventOutput, eventOutput } from '../../sdk/output.ts'
import { type LocalChain, rawTransaction, reorg, startChain } from '../helpers/chain.ts'
import { multiverse, start } from './harness.ts'

// `events --follow` as a process, on a chain that takes blocks back.

let chain: LocalChain
let dataDir: string

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'multiverse-cli-'))
  chain = await startChain()
  await writeFile(join(dataDir, 'deployment.json'), JSON.stringify(chain.deployment))
})

afterAll(async () => {
  await chain?.stop()
  await rm(dataDir, { recursive: true, force: true })
})

/** Asks a question that differs from others by its deadline; gives its deadline as the events tell it. */
async function put(number: number): Promise<string> {
  const deadline = 4_000_000_000n + BigInt(number)
  await ask(chain.wallet(0), {
    multiverse: chain.deployment.addresses.multiverse,
    uri: 'data:,',
    oracle: chain.accounts[0]!.address,
    outcomes: 2,
    deadline,
    specHash: zeroHash,
    termsHash: zeroHash,
  })
  return `${deadline}`
}

test('tells what happens, what the chain takes back, and what is there instead', async () => {
  const [first, second] = [await put(1), await put(2)]
  const args = ['events', '--follow', '--json', '--data', dataDir, '--rpc', chain.url]
  const child = start(args)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async (): Promise<EventOutput> =>
    eventOutput.parse(JSON.parse(((await lines.next()) as { value: string }).value))
  /** The next asked question, and the publication that goes with it, in the order in which they must come. */
  const nextAsked = async (isRemoved: boolean) => {
    const both = [await next(), await next()]
    const names = both.map(({ event }) => event)
    expect(isRemoved ? names.toReversed() : names).toEqual(['QuestionAsked', 'SpecPublished'])
    expect(both.map(({ removed }) => removed)).toEqual([isRemoved, isRemoved])
    const asked = both.find(({ event }) => event === 'QuestionAsked')!
    return { deadline: asked.args['deadline'], hash: asked.blockHash, block: asked.block }
  }
  try {
    expect((await nextAsked(false)).deadline).toBe(first)
    const before = await nextAsked(false)
    expect(before.deadline).toBe(second)
    const third = await put(3)
    const taken = await nextAsked(false)
    expect(taken.deadline).toBe(third)

    // Two blocks are taken back and come empty: the last event first.
    await reorg(chain, 2)
    expect(await nextAsked(true)).toEqual(taken)
    expect(await nextAsked(true)).toEqual(before)

    // What comes then is told once, and nothing of what stayed again.
    const fourth = await put(4)
    expect((await nextAsked(false)).deadline).toBe(fourth)

    // A block that is replaced by one with the same content is another one.
    await reorg(chain, 1, [[await rawOfLatest(), 0]])
    const [gone, again] = [await nextAsked(true), await nextAsked(false)]
    expect([gone.deadline, again.deadline]).toEqual([fourth, fourth])
    expect(gone.hash).not.toBe(again.hash)
  } finally {
    child.kill('SIGINT')
  }
  expect(await once(child, 'close')).toEqual([130, null])
})

async function rawOfLatest(): Promise<Hex> {
  const { transactions } = await chain.publicClient.getBlock()
  return rawTransaction(chain, transactions[0]!)
}

test('without --follow it ends at the head, and can begin anywhere', async () => {
  const head = Number(await chain.publicClient.getBlockNumber())
  const run = async (...more: string[]) => {
    const ran = await multiverse([
      'events',
      '--json',
      '--data',
      dataDir,
      '--rpc',
      chain.url,
      ...more,
    ])
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    return ran.stdout.split('\n').filter(Boolean).length
  }
  expect(await run()).toBe(4)
  expect(await run('--from-block', `${head}`)).toBe(2)
  expect(await run('--from-block', `${head + 1}`)).toBe(0)
})
