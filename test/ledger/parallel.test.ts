import { readFile } from 'node:fs/promises'
import {
  type Abi,
  type Address,
  encodeFunctionData,
  type Hex,
  maxUint256,
  numberToHex,
  zeroHash,
} from 'viem'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { multiverseAbi, tokenAbi } from '../../sdk/abi.ts'
import { ask } from '../../sdk/actions.ts'
import type { Trit } from '../../sdk/gf3.ts'
import { type Path, questionId } from '../../sdk/ids.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'
import { digest, executeOptimistically, type Job, shared, simulate } from './executor.ts'

// Owners in different verses do not touch one another's storage, so a parallel chain runs them at the same time.

const AMOUNT = 10n ** 18n
const OWNERS = [0, 1, 2] as const
const TRITS: readonly Trit[] = [-1, 0, 1]

let chain: LocalChain
let ledger: Address
/** The demo token and two others. */
let tokens: Address[]
/** In ascending order; verses are opened by the first and split further by the second. */
let questions: [Hex, Hex]
let snapshot: Hex

beforeAll(async () => {
  // First come, first mined: the order of a block is then the order of sending.
  chain = await startChain({ args: ['--order', 'fifo'] })
  ledger = chain.deployment.addresses.multiverse
  tokens = [chain.deployment.addresses.token, await deployToken(), await deployToken()]
  const asked = [await newQuestion(1), await newQuestion(2)].toSorted()
  questions = [asked[0]!, asked[1]!]
  for (const owner of OWNERS) {
    for (const token of tokens) {
      await send(
        owner,
        token,
        encodeFunctionData({
          abi: tokenAbi,
          functionName: 'mint',
          args: [addressOf(owner), AMOUNT * 100n],
        }),
      )
      await send(
        owner,
        token,
        encodeFunctionData({ abi: tokenAbi, functionName: 'approve', args: [ledger, maxUint256] }),
      )
    }
    const { to, data } = pushDown(owner, tokens[0]!, [], questions[0], AMOUNT * 10n)
    await send(owner, to, data)
  }
}, 120_000)

afterAll(() => chain.stop())
beforeEach(async () => {
  snapshot = await chain.testClient.snapshot()
})
afterEach(() => chain.testClient.revert({ id: snapshot }))

test('nested operations of different owners in different verses write nothing in common', async () => {
  // The parent's delta and the children's set.
  expect(await footprint(nested())).toEqual({ written: [2, 2, 2], common: [] })
})

test('root operations in different tokens write nothing in common', async () => {
  // The token's balance of owner and ledger, and the set.
  expect(await footprint(roots())).toEqual({ written: [3, 3, 3], common: [] })
})

test('a slot that two transactions share is found', async () => {
  const [alice, bob] = sameToken()
  const [a, b] = await Promise.all([simulate(chain, alice!), simulate(chain, bob!)])
  // The ledger's balance of the token, which both deposits raise: one slot of the token, none of the ledger.
  const common = shared(a.writes.keys(), b.writes)
  expect(common).toHaveLength(1)
  expect(common[0]).toMatch(new RegExp(`^${tokens[0]!.toLowerCase()}:`))
})

test('all six orders of three transactions give one state root', async () => {
  for (const jobs of [nested(), roots()]) {
    const blocks = await blocksOfOrders(jobs)
    expect(blocks.flatMap(({ statuses }) => statuses)).toEqual(
      Array.from({ length: 18 }, () => 'success'),
    )
    expect(new Set(blocks.map(({ root }) => root)).size).toBe(1)
  }
})

test('orders that matter are told apart by their roots', async () => {
  // Bob may spend what alice sends him, if she does first.
  const id = await positionOf(0)
  const handOn = (from: number, to: number, amount: bigint): Job => ({
    from: addressOf(from),
    to: ledger,
    data: encodeFunctionData({
      abi: multiverseAbi,
      functionName: 'transfer',
      args: [addressOf(to), id, amount],
    }),
    trit: 0,
  })
  const jobs = [handOn(0, 1, AMOUNT), handOn(1, 2, 11n * AMOUNT), handOn(2, 0, 21n * AMOUNT)]
  const blocks = await blocksOfOrders(jobs)
  expect(new Set(blocks.map(({ root }) => root)).size).toBeGreaterThan(1)
})

test('an optimistic executor runs a disjoint batch once, and its trits sum to 0', async () => {
  for (const jobs of [nested(), roots()]) {
    const inner = await chain.testClient.snapshot()
    expect(await expectSameAsInOrder(jobs)).toEqual({ reexecuted: [], tritSum: 0 })
    await chain.testClient.revert({ id: inner })
  }
})

test('an optimistic executor runs exactly the conflicting ones again', async () => {
  const [first, second] = sameToken()
  const [, disjoint] = nested()
  // The second deposit of the token conflicts with the first; nothing else does.
  expect(await expectSameAsInOrder([first!, disjoint!, second!])).toMatchObject({ reexecuted: [2] })
})

test('one owner who acts twice in one verse conflicts with nobody else', async () => {
  const [alice, bob, carol] = nested()
  expect(await expectSameAsInOrder([alice!, bob!, alice!, carol!])).toMatchObject({
    reexecuted: [2],
  })
})

