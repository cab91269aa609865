import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Client,
  createClient,
  custom,
  http,
  keccak256,
  parseEther,
  zeroAddress,
  zeroHash,
} from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { plannedContracts } from '../../deploy/contracts.ts'
import { deploy, type DeployOptions, differingContracts } from '../../deploy/deploy.ts'
import { assertDeployedOn, type Provider } from '../../deploy/identity.ts'
import { planDeployment } from '../../deploy/plan.ts'
import { PROXY_ADDRESS, PROXY_CREATION } from '../../deploy/proxy.ts'
import { CONTRACTS, deploymentSchema } from '../../sdk/deployment.ts'
import { type ChainOptions, type LocalChain, startChain } from '../helpers/chain.ts'

let dataDir: string
const chains: LocalChain[] = []

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'multiverse-deploy-'))
})

afterEach(async () => {
  await Promise.all(chains.splice(0).map((chain) => chain.stop()))
  await rm(dataDir, { recursive: true, force: true })
})

/** A chain with nothing of ours on it. */
async function bareChain(...args: string[]): Promise<LocalChain> {
  const addresses = { multiverse: zeroAddress, worlds: zeroAddress, token: zeroAddress }
  const nothing: ChainOptions['deployment'] = {
    version: 1,
    chainId: 0,
    addresses,
    startBlock: 0,
    startBlockHash: zeroHash,
  }
  const chain = await startChain({ deployment: nothing, args })
  chains.push(chain)
  return chain
}

const clientOf = (chain: LocalChain) =>
  createClient({ transport: http(chain.url, { retryCount: 0 }), cacheTime: 0 })
const providerOf = (chain: LocalChain) => clientOf(chain) as Provider
const deployerOf = (chain: LocalChain) => chain.accounts[8]!
const sent = (chain: LocalChain) =>
  chain.publicClient.getTransactionCount({ address: deployerOf(chain).address })

const deployOn = (chain: LocalChain, options: Partial<DeployOptions> = {}) =>
  deploy({
    client: clientOf(chain),
    account: deployerOf(chain),
    dataDir,
    withToken: true,
    confirmations: 0,
    ...options,
  })

type RpcCall = { method: string; params?: unknown[] }
type Taps = Partial<Record<'before' | 'after', (method: string) => void>> & {
  /** What it answers itself; undefined leaves it to the chain. */
  instead?: (call: RpcCall) => unknown
}

/** A client that does `before` with each call, and `after` with each answer. */
function tapped(chain: LocalChain, { before, after, instead }: Taps): Client {
  const provider = providerOf(chain)
  return createClient({
    cacheTime: 0,
    transport: custom(
      {
        async request(args: RpcCall) {
          before?.(args.method)
          const own = instead?.(args)
          if (own !== undefined) return own
          const answer = await provider.request(args)
          after?.(args.method)
          return answer
        },
      },
      { retryCount: 0 },
    ),
  })
}

test('deploys once: a second call sends nothing and returns the same record', async () => {
  const chain = await bareChain()
  const head = await chain.publicClient.getBlock()
  const deployment = await deployOn(chain)
  expect(await sent(chain)).toBe(8)
  expect(deployment).toMatchObject({
    chainId: 31337,
    startBlock: Number(head.number),
    startBlockHash: head.hash,
  })
  for (const name of CONTRACTS) {
    const code = await chain.publicClient.getCode({ address: deployment.addresses[name]! })
    expect(code?.length).toBeGreaterThan(100)
    expect(deployment.codeHashes![name]).toBe(keccak256(code!))
  }
  expect(await deployOn(chain)).toEqual(deployment)
  expect(await sent(chain)).toBe(8)
  const text = await readFile(join(dataDir, 'deployment.json'), 'utf8')
  expect(deploymentSchema.parse(JSON.parse(text))).toEqual(deployment)
  await assertDeployedOn(providerOf(chain), deployment)
  expect(await differingContracts(providerOf(chain), deployment)).toEqual([])
  expect((await readdir(dataDir)).toSorted()).toEqual(['deployment.json', 'multiverse.json'])
})

test('addresses are the same on another chain, for another wallet, in another order', async () => {
  const first = await deployOn(await bareChain())
  const other = await bareChain('--chain-id', '4242')
  const stranger = privateKeyToAccount(generatePrivateKey())
  await other.testClient.setBalance({ address: stranger.address, value: parseEther('1') })
  await rm(join(dataDir, 'deployment.json'))
  const plain = await deployOn(other, { account: stranger, withToken: false, withOracles: false })
  const { multiverse, worlds, lens } = first.addresses
  expect(plain.addresses).toEqual({ multiverse, worlds, lens })
  const second = await deployOn(other, { account: stranger })
  expect(second.addresses).toEqual(first.addresses)
  expect(second.startBlockHash).toBe(plain.startBlockHash)
  // The ledger has no immutables; the token's domain separator binds the chain.
  expect(second.codeHashes!.multiverse).toBe(first.codeHashes!.multiverse)
  expect(second.codeHashes!.token).not.toBe(first.codeHashes!.token)
})

