import { encodeFunctionData, erc20Abi, type Hex } from 'viem'
import { beforeAll, expect, test, vi } from 'vitest'
import type { PartitionView } from '../../keeper/views.ts'
import { ROOT } from '../../sdk/ids.ts'
import type { Spec } from '../../sdk/spec.ts'
import { type LocalChain, rawTransaction, reorg } from '../helpers/chain.ts'
import { createStage } from './stage.ts'
import {
  askQuestion,
  eventually,
  isState,
  PATIENT,
  programmed,
  push,
  type TestKeeper,
} from './world.ts'

vi.setConfig(PATIENT)

// Worlds that begin from the very chain that the keeper follows, at the block of the push-down.

const CONFIRMATIONS = 2
const stage = createStage()
let chain: LocalChain
let dataDir: string
let keeper: TestKeeper | null = null

beforeAll(async () => {
  chain = await stage.chain()
  dataDir = await stage.folder(chain)
})

async function start(): Promise<TestKeeper> {
  keeper ??= await stage.keeper(
    chain,
    {
      KEEPER_PROVIDERS: 'quickjs,evm',
      KEEPER_CONFIRMATIONS: `${CONFIRMATIONS}`,
      // What a world asks of the chain counts as its own time, however busy the machine is.
      KEEPER_WORLD_TIME_MS: '60000',
    },
    { dataDir },
  )
  return keeper
}

/** What the ledger holds of the token: each world looks, in its own language. */
const balance = () => {
  const { token, multiverse } = chain.deployment.addresses
  const data = encodeFunctionData({ abi: erc20Abi, functionName: 'balanceOf', args: [multiverse] })
  return { token, multiverse, data }
}

const inEvm = (): Spec => {
  const { token, multiverse } = balance()
  const transfer = 'transfer(address to, uint256 amount) returns (bool)'
  const steps = [
    {
      kind: 'call',
      as: 'held',
      to: token,
      function: 'balanceOf(address owner) returns (uint256)',
      args: [multiverse],
    },
    // Moves the token in this world alone.
    { kind: 'send', from: multiverse, to: token, function: transfer, args: [token, 1] },
  ]
  return programmed(JSON.stringify({ steps, result: { cost: { $: 'held.output' } } }), {
    language: 'evm',
    origin: 'chain',
    setup: '',
  })
}

const inJavascript = (): Spec => {
  const { token, data } = balance()
  const call = `host.call('chain.call', { to: '${token}', data: '${data}' })`
  return programmed(
    `return { cost: BigInt(${call}).toString(), at: (globalThis.seen = ${call}) }`,
    {
      origin: 'chain',
      setup: `globalThis.before = ${call}`,
    },
  )
}

/** Makes blocks, one after the other, until a partition is in a state: what is posted waits for depth as well. */
async function deepen(running: TestKeeper, question: Hex, state: string): Promise<PartitionView> {
  const seen = await eventually(state, async () => {
    const value = await running.partition(ROOT, question)
    const isReached = value?.state === state
    if (!isReached) await chain.testClient.mine({ blocks: 1 })
    return { value, isReached }
  })
  return seen!
}

const ledgerHolds = async () => {
  const { token, multiverse } = chain.deployment.addresses
  return chain.publicClient.readContract({
    address: token,
    abi: erc20Abi,
    functionName: 'balanceOf',
    args: [multiverse],
  })
}

