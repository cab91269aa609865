import { type Address, type Hex, parseGwei } from 'viem'
import { beforeAll, expect, test, vi } from 'vitest'
import { multiverseAbi } from '../../sdk/abi.ts'
import { getBalance, setRedeemer, transfer } from '../../sdk/actions.ts'
import { childVerse, positionId, ROOT, verseId } from '../../sdk/ids.ts'
import type { LocalChain } from '../helpers/chain.ts'
import type { KeeperProcess } from './child.ts'
import {
  answersIn,
  askOracle,
  bankroll,
  dispute,
  gameTerms,
  give as fundAccount,
  pass,
  RIVAL,
} from './oracles.ts'
import { createStage } from './stage.ts'
import {
  answersOf,
  askQuestion,
  eventually,
  isState,
  KEEPER,
  keeperClient,
  keeperEnv,
  PATIENT,
  push,
  spec,
  USER,
} from './world.ts'

vi.setConfig(PATIENT)

// A keeper as a process of its own, named by owners as their redeemer. One whole token is worth 0.001 ether here, gas is
// cheap, and redeeming may cost a twentieth of what it brings.

const OWNER = 3
const POOR = 4
const STRANGER = 5
const UNIT = 10n ** 18n
const stage = createStage()
let chain: LocalChain
let dataDir: string
let keeper: KeeperProcess

const env = () =>
  keeperEnv(chain, dataDir, {
    KEEPER_DUTIES: 'redeem,propose,settle',
    KEEPER_STAKES: `${chain.deployment.addresses.token}:1000`,
    KEEPER_REDEEM_PRICES: `${chain.deployment.addresses.token}:0.001`,
  })
const start = () => stage.spawn(env())

beforeAll(async () => {
  chain = await stage.chain({ withOracles: true })
  await fundAccount(chain, KEEPER, 1_000n)
  await bankroll(chain, RIVAL, 1_000n)
  dataDir = await stage.folder(chain)
  const { multiverse } = chain.deployment.addresses
  const redeemer = chain.accounts[KEEPER]!.address
  for (const index of [OWNER, POOR])
    await setRedeemer(chain.wallet(index), { multiverse, redeemer, allowed: true })
  keeper = start()
  await keeper.says('keeper.ready')
})

const addressOf = (index: number): Address => chain.accounts[index]!.address
const held = (owner: number, verse: Hex) => {
  const { multiverse, token } = chain.deployment.addresses
  return getBalance(chain.publicClient, { multiverse, verse, token, owner: addressOf(owner) })
}
/** Gives another owner a part of what the user has in a verse. */
const give = (to: number, verse: Hex, amount: bigint) => {
  const { multiverse, token } = chain.deployment.addresses
  const id = positionId(verse, token)
  return transfer(chain.wallet(USER), { multiverse, to: addressOf(to), id, amount })
}
const until = (owner: number, verse: Hex, amount: bigint) =>
  eventually(`balance of ${owner}`, async () => {
    const value = await held(owner, verse)
    return { value: `${value}`, isReached: value === amount }
  })

/** Every pull-up made for somebody, with its transaction. */
async function pullUps(question: Hex) {
  const logs = await chain.publicClient.getContractEvents({
    address: chain.deployment.addresses.multiverse,
    abi: multiverseAbi,
    eventName: 'PullUp',
    args: { question },
    fromBlock: 0n,
    strict: true,
  })
  return logs.map(({ args, transactionHash: tx }) => ({ ...args, tx }))
}

/** A question that is answered with outcome 0, and what it was pushed down into under `path`. */
async function answerWith(question: Hex, outcome = 0) {
  const client = keeperClient(dataDir)
  await client.until(ROOT, question, isState('reported'))
  await client.answer(question, outcome)
}