test('finds what stands already without a wallet, and since when', async () => {
  const chain = await bareChain()
  await chain.testClient.mine({ blocks: 40 })
  const { startBlock: before } = await deployOn(chain)
  const ledger = (await plannedContracts({ withToken: true, withOracles: true }))[0]!
  await chain.testClient.mine({ blocks: 60 })
  await rm(join(dataDir, 'deployment.json'))
  const found = await deployOn(chain, { account: null, confirmations: 3 })
  expect(found.startBlock).toBe(before + 1)
  const at = (blockNumber: number) =>
    chain.publicClient.getCode({ address: ledger.address, blockNumber: BigInt(blockNumber) })
  expect(await at(found.startBlock)).toBeDefined()
  expect(await at(found.startBlock - 1)).toBeUndefined()
  expect(await sent(chain)).toBe(8)
})

test('without a wallet it says what somebody must pay for', async () => {
  await expect(deployOn(await bareChain(), { account: null })).rejects.toMatchObject({
    code: 'NO_WALLET',
    message: expect.stringContaining(
      'Multiverse and Worlds and MultiverseLens and OptimisticOracle',
    ) as unknown,
  })
})

test('goes on where a deployment was cut short before a transaction was sent', async () => {
  const chain = await bareChain()
  let sends = 0
  const client = tapped(chain, {
    before(method) {
      if (method === 'eth_sendRawTransaction' && ++sends > 1) throw new Error('the line is dead')
    },
  })
  await expect(deployOn(chain, { client })).rejects.toMatchObject({ code: 'RPC_FAILED' })
  expect(await sent(chain)).toBe(1)
  await deployOn(chain)
  expect(await sent(chain)).toBe(8)
})

test('does not send twice what was sent before it was cut short', async () => {
  const chain = await bareChain()
  let sends = 0
  const client = tapped(chain, {
    after(method) {
      if (method === 'eth_sendRawTransaction' && ++sends > 1) throw new Error('the line is dead')
    },
  })
  await expect(deployOn(chain, { client })).rejects.toMatchObject({ code: 'RPC_FAILED' })
  // Anvil may mine it a moment after it has taken it.
  await expect.poll(() => sent(chain)).toBe(2)
  await deployOn(chain)
  expect(await sent(chain)).toBe(8)
})

test('a node that counts a transaction before it shows its receipt is borne with', async () => {
  const chain = await bareChain()
  const asked = new Map<string, number>()
  const client = tapped(chain, {
    instead({ method, params }) {
      if (method !== 'eth_getTransactionReceipt') return undefined
      const hash = String(params?.[0])
      asked.set(hash, (asked.get(hash) ?? 0) + 1)
      return asked.get(hash)! > 3 ? undefined : null
    },
  })
  await deployOn(chain, { client })
  expect(await sent(chain)).toBe(8)
})

/** Begins to deploy on a chain that mines nothing from now on, and stops once a transaction was sent. */
async function leaveUnmined(chain: LocalChain): Promise<void> {
  await chain.testClient.setAutomine(false)
  const stopping = new AbortController()
  const begun = deployOn(chain, {
    signal: stopping.signal,
    say: (line) => {
      if (line.includes('sending')) stopping.abort()
    },
  })
  await expect(begun).rejects.toMatchObject({ code: 'INTERRUPTED' })
}

test('a number that the wallet used for something else is not waited for', async () => {
  const chain = await bareChain()
  await leaveUnmined(chain)
  await chain.testClient.request({
    method: 'anvil_dropAllTransactions' as never,
    params: undefined as never,
  })
  await chain.testClient.setAutomine(true)
  const hash = await chain.wallet(8).sendTransaction({ to: zeroAddress })
  await chain.publicClient.waitForTransactionReceipt({ hash })
  await deployOn(chain)
  expect(await sent(chain)).toBe(9)
})

test('replaces a transaction whose price has fallen behind, by one with the same number', async () => {
  const chain = await bareChain('--block-base-fee-per-gas', '1000000000')
  await leaveUnmined(chain)
  const pending = async () =>
    (await chain.publicClient.getBlock({ blockTag: 'pending', includeTransactions: true }))
      .transactions
  const [stuck] = await pending()
  await chain.testClient.setNextBlockBaseFeePerGas({ baseFeePerGas: 50_000_000_000n })
  await chain.testClient.mine({ blocks: 1 })
  expect(await sent(chain)).toBe(0)
  await chain.testClient.setAutomine(true)
  const lines: string[] = []
  await deployOn(chain, { say: (line) => lines.push(line) })
  expect(lines.join('\n')).toContain(`replacing ${stuck!.hash}`)
  expect(await sent(chain)).toBe(8)
})