test('a world is the chain at the block of the push-down, whatever came after, and is verified', async () => {
  const asked = [await askQuestion(chain, inEvm()), await askQuestion(chain, inJavascript())]
  const held: bigint[] = []
  for (const { question } of asked) {
    await push(chain, question, [], 100n)
    held.push(await ledgerHolds())
  }
  for (const { question } of asked) await push(chain, question, [], 1_000n)
  const now = await ledgerHolds()
  const running = await start()
  for (const [i, { question }] of asked.entries()) {
    const partition = await deepen(running, question, 'reported')
    expect(held[i]).toBeLessThan(now)
    expect(partition.worlds.map(({ cost, error }) => [cost, error])).toEqual(
      [1, 2, 3].map(() => [`${held[i]! * 10n ** 18n}`, null]),
    )
    expect(partition.worlds.map(({ isVerified }) => isVerified)).toEqual([true, true, true])
  }
  expect(await ledgerHolds()).toBe(now)
  const rows = (await running.journal()).map(({ event }) => event)
  const [create] = rows
    .filter((event) => event.kind === 'provider.invoked')
    .filter(({ providerId, operation }) => providerId === 'evm' && operation === 'create')
  expect(create?.error).toBeNull()
  // A restart ends the worlds; what they had seen of the chain is known.
  await running.stop()
  keeper = null
  const again = await start()
  const [, { question }] = asked as [unknown, { question: Hex }]
  expect((await again.answer(question, 1)).status).toBe(202)
  const resolved = await deepen(again, question, 'resolved')
  expect(resolved.error).toBeNull()
})

test('a push-down that comes again in another block has its worlds begun from that one', async () => {
  const running = await start()
  const program = JSON.stringify({ steps: [], result: { cost: { $: 'head.number' } } })
  const asked = programmed(program, { language: 'evm', origin: 'chain', setup: '' })
  const { question } = await askQuestion(chain, asked)
  const { hash } = await push(chain, question)
  const raw = await rawTransaction(chain, hash)
  const block = Number(await chain.publicClient.getBlockNumber())
  const costOf = (at: number) => `${BigInt(at) * 10n ** 18n}`
  const first = await running.until(ROOT, question, ({ worlds }) =>
    worlds.every(({ isVerified }) => isVerified),
  )
  // A new world makes two blocks of its own, and its program one more.
  const made = Number(BigInt(first.worlds[0]!.cost!) / 10n ** 18n) - block
  expect(first.state).toBe('running')
  await reorg(chain, 1, [[raw, 0]])
  // The block has the same number and another hash: only its state's root can tell.
  const other = await running.until(
    ROOT,
    question,
    ({ worlds }) =>
      worlds.every(({ isVerified }) => isVerified) &&
      worlds[0]!.stateRoot !== first.worlds[0]!.stateRoot,
  )
  expect(other.worlds.map(({ cost }) => cost)).toEqual([1, 2, 3].map(() => costOf(block + made)))
  const reported = await deepen(running, question, 'reported')
  expect(reported.worlds.map(({ stateRoot }) => stateRoot)).toEqual(
    other.worlds.map(({ stateRoot }) => stateRoot),
  )
})

test('a program that calls what its world is not linked to fails, and nothing is reported', async () => {
  const running = await start()
  const { question } = await askQuestion(chain, { ...inJavascript(), origin: undefined, setup: '' })
  await push(chain, question)
  const failed = await deepen(running, question, 'failed')
  expect(failed.error?.code).toBe('WORLDS_FAILED')
  expect(failed.error?.message).toContain(
    'FUNCTION_NOT_LINKED: no link gives this world a function chain.call',
  )
})

test('a spec that wants the chain in a language whose worlds cannot begin from it fails with one error', async () => {
  const running = await start()
  const asked = programmed('return 1', { language: 'python', origin: 'chain' })
  const { question } = await askQuestion(chain, asked)
  await push(chain, question)
  const failed = await running.until(ROOT, question, isState('failed'))
  expect(failed.error).toEqual({
    code: 'NEEDS_UNMET',
    message:
      'the spec is in python, from a block of the chain, and no provider here runs it: quickjs runs javascript, evm runs evm',
  })
  expect(failed.worlds.every(({ stateRoot }) => stateRoot === null)).toBe(true)
  const { body } = await running.call('GET', '/worlds')
  const { worlds } = body as { worlds: { partition: Hex; provider: string }[] }
  expect(worlds.filter(({ provider }) => provider === 'python')).toEqual([])
})
