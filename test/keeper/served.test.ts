import { encodeFunctionData, type Hex } from 'viem'
import { beforeAll, expect, test, vi } from 'vitest'
import { multiverseAbi } from '../../sdk/abi.ts'
import { pullUp } from '../../sdk/actions.ts'
import { ROOT } from '../../sdk/ids.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { createStage } from './stage.ts'
import {
  askQuestion,
  eventually,
  isState,
  KEEPER,
  PATIENT,
  push,
  reportsOf,
  spec,
  type TestKeeper,
  USER,
} from './world.ts'

vi.setConfig(PATIENT)

// Whom a keeper works for: oracles, questions, and so much of a token, counted where nothing borrowed stands any more.

const CONFIRMATIONS = 2
const STRANGER = 5
const stage = createStage()
let chain: LocalChain
let keeper: TestKeeper
/** Asked by a stranger as the oracle, and named by its id. */
let named: Hex

beforeAll(async () => {
  chain = await stage.chain()
  named = (await askOf(STRANGER)).question
  keeper = await stage.keeper(chain, {
    KEEPER_CONFIRMATIONS: `${CONFIRMATIONS}`,
    KEEPER_ORACLES: chain.accounts[KEEPER]!.address,
    KEEPER_QUESTIONS: named,
    KEEPER_TOKENS: `${chain.deployment.addresses.token}=100`,
  })
})

const askOf = (oracle: number) =>
  askQuestion(chain, spec(), { oracle: chain.accounts[oracle]!.address })
const mine = (blocks: number) => chain.testClient.mine({ blocks })
const until = (question: Hex, state: string) => keeper.until(ROOT, question, isState(state))

test('questions of others are declined by name, unless they are named themselves', async () => {
  const { question } = await askOf(STRANGER)
  await push(chain, question, [], 1_000n)
  const declined = await until(question, 'declined')
  expect(declined.error).toEqual({
    code: 'QUESTION_NOT_SERVED',
    message: expect.stringContaining(chain.accounts[STRANGER]!.address),
  })
  await push(chain, named, [], 1_000n)
  await mine(CONFIRMATIONS)
  await eventually('a report', async () => {
    const value = (await reportsOf(chain, named)).length
    return { value, isReached: value === 1 }
  })
  const metrics = await (await fetch(`http://127.0.0.1:${keeper.port}/metrics`)).text()
  expect(metrics).toContain('keeper_declined_total{code="QUESTION_NOT_SERVED"} 1')
})

test('dust is declined, with the amounts, until there is enough', async () => {
  const { question } = await askOf(KEEPER)
  await push(chain, question, [], 60n)
  const held = await until(question, 'waiting')
  expect(held.waiting?.reason).toBe('supply')
  await mine(CONFIRMATIONS)
  const declined = await until(question, 'declined')
  expect(declined.error).toMatchObject({
    code: 'SUPPLY_TOO_SMALL',
    message: expect.stringMatching(/has 60 of 0x[0-9a-f]{40}, not 100$/),
  })
  expect(declined.worlds.every(({ provider }) => provider === null)).toBe(true)
  await push(chain, question, [], 40n)
  await mine(CONFIRMATIONS)
  // It is deep, and so is the report then.
  await eventually('a report', async () => {
    const value = (await reportsOf(chain, question)).length
    return { value, isReached: value === 1 }
  })
})

test('what is pushed and pulled up again moves nothing, in one transaction or before it counts', async () => {
  const { multiverse, token } = chain.deployment.addresses
  const user = chain.wallet(USER)
  const to = chain.accounts[USER]!.address
  const { question: flash } = await askOf(KEEPER)
  const calls = (['pushDown', 'pullUp'] as const).map((functionName) =>
    encodeFunctionData({
      abi: multiverseAbi,
      functionName,
      args: [[], flash, token, 10n ** 18n, to],
    }),
  )
  const hash = await user.writeContract({
    address: multiverse,
    abi: multiverseAbi,
    functionName: 'multicall',
    args: [calls],
  })
  await chain.publicClient.waitForTransactionReceipt({ hash })
  const { question: brief } = await askOf(KEEPER)
  await push(chain, brief, [], 1_000n)
  await pullUp(user, { multiverse, token, path: [], question: brief, amount: 1_000n, to })
  await mine(CONFIRMATIONS)
  for (const question of [flash, brief]) {
    const declined = await until(question, 'declined')
    expect(declined.error?.message).toContain('has 0 of ')
    expect(await reportsOf(chain, question)).toEqual([])
  }
})