test('brings winners of owners who named it up to ROOT in one batch, where that is worth its gas', async () => {
  const { question: first } = await askQuestion(chain, spec())
  const { question: second } = await askQuestion(chain, spec())
  await push(chain, first, [], 100n * UNIT)
  await push(chain, second, [{ question: first, outcome: 0 }], 50n * UNIT)
  const shallow = childVerse(ROOT, first, 0)
  const deep = verseId(
    [
      { question: first, outcome: 0 },
      { question: second, outcome: 0 },
    ].toSorted((a, b) => (a.question < b.question ? -1 : 1)),
  )
  const lost = childVerse(ROOT, first, 1)
  await give(OWNER, shallow, 20n * UNIT)
  await give(OWNER, deep, 30n * UNIT)
  await give(OWNER, lost, 5n * UNIT)
  // A hundred-thousandth of a token buys no gas.
  await give(POOR, shallow, UNIT / 100_000n)
  await give(STRANGER, shallow, 7n * UNIT)

  await answerWith(first)
  await until(OWNER, ROOT, 20n * UNIT)
  expect(await held(OWNER, deep)).toBe(30n * UNIT)
  // The nested question has a partition under a verse, not under ROOT.
  const client = keeperClient(dataDir)
  await client.until(shallow, second, isState('reported'))
  await client.answer(second, 0)
  await until(OWNER, ROOT, 50n * UNIT)

  expect(await held(OWNER, shallow)).toBe(0n)
  expect(await held(OWNER, lost)).toBe(5n * UNIT)
  expect(await held(POOR, shallow)).toBe(UNIT / 100_000n)
  expect(await held(STRANGER, shallow)).toBe(7n * UNIT)
  // Both levels of the second exit went in one transaction.
  const [nested] = await pullUps(second)
  const upper = (await pullUps(first)).filter(({ tx }) => tx === nested!.tx)
  expect(upper.map(({ owner, amount }) => [owner, amount])).toEqual([
    [addressOf(OWNER), 30n * UNIT],
  ])
})

test('killed between what it means to send and what it sent, it redeems once', async () => {
  const { question } = await askQuestion(chain, spec())
  await push(chain, question, [], 10n * UNIT)
  const winner = childVerse(ROOT, question, 0)
  await give(OWNER, winner, 4n * UNIT)
  const before = await held(OWNER, ROOT)
  await keeperClient(dataDir).until(ROOT, question, isState('reported'))
  // Nothing is mined until it has been killed with its redemption under way.
  await keeperClient(dataDir).answer(question, 0)
  await keeper.says('question.answered', (line) => line['question'] === question)
  await chain.testClient.setAutomine(false)
  await keeper.says('tx.signed', (line) => JSON.stringify(line).includes('redeem:'))
  keeper.signal('SIGKILL')
  await keeper.ended
  await chain.testClient.setAutomine(true)
  await chain.testClient.mine({ blocks: 1 })
  keeper = start()
  await keeper.says('keeper.ready')
  await until(OWNER, ROOT, before + 4n * UNIT)
  await pass(chain, 700)
  await pass(chain, 700)
  expect(await pullUps(question)).toHaveLength(1)
})

test('what gas is too dear for waits until it is not, and what was bought after the answer is found', async () => {
  const { question } = await askQuestion(chain, spec())
  await push(chain, question, [], 10n * UNIT)
  const winner = childVerse(ROOT, question, 0)
  const before = await held(OWNER, ROOT)
  await answerWith(question)
  await keeper.says('question.answered', (line) => line['question'] === question)
  await give(OWNER, winner, 4n * UNIT)
  // 100,000 gas at 1,000 gwei are a tenth of an ether, four tokens four thousandths.
  await chain.testClient.setNextBlockBaseFeePerGas({ baseFeePerGas: parseGwei('1000') })
  await pass(chain, 700)
  expect(await held(OWNER, winner)).toBe(4n * UNIT)
  await chain.testClient.setNextBlockBaseFeePerGas({ baseFeePerGas: parseGwei('0.01') })
  await pass(chain, 700)
  await until(OWNER, ROOT, before + 4n * UNIT)
  expect(await held(POOR, ROOT)).toBe(0n)
})

