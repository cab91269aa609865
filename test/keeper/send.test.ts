import { pino } from 'pino'
import { type Hex, keccak256, parseEther, parseGwei, parseTransaction, toHex, zeroHash } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { createRpc } from '../../keeper/chain/rpc.ts'
import { createTxStore, type TxStore } from '../../keeper/store/txs.ts'
import { createPolicy, OWN_CALLS, parseAllowedCall } from '../../keeper/tx/policy.ts'
import { type Call, createSender, type Sender, type TxLimits } from '../../keeper/tx/send.ts'
import { tokenAbi, worldsAbi } from '../../sdk/abi.ts'
import { ROOT } from '../../sdk/ids.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { createStage } from './stage.ts'
import { askQuestion, KEEPER, PATIENT, spec } from './world.ts'

vi.setConfig(PATIENT)

// One account's transactions on a real chain whose blocks and fees the test decides, with books in a real database.

const PATIENTLY = { timeout: 30_000, interval: 10 }

const stage = createStage()
let chain: LocalChain
let txs: TxStore
let key: Hex
const lines: string[] = []
/** Of all tests. */
const everything: string[] = []
const log = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) })
const senders: Sender[] = []

beforeAll(async () => {
  chain = await stage.chain()
  txs = createTxStore(await stage.books(log))
  key = chain.privateKey(KEEPER)
})
beforeEach(async () => {
  lines.length = 0
  await chain.testClient.setAutomine(true)
  await setBaseFee(parseGwei('1'))
  await chain.testClient.setBalance({ address: keeper(), value: parseEther('10') })
})
afterEach(() => {
  for (const sender of senders.splice(0)) sender.stop()
  everything.push(...lines)
})

const keeper = () => chain.accounts[KEEPER]!.address
const token = () => chain.deployment.addresses.token
const account = () => privateKeyToAccount(key)

function newSender(limits: Partial<TxLimits> = {}, allowed = ['mint', 'transferFrom']): Sender {
  const sender = createSender({
    rpc: createRpc([chain.url], chain.deployment, 10_000, log),
    txs,
    account: account(),
    chainId: 31_337,
    policy: createPolicy(
      [...OWN_CALLS, ...allowed.map((name) => parseAllowedCall(`${token()}.${selector(name)}`)!)],
      chain.deployment.addresses,
      keeper(),
    ),
    limits: {
      maxFeePerGas: parseGwei('100'),
      spendPerDay: null,
      stuckMs: 0,
      balanceAlarms: [parseEther('1'), parseEther('0.1')],
      ...limits,
    },
    pollMs: 20,
    onSettled: () => {},
    log,
  })
  senders.push(sender)
  return sender
}

const SELECTORS: Record<string, Hex> = { mint: '0x40c10f19', transferFrom: '0x23b872dd' }
const selector = (name: string) => SELECTORS[name]!

const mint = (amount: bigint): Call => ({
  to: token(),
  abi: tokenAbi,
  functionName: 'mint',
  args: [chain.accounts[1]!.address, amount],
})

const said = (msg: string) =>
  lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line['msg'] === msg)

const setBaseFee = async (fee: bigint) => {
  await chain.testClient.setNextBlockBaseFeePerGas({ baseFeePerGas: fee })
  await chain.testClient.mine({ blocks: 1 })
}

/** Blocks in which nothing at a lower fee is mined. */
const dearBlocks = async (fee: bigint, count: number) => {
  for (let i = 0; i < count; i++) await setBaseFee(fee)
}

const inPool = async (): Promise<number> => {
  const { pending } = await chain.testClient.getTxpoolStatus()
  return pending
}

const nonce = () => chain.publicClient.getTransactionCount({ address: keeper() })

const states = async () => {
  const all = await txs.list({ limit: 100 })
  return all.map(({ purposes, state, kind }) => [purposes[0], kind, state])
}

/** A transaction signed by a process that ended before it sent it. */
async function signUnsent(purpose: string, call: Hex, at: number, to = token()) {
  const signing = { sender: keeper(), purposes: [purpose], kind: 'call' as const, headBlock: 0 }
  return txs.sign(signing, at, async (next) => {
    const fees = { maxFeePerGas: parseGwei('3'), maxPriorityFeePerGas: parseGwei('1') }
    const request = { to, data: call, gas: 200_000n, chainId: 31_337, type: 'eip1559' as const }
    const raw = await account().signTransaction({ ...request, ...fees, nonce: next })
    return { raw, hash: keccak256(raw), cost: 1n }
  })
}

const mintData = `${SELECTORS['mint']!}${'00'.repeat(31)}01${'00'.repeat(31)}07` as Hex

