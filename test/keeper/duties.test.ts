import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Abi, type Address, type Hex, numberToHex, parseAbi, zeroAddress } from 'viem'
import type { HDAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { keeperDutiesVerb } from '../../cli/verbs/keeper.ts'
import { resolveVerb } from '../../cli/verbs/resolve.ts'
import { signVerb } from '../../cli/verbs/sign.ts'
import { multiverseAbi, optimisticOracleAbi, priceOracleAbi } from '../../sdk/abi.ts'
import { ROOT } from '../../sdk/ids.ts'
import type { LocalChain } from '../helpers/chain.ts'
import {
  answersIn,
  askOracle,
  bankroll,
  deployMock,
  deployReality,
  dispute,
  gameTerms,
  give,
  pass,
  propose,
  realityAbi,
  rests,
  RIVAL,
  sent,
  timeOf,
  untilDuty,
} from './oracles.ts'
import { createStage } from './stage.ts'
import { refuse } from './surroundings/refusing.ts'
import {
  answersOf,
  askQuestion,
  eventually,
  isState,
  KEEPER,
  PATIENT,
  push,
  spec,
  type TestKeeper,
} from './world.ts'

vi.setConfig(PATIENT)

// One keeper, one chain with the real oracles on it; each test has a question of its own. The programs' cheapest verse is
// `optimal`, outcome 1.

const OPTIMAL = 1
const NASH = 0
const STAKE = 1_000n
const stage = createStage()
let chain: LocalChain
let keeper: TestKeeper

/** What the other members' keepers say they signed. */
let shared: object[] = []
let peer: Server

beforeAll(async () => {
  peer = createServer((_, response) => response.end(JSON.stringify({ verdicts: shared })))
  const peerUrl = await listening(peer)
  chain = await stage.chain({ withOracles: true })
  await bankroll(chain, RIVAL, 10n ** 6n)
  await give(chain, KEEPER, 10n ** 6n)
  const { token } = chain.deployment.addresses
  keeper = await stage.keeper(chain, {
    KEEPER_DUTIES: 'settle,expire,propose,sign',
    KEEPER_STAKES: `${token}:${STAKE}`,
    KEEPER_PEERS: `http://127.0.0.1:1,${peerUrl}`,
    KEEPER_ALLOW_PRIVATE_URLS: '1',
  })
})
afterAll(() => {
  peer?.close()
})

const me = () => chain.accounts[KEEPER]!.address
const rival = () => chain.accounts[RIVAL]!.address

/** The one answer that the ledger has. */
async function answered(question: Hex) {
  return eventually(`answer to ${question}`, async () => {
    const [value] = await answersOf(chain, question)
    return { value: value!, isReached: value !== undefined }
  })
}

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** What a verb of the command is told. */
const command = () => ({ data: keeper.dataDir, rpc: chain.url })
const gameSpec = { outcome: { source: 'pipeline' } } as const

test('proposes what its worlds came to, waits, settles, and has its bond back', async () => {
  const rules = gameTerms(chain)
  const { question } = await askOracle(chain, 'optimistic', rules, gameSpec)
  await push(chain, question)
  await untilDuty(keeper, question, rests('ANSWER_STANDS'))
  const [first, ...more] = await answersIn(chain, question)
  expect(more).toEqual([])
  expect(first).toMatchObject({ answerer: me(), outcome: OPTIMAL, bond: rules.minimumBond })
  expect(await answersOf(chain, question)).toEqual([])
  // Its own answer wakes it once more when the block is followed.
  const { duty, text } = await eventually('a duty that waits', async () => {
    const { json, text } = await keeperDutiesVerb({ data: keeper.dataDir })
    const duty = json.duties.find((each) => each.question === question)!
    return { value: { duty, text }, isReached: duty.wakeTime !== null }
  })
  expect(duty).toMatchObject({
    kind: 'optimistic',
    state: 'open',
    decision: { outcome: OPTIMAL, source: 'pipeline' },
    reason: { code: 'ANSWER_STANDS' },
    bonds: [{ outcome: OPTIMAL, bond: `${rules.minimumBond}`, state: 'open' }],
  })
  expect(duty.wakeTime).toBeGreaterThan(Number(await timeOf(chain)))
  expect(text).toMatch(/optimistic +open +1, pipeline +10 of /)

  await pass(chain, rules.liveness)
  expect((await answered(question)).args).toMatchObject({ outcome: OPTIMAL, expired: false })
  await untilDuty(keeper, question, ({ state }) => state === 'done')
  const bond = await chain.publicClient.readContract({
    address: chain.deployment.addresses.optimisticOracle!,
    abi: optimisticOracleAbi,
    functionName: 'bondOf',
    args: [question, OPTIMAL, me()],
  })
  expect(bond).toBe(0n)
  await keeper.until(ROOT, question, isState('resolved'))
})

test('defends what it can work out again, against a first answer and against a dispute', async () => {
  const rules = gameTerms(chain)
  const asked = await askOracle(chain, 'optimistic', rules, gameSpec)
  await propose(chain, asked, rules, NASH, 20n)
  await push(chain, asked.question)
  await untilDuty(keeper, asked.question, rests('ANSWER_STANDS'))
  await dispute(chain, asked.question, 2, 80n)
  await eventually('the keeper defends', async () => {
    const value = await answersIn(chain, asked.question)
    return { value, isReached: value.length === 4 }
  })
  const moves = await answersIn(chain, asked.question)
  expect(moves.map(({ answerer, outcome, bond }) => [answerer, outcome, bond])).toEqual([
    [rival(), NASH, 20n],
    [me(), OPTIMAL, 40n],
    [rival(), 2, 80n],
    [me(), OPTIMAL, 160n],
  ])
  await pass(chain, rules.liveness)
  expect((await answered(asked.question)).args.outcome).toBe(OPTIMAL)
  await untilDuty(keeper, asked.question, ({ state }) => state === 'done')
})

test('leaves an answer alone that somebody gave by hand, and it could not work out', async () => {
  const rules = gameTerms(chain)
  const asked = await askOracle(chain, 'optimistic', rules, { outcome: { source: 'manual' } })
  await push(chain, asked.question)
  await untilDuty(keeper, asked.question, rests('ANSWER_UNKNOWN'))
  const { question } = asked
  const given = await resolveVerb({ ...command(), question, outcome: 'chaos', as: 'carol' })
  expect(given.json).toMatchObject({ question, outcome: 2, label: 'chaos', tx: null })
  await untilDuty(keeper, asked.question, rests('ANSWER_STANDS'))
  await dispute(chain, asked.question, NASH, 20n)
  await untilDuty(keeper, asked.question, rests('ANSWER_NOT_REPRODUCIBLE'))
  const other = await keeper.answer(asked.question, 'nash')
  expect(other).toMatchObject({ status: 409, body: { code: 'ALREADY_ANSWERED' } })
  await pass(chain, rules.liveness)
  expect((await answered(asked.question)).args.outcome).toBe(NASH)
  expect(await answersIn(chain, asked.question)).toHaveLength(2)
})

test('does not dispute for worlds of which one could not be verified', async () => {
  const rules = gameTerms(chain)
  // A verse whose program fails has no world to be done again.
  const program = `if (input.verse.name === 'chaos') throw new Error('no')
    return { cost: input.verse.name === 'optimal' ? 1 : 2 }`
  const asked = await askOracle(chain, 'optimistic', rules, { ...gameSpec, program })
  await propose(chain, asked, rules, NASH, 20n)
  await push(chain, asked.question)
  const duty = await untilDuty(keeper, asked.question, rests('ANSWER_NOT_REPRODUCIBLE'))
  expect(duty.decision).toMatchObject({ outcome: OPTIMAL, source: 'pipeline' })
  expect(await answersIn(chain, asked.question)).toHaveLength(1)
})

test('never puts up more than its stake, and nothing in other tokens', async () => {
  const dear = gameTerms(chain)
  const asked = await askOracle(chain, 'optimistic', dear, gameSpec)
  await propose(chain, asked, dear, NASH, STAKE)
  await push(chain, asked.question)
  const stopped = await untilDuty(keeper, asked.question, rests('STAKE_LIMIT'))
  expect(stopped.reason!.message).toContain(`${2n * STAKE}`)
  expect(await answersIn(chain, asked.question)).toHaveLength(1)

  // A first bond leaves room to be defended once.
  const first = await askOracle(
    chain,
    'optimistic',
    gameTerms(chain, { minimumBond: STAKE / 5n + 1n }),
    gameSpec,
  )
  await push(chain, first.question)
  await untilDuty(keeper, first.question, rests('STAKE_LIMIT'))

  const foreign = await deployMock(chain, 'TestToken', ['Other', 'OTH', 18])
  const odd = await askOracle(
    chain,
    'optimistic',
    gameTerms(chain, { bondToken: foreign }),
    gameSpec,
  )
  await push(chain, odd.question)
  await untilDuty(keeper, odd.question, rests('BOND_TOKEN_REFUSED'))
  expect(await answersIn(chain, odd.question)).toEqual([])
})

test('settles a price when it can be proven, and not before', async () => {
  const feed = await deployMock(chain, 'MockAggregator')
  const now = await timeOf(chain)
  const write = (price: bigint, at: bigint) =>
    sent(chain, RIVAL, {
      address: feed,
      abi: parseAbi(['function push(int256, uint256) returns (uint80)']),
      functionName: 'push',
      args: [price, at],
    })
  for (let i = 0n; i < 9n; i++) await write(1_000n + i, now - 900n + i * 100n)
  const time = now + 1_000n
  const terms = { feed, phase: 1, time, maxDelay: 500, thresholds: [1_000n, 2_000n] }
  const { question } = await askOracle(chain, 'price', terms)
  await push(chain, question)
  await untilDuty(keeper, question, rests('PRICE_PENDING'))
  await pass(chain, 1_001)
  await untilDuty(keeper, question, ({ reason }) => reason!.message.includes('no round since'))
  expect(await answersOf(chain, question)).toEqual([])
  await write(1_500n, time + 5n)
  await write(2_500n, time + 6n)
  await pass(chain, 15)
  expect((await answered(question)).args).toMatchObject({ outcome: 1, expired: false })
})

test('repeats reality.eth when its answer is final', async () => {
  const reality = await deployReality(chain)
  const asking = {
    address: reality,
    abi: realityAbi,
    functionName: 'askQuestionWithMinBond',
    args: [2n, 'Which road?', zeroAddress, 60, 0, 0n, 1n],
  } as const
  const { result: realityQuestion } = await chain.publicClient.simulateContract({
    ...asking,
    account: rival(),
  })
  await sent(chain, RIVAL, asking)
  const contentHash = await chain.publicClient.readContract({
    address: reality,
    abi: realityAbi,
    functionName: 'getContentHash',
    args: [realityQuestion],
  })
  const { question } = await askOracle(chain, 'reality', {
    reality,
    realityQuestion,
    contentHash,
    arbitrator: zeroAddress,
    timeout: 60,
    minBond: 1n,
  })
  await push(chain, question)
  await untilDuty(keeper, question, rests('NOT_FINAL'))
  await sent(chain, RIVAL, {
    address: reality,
    abi: realityAbi,
    functionName: 'submitAnswer',
    args: [realityQuestion, numberToHex(2, { size: 32 }), 0n],
    value: 1n,
  })
  await pass(chain, 30)
  await untilDuty(keeper, question, rests('NOT_FINAL'))
  await pass(chain, 60)
  expect((await answered(question)).args.outcome).toBe(2)
})

test('answers for itself with what a quorum of URLs says', async () => {
  let said = ['nash', 'chaos']
  const server = createServer((request, response) =>
    response.end(JSON.stringify({ result: { 'a/b': [said[Number(request.url!.slice(1))]] } })),
  )
  const url = await listening(server)
  const { timestamp } = await chain.publicClient.getBlock()
  const { question } = await askQuestion(
    chain,
    spec({
      outcome: {
        source: 'http',
        urls: [0, 1].map((each) => `${url}/${each}`),
        pointer: '/result/a~1b/0',
        quorum: 2,
        notBefore: Number(timestamp) + 50,
      },
    }),
  )
  await push(chain, question)
  await untilDuty(keeper, question, rests('SOURCE_TOO_EARLY'))
  await pass(chain, 60)
  const duty = await untilDuty(keeper, question, rests('SOURCE_QUORUM'))
  expect(duty.reason!.message).toMatch(/0 nash; .*1 chaos/)
  said = ['chaos', 'chaos']
  await pass(chain, 60)
  expect((await answered(question)).args.outcome).toBe(2)
  server.close()
})

test('signs as a member, collects what others really signed, and tells the ledger', async () => {
  const other = chain.accounts[7]!
  const stranger = chain.accounts[6]!
  const members = [me(), other.address, rival()].toSorted((a, b) =>
    BigInt(a) < BigInt(b) ? -1 : 1,
  )
  const { question } = await askOracle(chain, 'committee', { members, threshold: 2n }, gameSpec)
  const survivors = 1n << BigInt(OPTIMAL)
  const signed = async (signer: HDAccount, of = question) => ({
    question,
    signer: signer.address,
    survivors: `${survivors}`,
    signature: await signer.signTypedData({
      domain: {
        name: 'Multiverse CommitteeOracle',
        version: '1',
        chainId: chain.deployment.chainId,
        verifyingContract: chain.deployment.addresses.committeeOracle!,
      },
      types: {
        Verdict: [
          { name: 'question', type: 'bytes32' },
          { name: 'survivors', type: 'uint256' },
        ],
      },
      primaryType: 'Verdict',
      message: { question: of, survivors },
    }),
  })
  // A signature over another question, and one of nobody's.
  shared = [await signed(chain.accounts[RIVAL]!, ROOT), await signed(stranger)]
  await push(chain, question)
  const alone = await untilDuty(keeper, question, rests('VERDICT_PENDING'))
  expect(alone.reason!.message).toBe('1 of 2 signatures')
  const served = await fetch(`http://127.0.0.1:${keeper.port}/verdicts/${question}`)
  expect(await served.json()).toEqual({ verdicts: [await signed(chain.accounts[KEEPER]!)] })
  expect(await answersOf(chain, question)).toEqual([])

  shared = [await signed(other)]
  await pass(chain, 20)
  expect((await answered(question)).args.outcome).toBe(OPTIMAL)
})

test('takes what members signed with the command, and nothing of anybody else', async () => {
  const members = [me(), rival()].toSorted((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1))
  const committee = { members, threshold: 2n }
  const { question } = await askOracle(chain, 'committee', committee, gameSpec)
  const signing = { ...command(), question, outcome: 'optimal' }
  await expect(signVerb({ ...signing, as: 'bob' })).rejects.toMatchObject({
    code: 'UNKNOWN_QUESTION',
  })
  await push(chain, question)
  await untilDuty(keeper, question, rests('VERDICT_PENDING'))
  await expect(signVerb({ ...signing, as: 'carol' })).rejects.toMatchObject({
    code: 'NOT_A_MEMBER',
  })
  const forged = {
    question,
    signer: rival(),
    survivors: `${1n << BigInt(OPTIMAL)}`,
    signature: `0x${'11'.repeat(65)}`,
  }
  expect(await keeper.call('POST', '/verdicts', forged)).toMatchObject({
    status: 403,
    body: { code: 'NOT_SIGNED' },
  })
  const { json } = await signVerb({ ...signing, as: 'bob' })
  expect(json).toMatchObject({ signer: rival(), outcome: OPTIMAL, threshold: 2, known: 2 })
  expect((await answered(question)).args.outcome).toBe(OPTIMAL)
  await expect(signVerb({ ...signing, outcome: 'nash', as: 'bob' })).rejects.toMatchObject({
    code: 'ALREADY_ANSWERED',
  })
})

test('records what time has decided', async () => {
  const { question } = await askQuestion(chain, spec(), { deadlineInS: 20_000 })
  await push(chain, question)
  await keeper.until(ROOT, question, isState('reported'))
  await pass(chain, 50_000)
  expect((await answered(question)).args).toMatchObject({ outcome: 3, expired: true })
  await untilDuty(keeper, question, ({ state }) => state === 'done')
})

/** Questions that an answer is due to once time has passed: their oracle's, or the ledger's own. */
const DUE: [what: string, begin: () => Promise<Due>][] = [
  [
    'an oracle that will not settle its game',
    async () => {
      const rules = gameTerms(chain)
      const asked = await askOracle(chain, 'optimistic', rules, gameSpec)
      await propose(chain, asked, rules, OPTIMAL, rules.minimumBond)
      const { optimisticOracle: address } = chain.deployment.addresses
      const { liveness: seconds } = rules
      return { ...asked, address: address!, abi: optimisticOracleAbi, name: 'settle', seconds }
    },
  ],
  [
    'an oracle that will not settle its price',
    async () => {
      const feed = await deployMock(chain, 'MockAggregator')
      const now = await timeOf(chain)
      const abi = parseAbi(['function push(int256, uint256) returns (uint80)'])
      for (const [price, at] of [
        [1_500n, now - 10n],
        [1_500n, now + 30n],
      ])
        await sent(chain, RIVAL, { address: feed, abi, functionName: 'push', args: [price, at] })
      const thresholds = [1_000n, 2_000n]
      const terms = { feed, phase: 1, time: now + 20n, maxDelay: 500, thresholds }
      const asked = await askOracle(chain, 'price', terms)
      const { priceOracle: address } = chain.deployment.addresses
      return { ...asked, address: address!, abi: priceOracleAbi, name: 'settle', seconds: 60 }
    },
  ],
  [
    'a ledger that will not expire a question',
    async () => {
      const asked = await askQuestion(chain, spec(), { deadlineInS: 20_000 })
      const { multiverse: address } = chain.deployment.addresses
      return { ...asked, address, abi: multiverseAbi, name: 'expire', seconds: 50_000 }
    },
  ],
]
type Due = { question: Hex; address: Address; abi: Abi; name: string; seconds: number }

test.each(DUE)(
  '%s costs that question its answer, and is asked again when told to',
  async (_, begin) => {
    const { question, address, abi, name, seconds } = await begin()
    await push(chain, question)
    await keeper.until(ROOT, question, isState('reported'))
    const heal = await refuse(chain, address, abi, name)
    await pass(chain, seconds)
    const duty = await untilDuty(keeper, question, rests('CONTRACT_REVERT'))
    expect(duty).toMatchObject({ state: 'open', reason: { code: 'CONTRACT_REVERT' } })
    // Others go on, and whatever comes meanwhile it is not asked again and again.
    const { question: other } = await askQuestion(chain, spec(gameSpec))
    await push(chain, other)
    expect((await answered(other)).args.outcome).toBe(OPTIMAL)
    await chain.testClient.mine({ blocks: 2 })
    await keeper.until(ROOT, other, isState('resolved'))
    const { body } = await keeper.call('GET', `/jobs/${question}`)
    expect(body).toMatchObject({
      state: 'dead',
      failures: 1,
      error: { code: 'CONTRACT_REVERT' },
    })
    expect(await answersOf(chain, question)).toEqual([])

    await heal()
    // Time may have been up for others of this file's questions, too.
    expect(await keeper.call('POST', '/jobs/retry', { key: null })).toMatchObject({ status: 200 })
    await answered(question)
    await untilDuty(keeper, question, ({ state }) => state === 'done')
    const { body: left } = await keeper.call('GET', '/jobs?state=dead')
    expect(left).toEqual({ jobs: [] })
  },
)