/** Kills the keeper once it signed something for such a purpose, in this life or an earlier one, and starts it anew. */
async function killAt(purpose: string, isDone: () => Promise<boolean>) {
  await eventually(purpose, async () => {
    const isSigned = keeper.lines.some(
      (line) => line.msg === 'tx.signed' && JSON.stringify(line).includes(`"${purpose}`),
    )
    return { value: purpose, isReached: isSigned || (await isDone()) }
  })
  keeper.signal('SIGKILL')
  await keeper.ended
  keeper = start()
}

test('killed at every move of a game, it puts up each bond once, and has them back', async () => {
  const rules = gameTerms(chain)
  const token = () => held(KEEPER, ROOT)
  const before = await token()
  const { question } = await askOracle(chain, 'optimistic', rules, {
    outcome: { source: 'pipeline' },
  })
  const hasAnswers = (count: number) => async () =>
    (await answersIn(chain, question)).length === count
  await push(chain, question)
  await killAt('approve:propose:', hasAnswers(1))
  await killAt('propose:', hasAnswers(1))
  await eventually('a first answer', async () => {
    const value = await answersIn(chain, question)
    return { value: value.length, isReached: value.length === 1 }
  })
  await dispute(chain, question, 0, 20n)
  await killAt('dispute:', hasAnswers(3))
  await eventually('an answer to the dispute', async () => {
    const value = await answersIn(chain, question)
    return { value: value.length, isReached: value.length === 3 }
  })
  expect(await token()).toBe(before - 50n)
  await keeper.says('keeper.ready')
  await pass(chain, rules.liveness)
  await killAt('settle:', async () => (await answersOf(chain, question)).length > 0)
  // Its own bonds, and the rival's.
  await until(KEEPER, ROOT, before + 20n)
  const moves = await answersIn(chain, question)
  expect(moves.map(({ outcome, bond }) => [outcome, bond])).toEqual([
    [1, 10n],
    [0, 20n],
    [1, 40n],
  ])
  expect(await answersOf(chain, question)).toHaveLength(1)
})

/** Puts as many empty blocks in the place of the newest ones. */
const reorg = (depth: number) =>
  chain.testClient.request({ method: 'anvil_reorg' as never, params: [depth, []] as never })

test('a redemption, and a bond, that a reorganisation took back are made again, and once', async () => {
  await keeper.says('keeper.ready')
  const { question } = await askQuestion(chain, spec())
  await push(chain, question, [], 10n * UNIT)
  const winner = childVerse(ROOT, question, 0)
  await give(OWNER, winner, 4n * UNIT)
  const before = await held(OWNER, ROOT)
  await answerWith(question)
  await until(OWNER, ROOT, before + 4n * UNIT)
  const [made] = await pullUps(question)
  const { blockNumber } = await chain.publicClient.getTransactionReceipt({ hash: made!.tx })
  await reorg(Number((await chain.publicClient.getBlockNumber()) - blockNumber) + 1)
  expect(await pullUps(question)).toEqual([])
  await until(OWNER, ROOT, before + 4n * UNIT)
  expect(await pullUps(question)).toHaveLength(1)

  const rules = gameTerms(chain)
  const { question: played } = await askOracle(chain, 'optimistic', rules, {
    outcome: { source: 'pipeline' },
  })
  await push(chain, played)
  const answers = (count: number) =>
    eventually('answers', async () => {
      const value = await answersIn(chain, played)
      return { value: value.length, isReached: value.length === count }
    })
  await answers(1)
  const funds = await held(KEEPER, ROOT)
  await reorg(1)
  await answers(1)
  await dispute(chain, played, 0, 20n)
  await answers(3)
  await reorg(1)
  await answers(3)
  expect(await held(KEEPER, ROOT)).toBe(funds - 40n)
  await pass(chain, rules.liveness)
  await until(KEEPER, ROOT, funds + 30n)
  expect(await answersOf(chain, played)).toHaveLength(1)
})