test('makes a call once, and knows it in the next life', async () => {
  const sender = newSender()
  const mined = await sender.perform('once', mint(1n))
  expect(await newSender().perform('once', mint(1n))).toEqual(mined)
  expect(await newSender().performed('once')).toEqual(mined)
  const [listed] = await txs.list({ limit: 1 })
  const { gasUsed, effectiveGasPrice } = await chain.publicClient.getTransactionReceipt({
    hash: mined.tx,
  })
  expect(listed).toMatchObject({
    purposes: ['once'],
    state: 'mined',
    block: mined.block,
    cost: `${gasUsed * effectiveGasPrice}`,
  })
})

test('sends what was signed before a crash, and nothing else', async () => {
  const before = await nonce()
  const left = await signUnsent('crashed', mintData, before)
  expect(await newSender().performed('crashed')).toBeNull()
  expect((await newSender().perform('crashed', mint(1n))).tx).toBe(left.hash)
  const swept = await signUnsent('swept', mintData, before)
  await newSender().tend()
  await newSender().tend()
  expect(await newSender().performed('swept')).toMatchObject({ tx: swept.hash })
  expect(await nonce()).toBe(before + 2)
})

test('makes a stuck transaction dearer by a tenth at least, and takes whichever is mined', async () => {
  await chain.testClient.setAutomine(false)
  const sender = newSender()
  const performing = sender.perform('stuck', mint(2n))
  await expect.poll(inPool, PATIENTLY).toBe(1)
  await dearBlocks(parseGwei('40'), 2)
  await sender.tend()
  const [dear, cheap] = await txs.list({ limit: 2 })
  expect(dear!.nonce).toBe(cheap!.nonce)
  for (const fee of ['maxFeePerGas', 'maxPriorityFeePerGas'] as const)
    expect(BigInt(dear![fee]) * 10n).toBeGreaterThanOrEqual(BigInt(cheap![fee]) * 11n)
  expect(said('tx.bumped')).toHaveLength(1)
  await setBaseFee(parseGwei('40'))
  expect(await performing).toMatchObject({ tx: dear!.hash })
  expect(await states()).toEqual(expect.arrayContaining([['stuck', 'call', 'replaced']]))
})

test('leaves alone what has had no block to be mined in', async () => {
  await chain.testClient.setAutomine(false)
  const sender = newSender()
  const performing = sender.perform('young', mint(2n))
  await expect.poll(inPool, PATIENTLY).toBe(1)
  await sender.tend()
  expect(said('tx.bumped')).toEqual([])
  await chain.testClient.mine({ blocks: 1 })
  await performing
})

test('waits in so many words while the base fee is over the cap', async () => {
  const sender = newSender({ maxFeePerGas: parseGwei('20') })
  await setBaseFee(parseGwei('30'))
  await expect(sender.perform('dear', mint(3n))).rejects.toMatchObject({
    code: 'FEE_TOO_HIGH',
    isRetryable: true,
    message: expect.stringMatching(/base fee is .* gwei, KEEPER_MAX_FEE_GWEI is 20 gwei/) as string,
  })
  expect(sender.conditions().waiting.fee).toContain('KEEPER_MAX_FEE_GWEI is 20 gwei')
  expect(await txs.latest('dear')).toBeNull()
  await setBaseFee(parseGwei('5'))
  await sender.perform('dear', mint(3n))
  expect(sender.conditions().waiting).toEqual({})
  expect([said('tx.waiting').length, said('tx.unblocked').length]).toEqual([1, 1])
})

test('never bids over the cap for what is stuck already', async () => {
  await chain.testClient.setAutomine(false)
  const cap = parseGwei('20')
  const sender = newSender({ maxFeePerGas: cap })
  const performing = sender.perform('capped', mint(3n))
  await expect.poll(inPool, PATIENTLY).toBe(1)
  await dearBlocks(parseGwei('30'), 3)
  await sender.tend()
  expect(said('tx.bumped')).toEqual([])
  expect(sender.conditions().waiting.fee).toContain('is not mined at KEEPER_MAX_FEE_GWEI')
  await dearBlocks(parseGwei('18'), 1)
  await sender.tend()
  await chain.testClient.mine({ blocks: 1 })
  const { tx } = await performing
  const all = await txs.list({ limit: 10 })
  const own = all.filter(({ purposes }) => purposes.includes('capped'))
  expect(own.every(({ maxFeePerGas }) => BigInt(maxFeePerGas) <= cap)).toBe(true)
  expect(own.find(({ hash }) => hash === tx)!.state).toBe('mined')
})