/** Each owner splits its own verse of the first question further. */
const nested = (): Job[] =>
  OWNERS.map((owner) =>
    pushDown(owner, tokens[0]!, [{ question: questions[0], outcome: owner }], questions[1]),
  )
/** Each owner pushes its own token down from ROOT. */
const roots = (): Job[] => OWNERS.map((owner) => pushDown(owner, tokens[owner]!, [], questions[1]))
/** Two owners deposit the same token. */
const sameToken = (): Job[] => [0, 1].map((owner) => pushDown(owner, tokens[0]!, [], questions[1]))

function pushDown(owner: number, token: Address, path: Path, question: Hex, amount = AMOUNT): Job {
  const args = [path, question, token, amount, addressOf(owner)] as const
  return {
    from: addressOf(owner),
    to: ledger,
    data: encodeFunctionData({ abi: multiverseAbi, functionName: 'pushDown', args }),
    trit: TRITS[owner]!,
  }
}

/** How many slots each transaction writes, and what any of them reads or writes that another one writes. */
async function footprint(jobs: readonly Job[]): Promise<{ written: number[]; common: string[] }> {
  const effects = await Promise.all(jobs.map((job) => simulate(chain, job)))
  const common = effects.flatMap((a) =>
    effects.flatMap((b) => (a === b ? [] : shared([...a.reads, ...a.writes.keys()], b.writes))),
  )
  return { written: effects.map(({ writes }) => writes.size), common }
}

/** Executes a batch optimistically and one by one, and checks that every slot either of them wrote is the same. */
async function expectSameAsInOrder(jobs: readonly Job[]) {
  const inner = await chain.testClient.snapshot()
  const keys = new Set<string>()
  for (const job of jobs) {
    const { writes } = await simulate(chain, job)
    for (const key of writes.keys()) keys.add(key)
    await send(
      OWNERS.find((owner) => addressOf(owner) === job.from)!,
      job.to,
      job.data,
    )
  }
  const inOrder = await digest(chain, keys)
  await chain.testClient.revert({ id: inner })
  const before = await digest(chain, keys)
  const batch = await executeOptimistically(chain, jobs)
  expect(await digest(chain, keys)).toBe(inOrder)
  expect(inOrder).not.toBe(before)
  return batch
}

/** State root and receipts of one block with the three transactions, in each of their six orders. */
async function blocksOfOrders(jobs: readonly Job[]) {
  const { timestamp } = await chain.publicClient.getBlock()
  const found: { root: Hex; statuses: string[] }[] = []
  for (const order of [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ]) {
    const inner = await chain.testClient.snapshot()
    await chain.testClient.setAutomine(false)
    const hashes: Hex[] = []
    for (const index of order) {
      const { from, to, data } = jobs[index]!
      const wallet = chain.wallet(OWNERS.find((owner) => addressOf(owner) === from)!)
      hashes.push(await wallet.sendTransaction({ to, data, gas: 1_000_000n, gasPrice: 10n ** 10n }))
    }
    // Reverting a snapshot does not bring back the fee and the time of the next block.
    await chain.testClient.setNextBlockBaseFeePerGas({ baseFeePerGas: 10n ** 9n })
    await chain.testClient.setNextBlockTimestamp({ timestamp: timestamp + 100n })
    await chain.testClient.mine({ blocks: 1 })
    const block = await chain.publicClient.getBlock()
    expect(block.transactions).toEqual(hashes)
    const receipts = await Promise.all(
      hashes.map((hash) => chain.publicClient.getTransactionReceipt({ hash })),
    )
    found.push({ root: block.stateRoot, statuses: receipts.map(({ status }) => status) })
    await chain.testClient.setAutomine(true)
    await chain.testClient.revert({ id: inner })
  }
  return found
}

const addressOf = (owner: number): Address => chain.accounts[owner]!.address

async function positionOf(outcome: number): Promise<bigint> {
  const path = [{ question: questions[0], outcome }]
  const read = { address: ledger, abi: multiverseAbi } as const
  const verse = await chain.publicClient.readContract({
    ...read,
    functionName: 'verseId',
    args: [path],
  })
  return chain.publicClient.readContract({
    ...read,
    functionName: 'positionId',
    args: [verse, tokens[0]!],
  })
}

async function newQuestion(salt: number): Promise<Hex> {
  const terms = {
    oracle: addressOf(9),
    outcomes: 3,
    deadline: 4_102_444_800n,
    specHash: numberToHex(salt, { size: 32 }),
    termsHash: zeroHash,
  }
  await ask(chain.wallet(9), { multiverse: ledger, uri: '', ...terms })
  return questionId(terms)
}

async function deployToken(): Promise<Address> {
  const url = new URL(
    '../../artifacts/contracts/mocks/TestToken.sol/TestToken.json',
    import.meta.url,
  )
  const { abi, bytecode } = JSON.parse(await readFile(url, 'utf8')) as { abi: Abi; bytecode: Hex }
  const hash = await chain
    .wallet(8)
    .deployContract({ abi, bytecode, args: ['Other Dollar', 'oUSD', 18] })
  const { contractAddress } = await chain.publicClient.waitForTransactionReceipt({ hash })
  return contractAddress!
}

async function send(owner: number, to: Address, data: Hex): Promise<void> {
  const hash = await chain.wallet(owner).sendTransaction({ to, data })
  const { status } = await chain.publicClient.waitForTransactionReceipt({ hash })
  expect(status).toBe('success')
}
