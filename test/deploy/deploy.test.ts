import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Address, zeroAddress, zeroHash } from 'viem'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { deploy } from '../../deploy/deploy.ts'
import { assertDeployedOn, type Provider } from '../../deploy/identity.ts'
import { deploymentSchema } from '../../sdk/deployment.ts'
import { type ChainOptions, type LocalChain, startChain } from '../helpers/chain.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

let dataDir: string
const chains: LocalChain[] = []

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'multiverse-deploy-'))
})

afterEach(async () => {
  await Promise.all(chains.splice(0).map((chain) => chain.stop()))
  await rm(dataDir, { recursive: true, force: true })
})

/** A chain with nothing on it. */
async function bareChain(options: ChainOptions = {}): Promise<LocalChain> {
  const addresses = { multiverse: zeroAddress, worlds: zeroAddress, token: zeroAddress }
  const nothing = {
    version: 1,
    chainId: 0,
    addresses,
    startBlock: 0,
    startBlockHash: zeroHash,
  } as const
  const chain = await startChain({ deployment: nothing, ...options })
  chains.push(chain)
  return chain
}

const providerOf = (chain: LocalChain) => chain.publicClient as unknown as Provider
const senderOf = (chain: LocalChain): Address => chain.accounts[8]!.address
const sent = (chain: LocalChain) =>
  chain.publicClient.getTransactionCount({ address: senderOf(chain) })

const deployOn = (chain: LocalChain, options: { withToken?: boolean; fresh?: boolean } = {}) =>
  deploy({
    provider: providerOf(chain),
    sender: senderOf(chain),
    dataDir,
    withToken: true,
    ...options,
  })

test('deploys once: a second call sends nothing and returns the same record', async () => {
  const chain = await bareChain()
  const before = await readdir(root)
  const head = await chain.publicClient.getBlock()
  const deployment = await deployOn(chain)
  expect(await sent(chain)).toBe(3)
  expect(deployment).toMatchObject({
    chainId: 31337,
    startBlock: Number(head.number),
    startBlockHash: head.hash,
  })
  const { multiverse, worlds, token } = deployment.addresses
  for (const address of [multiverse, worlds, token!])
    expect((await chain.publicClient.getCode({ address }))?.length).toBeGreaterThan(100)

  expect(await deployOn(chain)).toEqual(deployment)
  expect(await sent(chain)).toBe(3)
  const text = await readFile(join(dataDir, 'deployment.json'), 'utf8')
  expect(deploymentSchema.parse(JSON.parse(text))).toEqual(deployment)
  await assertDeployedOn(providerOf(chain), deployment)
  expect(await readdir(root)).toEqual(before)
})

test('adds the demo token to contracts that stand already', async () => {
  const chain = await bareChain()
  const plain = await deployOn(chain, { withToken: false })
  expect(plain.addresses.token).toBeUndefined()
  const { addresses, ...start } = await deployOn(chain, { withToken: true })
  expect(addresses).toMatchObject(plain.addresses)
  expect(addresses.token).toBeDefined()
  expect(start).toMatchObject({
    startBlock: plain.startBlock,
    startBlockHash: plain.startBlockHash,
  })
  expect(await sent(chain)).toBe(3)
})

test('goes on where a deployment was cut short', async () => {
  const chain = await bareChain()
  const provider = providerOf(chain)
  let sends = 0
  const breaking: Provider = {
    async request(args) {
      if (args.method === 'eth_sendTransaction' && ++sends > 1) throw new Error('the line is dead')
      return provider.request(args)
    },
  }
  const options = { sender: senderOf(chain), dataDir, withToken: true }
  await expect(deploy({ provider: breaking, ...options })).rejects.toMatchObject({
    code: 'DEPLOY_FAILED',
  })
  const count = await sent(chain)
  expect(count).toBeGreaterThan(0)
  expect(count).toBeLessThan(3)
  const head = await chain.publicClient.getBlock()
  const { startBlock } = await deployOn(chain)
  expect(await sent(chain)).toBe(3)
  expect(startBlock).toBeLessThan(Number(head.number))
})

test('begins again on a local chain when it cannot tell what became of a transaction', async () => {
  const chain = await bareChain()
  const provider = providerOf(chain)
  const breaking: Provider = {
    async request(args) {
      const answer = await provider.request(args)
      if (args.method === 'eth_sendTransaction') throw new Error('the line is dead')
      return answer
    },
  }
  const options = { sender: senderOf(chain), dataDir, withToken: true }
  await expect(deploy({ provider: breaking, ...options })).rejects.toMatchObject({
    code: 'DEPLOY_FAILED',
  })
  expect(await sent(chain)).toBe(1)
  const deployment = await deployOn(chain)
  expect(await sent(chain)).toBe(4)
  await assertDeployedOn(providerOf(chain), deployment)
})

test('refuses the data folder of another chain, naming both hashes, and begins anew when told to', async () => {
  const first = await deployOn(await bareChain())
  // A genesis block differs by its second only.
  const other = await bareChain({ args: ['--timestamp', '1900000000'] })
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

test('refuses another chain id, and a chain that was rolled back', async () => {
  const chain = await bareChain()
  const snapshot = await chain.testClient.snapshot()
  await deployOn(chain)
  await chain.testClient.revert({ id: snapshot })
  await expect(deployOn(chain)).rejects.toMatchObject({
    code: 'OTHER_CHAIN',
    message: expect.stringContaining('rolled back') as unknown,
  })
  const other = await bareChain({ args: ['--chain-id', '4242'] })
  await expect(deployOn(other)).rejects.toMatchObject({
    code: 'OTHER_CHAIN',
    message: expect.stringContaining('4242') as unknown,
  })
})

test('a chain that does not answer is named as such', async () => {
  const chain = await bareChain()
  await chain.stop()
  await expect(deployOn(chain)).rejects.toMatchObject({ code: 'RPC_FAILED', isRetryable: true })
})

test('hardhat deploys to a network of its own with a key from its configuration variables', async () => {
  const chain = await bareChain({ args: ['--chain-id', '4242', '--block-time', '0.2'] })
  const run = () =>
    hardhat(['deploy-multiverse', '--network', 'sepolia', '--data', dataDir], {
      SEPOLIA_RPC_URL: chain.url,
      SEPOLIA_PRIVATE_KEY: chain.privateKey(8),
    })
  const first = await run()
  expect(first.stderr).not.toContain('error')
  expect(first.code).toBe(0)
  const { dataDir: folder, ...record } = JSON.parse(first.stdout) as { dataDir: string }
  const { addresses, chainId } = deploymentSchema.parse(record)
  expect(folder).toBe(dataDir)
  expect(chainId).toBe(4242)
  expect(addresses.token).toBeUndefined()
  expect((await chain.publicClient.getCode({ address: addresses.worlds }))?.length).toBeGreaterThan(
    100,
  )
  const count = await sent(chain)
  expect((await run()).stdout.trim()).toBe(first.stdout.trim())
  expect(await sent(chain)).toBe(count)
}, 180_000)

function hardhat(args: string[], env: Record<string, string>) {
  const child = spawn(process.execPath, ['node_modules/hardhat/dist/src/cli.js', ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}