test('gives up a stuck call that would revert by now, and leaves no hole', async () => {
  const [owner] = chain.accounts
  const amount = 50n
  await chain.wallet(8).writeContract({
    address: token(),
    abi: tokenAbi,
    functionName: 'mint',
    args: [owner!.address, amount],
  })
  const approve = (value: bigint) =>
    chain.wallet(0).writeContract({
      address: token(),
      abi: tokenAbi,
      functionName: 'approve',
      args: [keeper(), value],
      // Estimated on top of what waits in the pool, it would be too little.
      gas: 100_000n,
      maxFeePerGas: parseGwei('500'),
      maxPriorityFeePerGas: parseGwei('1'),
    })
  await approve(amount)
  await chain.testClient.setAutomine(false)
  const sender = newSender()
  const first = await nonce()
  const args = [owner!.address, keeper(), amount]
  const performing = sender.perform('pull', {
    to: token(),
    abi: tokenAbi,
    functionName: 'transferFrom',
    args,
  })
  const outcome = performing.catch((error: unknown) => error)
  await expect.poll(inPool, PATIENTLY).toBe(1)
  await approve(0n)
  await dearBlocks(parseGwei('40'), 2)
  await sender.tend()
  expect(said('tx.cancelled')[0]).toMatchObject({
    code: 'ERC20_INSUFFICIENT_ALLOWANCE',
    error: expect.stringContaining('ERC20InsufficientAllowance(') as string,
  })
  await setBaseFee(parseGwei('40'))
  expect(await outcome).toMatchObject({ code: 'ERC20_INSUFFICIENT_ALLOWANCE' })
  expect(await nonce()).toBe(first + 1)
  expect((await states()).slice(0, 2)).toEqual([
    ['pull', 'cancel', 'mined'],
    ['pull', 'call', 'replaced'],
  ])
})

test('takes the next nonce when somebody else used its own', async () => {
  await chain.testClient.setAutomine(false)
  const first = await nonce()
  const sender = newSender()
  const performing = sender.perform('raced', mint(4n))
  await expect.poll(inPool, PATIENTLY).toBe(1)
  await chain.wallet(KEEPER).sendTransaction({
    to: keeper(),
    nonce: first,
    maxFeePerGas: parseGwei('50'),
    maxPriorityFeePerGas: parseGwei('20'),
  })
  await chain.testClient.mine({ blocks: 1 })
  await sender.tend()
  await expect.poll(inPool, PATIENTLY).toBe(1)
  await chain.testClient.mine({ blocks: 1 })
  const { tx } = await performing
  expect((await chain.publicClient.getTransaction({ hash: tx })).nonce).toBe(first + 1)
  expect(said('nonce.taken')).toHaveLength(1)
})

test('goes around nonces that somebody else has in the pool', async () => {
  await chain.testClient.setAutomine(false)
  const first = await nonce()
  await chain.wallet(KEEPER).sendTransaction({ to: keeper(), nonce: first })
  const performing = newSender().perform('beside', mint(4n))
  await expect.poll(inPool, PATIENTLY).toBe(2)
  await chain.testClient.mine({ blocks: 1 })
  const { tx } = await performing
  expect((await chain.publicClient.getTransaction({ hash: tx })).nonce).toBe(first + 1)
})

test('looks after the others when a node cannot stand one', async () => {
  const first = await nonce()
  const request = { type: 'eip1559' as const, chainId: 31_337, to: token(), gas: 2n ** 40n }
  await txs.sign(
    { sender: keeper(), purposes: ['monstrous'], kind: 'call', headBlock: 0 },
    first,
    async (next) => {
      const raw = await account().signTransaction({ ...request, maxFeePerGas: 1n, nonce: next })
      return { raw, hash: keccak256(raw), cost: 0n }
    },
  )
  const other = await signUnsent('beside it', mintData, first)
  await expect(newSender().tend()).rejects.toMatchObject({ code: 'RPC_FAILED' })
  await chain.wallet(KEEPER).sendTransaction({ to: keeper(), nonce: first })
  await expect.poll(() => nonce(), PATIENTLY).toBe(first + 2)
  await newSender().tend()
  expect(await newSender().performed('beside it')).toMatchObject({ tx: other.hash })
  expect(await txs.latest('monstrous')).toBeNull()
})

test('fills a hole that what is signed waits behind', async () => {
  const first = await nonce()
  const waiting = await signUnsent('behind', mintData, first + 1)
  const sender = newSender()
  // Once may be an endpoint that has not heard of it.
  await sender.tend()
  expect(said('nonce.filled')).toEqual([])
  await sender.tend()
  expect(said('nonce.filled')).toMatchObject([{ nonce: first }])
  await sender.tend()
  expect(await sender.performed('behind')).toMatchObject({ tx: waiting.hash })
  expect(await nonce()).toBe(first + 2)
})