test('refuses the data folder of another chain, naming both hashes, and begins anew when told to', async () => {
  const first = await deployOn(await bareChain())
  // A genesis block differs by its second only.
  const other = await bareChain('--timestamp', '1900000000')
  await other.testClient.mine({ blocks: 3 })
  const { hash } = await other.publicClient.getBlock({ blockNumber: BigInt(first.startBlock) })
  const refused = deployOn(other)
  await expect(refused).rejects.toMatchObject({ code: 'OTHER_CHAIN' })
  await expect(refused).rejects.toThrow(first.startBlockHash)
  await expect(refused).rejects.toThrow(hash ?? 'no hash')
  expect(await sent(other)).toBe(0)

  const second = await deployOn(other, { fresh: true })
  expect(second.startBlockHash).not.toBe(first.startBlockHash)
  expect(await deployOn(other)).toEqual(second)
})

test('refuses another chain id, a chain that was rolled back, and code that is not what was deployed', async () => {
  const chain = await bareChain()
  const snapshot = await chain.testClient.snapshot()
  const { addresses } = await deployOn(chain)
  const code = await chain.publicClient.getCode({ address: addresses.worlds })
  await chain.testClient.setCode({ address: addresses.worlds, bytecode: `${code!}00` })
  await expect(deployOn(chain)).rejects.toMatchObject({
    code: 'OTHER_CODE',
    message: expect.stringContaining(addresses.worlds) as unknown,
  })
  await rm(join(dataDir, 'deployment.json'))
  await expect(deployOn(chain)).rejects.toMatchObject({ code: 'OTHER_CODE' })
  await chain.testClient.setCode({ address: addresses.worlds, bytecode: code! })
  await deployOn(chain, { fresh: true })
  await chain.testClient.revert({ id: snapshot })
  await expect(deployOn(chain)).rejects.toMatchObject({
    code: expect.stringMatching(/NO_CONTRACT|OTHER_CHAIN/) as unknown,
  })
  const other = await bareChain('--chain-id', '4242')
  await expect(deployOn(other)).rejects.toMatchObject({
    code: 'OTHER_CHAIN',
    message: expect.stringContaining('4242') as unknown,
  })
})

test('a record from before there were code hashes is kept, and gets them', async () => {
  const chain = await startChain()
  chains.push(chain)
  await writeFile(join(dataDir, 'deployment.json'), JSON.stringify(chain.deployment))
  const adopted = await deployOn(chain)
  const { codeHashes, ...rest } = adopted
  expect(rest).toEqual(chain.deployment)
  expect(Object.keys(codeHashes!)).toEqual(['multiverse', 'worlds', 'token'])
  expect(await deployOn(chain)).toEqual(adopted)
})

test('brings the deployment proxy to a chain that lacks it', async () => {
  const chain = await bareChain('--no-create2')
  expect(await chain.publicClient.getCode({ address: PROXY_ADDRESS })).toBeUndefined()
  const account = deployerOf(chain)
  const contracts = await plannedContracts({ withToken: true, withOracles: true })
  const plan = await planDeployment(clientOf(chain), contracts, account.address)
  expect(plan.steps[0]).toMatchObject({ address: PROXY_ADDRESS, value: PROXY_CREATION.cost })
  const before = await chain.publicClient.getBalance({ address: account.address })
  const { addresses } = await deployOn(chain)
  const after = await chain.publicClient.getBalance({ address: account.address })
  expect(addresses.multiverse).toBe(contracts[0]!.address)
  expect(before - after).toBeLessThan(plan.maxCost)
  expect(await sent(chain)).toBe(9)
})

test('a plan names addresses, gas and cost, and is kept within a tenth', async () => {
  const chain = await bareChain()
  const poor = privateKeyToAccount(generatePrivateKey())
  const contracts = await plannedContracts({ withToken: false, withOracles: true })
  const plan = await planDeployment(clientOf(chain), contracts, poor.address)
  expect(plan).toMatchObject({ chainId: 31337, balance: 0n, deployer: poor.address })
  expect(plan.steps.map(({ name, stands }) => [name, stands])).toEqual([
    ['Multiverse', false],
    ['Worlds', false],
    ['MultiverseLens', false],
    ['OptimisticOracle', false],
    ['CommitteeOracle', false],
    ['RealityOracle', false],
    ['PriceOracle', false],
  ])
  const account = deployerOf(chain)
  await deployOn(chain, { withToken: false })
  const logs = await Promise.all(
    contracts.map((_, index) => chain.publicClient.getBlock({ blockNumber: BigInt(index + 1) })),
  )
  const used = logs.reduce((sum, { gasUsed }) => sum + gasUsed, 0n)
  expect(Number(plan.gas) / Number(used)).toBeGreaterThan(0.9)
  expect(Number(plan.gas) / Number(used)).toBeLessThan(1.1)
  const again = await planDeployment(clientOf(chain), contracts, account.address)
  expect(again).toMatchObject({ gas: 0n, cost: 0n })
  expect(again.steps.every(({ stands }) => stands)).toBe(true)
})

test('a chain that does not answer is named as such', async () => {
  const chain = await bareChain()
  await chain.stop()
  await expect(deployOn(chain)).rejects.toMatchObject({ code: 'RPC_FAILED', isRetryable: true })
})