test('signs nothing that its policy does not name, however it is wrapped', async () => {
  const sender = newSender({}, [])
  const refused = { code: 'POLICY_REFUSED', isRetryable: false }
  await expect(sender.perform('refused', mint(1n))).rejects.toMatchObject(refused)
  expect(await txs.latest('refused')).toBeNull()
  const { multiverse } = chain.deployment.addresses
  const policy = createPolicy(OWN_CALLS, chain.deployment.addresses, keeper())
  const inner = '0xa9059cbb' as Hex
  const wrapped =
    `0xac9650d8${'20'.padStart(64, '0')}${'1'.padStart(64, '0')}${'20'.padStart(64, '0')}${'4'.padStart(64, '0')}${inner.slice(2).padEnd(64, '0')}` as Hex
  expect(() => policy({ to: multiverse, data: wrapped, value: 0n })).toThrow('0xa9059cbb')
  expect(() => policy({ to: keeper(), data: '0x', value: 1n })).toThrow('may not call')
  policy({ to: keeper(), data: '0x', value: 0n })
})

test('stops at the limit of what a day may take', async () => {
  const spent = await txs.spent(keeper())
  const sender = newSender({ spendPerDay: spent + 1n })
  await expect(sender.perform('frugal', mint(5n))).rejects.toMatchObject({
    code: 'SPEND_LIMIT',
    isRetryable: true,
    message: expect.stringContaining('KEEPER_SPEND_LIMIT_ETH') as string,
  })
  expect(sender.conditions().waiting.spend).toContain('ether would be spent in 24 hours')
  const free = newSender({ spendPerDay: spent + parseEther('0.01') })
  await free.perform('frugal', mint(5n))
  expect(await txs.spent(keeper())).toBeGreaterThan(spent)
})

test('says that it has no ether, and goes on when it has', async () => {
  await chain.testClient.setBalance({ address: keeper(), value: 1_000n })
  const sender = newSender()
  await expect(sender.perform('poor', mint(6n))).rejects.toMatchObject({
    code: 'INSUFFICIENT_FUNDS',
    isRetryable: true,
  })
  await sender.tend()
  expect(sender.conditions()).toMatchObject({ balance: 1_000n })
  expect(said('balance.low')).toMatchObject([{ below: '0.1' }])
  await chain.testClient.setBalance({ address: keeper(), value: parseEther('0.5') })
  await sender.perform('poor', mint(6n))
  await sender.tend()
  expect(said('balance.low').at(-1)).toMatchObject({ below: '1' })
  await chain.testClient.setBalance({ address: keeper(), value: parseEther('5') })
  await sender.tend()
  expect(said('balance.recovered')).toHaveLength(1)
  expect(sender.conditions().waiting).toEqual({})
})

test('puts reports that come together into one transaction, each under its own name, and leaves out what would revert', async () => {
  const { worlds } = chain.deployment.addresses
  const questions: Hex[] = []
  for (let i = 0; i < 5; i++) questions.push((await askQuestion(chain, spec())).question)
  const world = (salt: number, probability: bigint) => ({
    stateRoot: keccak256(toHex(salt)),
    cost: 1n,
    probability,
    trit: 0,
    verdict: 1,
  })
  const report = (question: Hex, probability: bigint): Call => ({
    to: worlds,
    abi: worldsAbi,
    functionName: 'report',
    args: [[], question, [world(1, probability), world(2, 0n), world(3, 0n), world(4, 0n)]],
  })
  const sender = newSender()
  const first = await nonce()
  const bad = sender
    .perform('report:bad', report(questions[0]!, 3n))
    .catch((error: unknown) => error)
  const mined = await Promise.all(
    questions.map((question) => sender.perform(`report:${question}`, report(question, 10n ** 18n))),
  )
  expect(await bad).toMatchObject({ code: 'PROBABILITY_SUM', message: 'ProbabilitySum(3)' })
  expect(said('call.reverts')).toMatchObject([{ function: 'report', code: 'PROBABILITY_SUM' }])
  const used = (await nonce()) - first
  expect(used).toBeLessThan(5)
  expect(new Set(mined.map(({ tx }) => tx)).size).toBe(used)
  for (const question of questions)
    expect(
      await chain.publicClient.readContract({
        address: worlds,
        abi: worldsAbi,
        functionName: 'reportHash',
        args: [keeper(), ROOT, question],
      }),
    ).not.toBe(zeroHash)
  const batch = (await txs.list({ limit: 10 })).find(({ purposes }) => purposes.length > 1)!
  expect(parseTransaction((await txs.latest(batch.purposes[1]!))!.raw).to).toBe(
    worlds.toLowerCase(),
  )
})

test('never says its key, whatever went wrong', () => {
  expect(everything.length).toBeGreaterThan(20)
  expect(everything.join('').toLowerCase()).not.toContain(key.slice(2))
})
