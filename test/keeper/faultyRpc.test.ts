import { createPublicClient, type Hex, http, numberToHex, webSocket } from 'viem'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type LocalChain, startChain } from '../helpers/chain.ts'
import { type FaultyRpc, startFaultyRpc } from '../helpers/faultyRpc.ts'

// The proxy that the keeper is tried with tells the truth until it is told not to, and lies in one piece.

const PATIENTLY = { timeout: 30_000, interval: 10 }

let chain: LocalChain
let proxy: FaultyRpc
beforeAll(async () => {
  chain = await startChain()
  proxy = await startFaultyRpc(chain.url)
})
afterEach(() => proxy.heal())
afterAll(async () => {
  await proxy?.stop()
  await chain?.stop()
})

const client = () =>
  createPublicClient({
    transport: http(proxy.url, { retryCount: 0, timeout: 2_000 }),
    cacheTime: 0,
  })
const head = () => chain.publicClient.getBlock()
const addresses = () => Object.values(chain.deployment.addresses) as Hex[]

test('says what the node says, over HTTP and over a socket', async () => {
  const { hash, number } = await head()
  expect((await client().getBlock()).hash).toBe(hash)
  expect(proxy.calls.get('eth_getBlockByNumber')).toBe(1)
  const socket = createPublicClient({
    transport: webSocket(proxy.wsUrl, { retryCount: 0 }),
    cacheTime: 0,
  })
  const heads: unknown[] = []
  await socket.transport.subscribe({
    params: ['newHeads'],
    onData: ({ result }) => heads.push((result as { number: Hex }).number),
  })
  await chain.testClient.mine({ blocks: 1 })
  await expect.poll(() => heads, PATIENTLY).toEqual([numberToHex(number + 1n)])
  expect(await socket.getBlockNumber()).toBe(number + 1n)
  proxy.set({ mutesSubscriptions: true })
  await chain.testClient.mine({ blocks: 1 })
  expect(await socket.getBlockNumber()).toBe(number + 2n)
  expect(heads).toHaveLength(1)
  const rpcClient = await socket.transport.getRpcClient()
  rpcClient.close()
})

test('is behind in every answer', async () => {
  const { number: before } = await head()
  const balance = await chain.publicClient.getBalance({ address: chain.accounts[5]!.address })
  const hash = await chain.wallet(4).sendTransaction({ to: chain.accounts[5]!.address, value: 1n })
  await chain.testClient.mine({ blocks: 2 })
  proxy.set({ lagBlocks: 3 })
  expect(await client().getBlockNumber()).toBe(before)
  expect((await client().getBlock()).number).toBe(before)
  await expect(client().getBlock({ blockNumber: before + 1n })).rejects.toThrow(
    'could not be found',
  )
  const { hash: newest } = await head()
  await expect(client().getBlock({ blockHash: newest })).rejects.toThrow('could not be found')
  await expect(client().getLogs({ blockHash: newest })).rejects.toThrow('unknown block')
  await expect(client().getTransactionReceipt({ hash })).rejects.toThrow('could not be found')
  expect(await client().getBalance({ address: chain.accounts[5]!.address })).toBe(balance)
  expect(await client().getTransactionCount({ address: chain.accounts[4]!.address })).toBe(0)
  proxy.set({ lagBlocks: 0 })
  expect((await client().getTransactionReceipt({ hash })).status).toBe('success')
})

test('stays where it was frozen', async () => {
  await proxy.freeze()
  const { number } = await head()
  await chain.testClient.mine({ blocks: 2 })
  expect(await client().getBlockNumber()).toBe(number)
  proxy.heal()
  expect(await client().getBlockNumber()).toBe(number + 2n)
})

test('has a head that does not exist', async () => {
  const { number, hash } = await head()
  proxy.set({ ghostHead: 1 })
  const ghost = await client().getBlock()
  expect(ghost).toMatchObject({ number: number + 1n, parentHash: hash })
  await expect(client().getLogs({ blockHash: ghost.hash })).rejects.toThrow(/block/i)
})

test('drops logs, and takes no long ranges', async () => {
  const range = { address: addresses(), fromBlock: 0n, toBlock: (await head()).number }
  const hash = await chain.wallet(8).writeContract({
    address: chain.deployment.addresses.token,
    abi: [
      {
        type: 'function',
        name: 'mint',
        inputs: [{ type: 'address' }, { type: 'uint256' }],
        outputs: [],
        stateMutability: 'nonpayable',
      },
    ],
    functionName: 'mint',
    args: [chain.accounts[0]!.address, 5n],
  })
  await chain.publicClient.waitForTransactionReceipt({ hash })
  const whole = { ...range, toBlock: range.toBlock + 1n }
  expect((await client().getLogs(whole)).length).toBeGreaterThan(0)
  proxy.set({ dropLogs: 'all' })
  expect(await client().getLogs(whole)).toEqual([])
  proxy.set({ dropLogs: 'none', maxLogRange: 2 })
  await expect(client().getLogs(whole)).rejects.toThrow('block range is too large')
  expect(await client().getLogs({ ...whole, fromBlock: whole.toBlock })).toHaveLength(1)
})

test('fails by method, so often as it is told', async () => {
  proxy.set({ errors: { eth_chainId: { code: -32_000, message: 'busy', times: 1 } } })
  await expect(client().getChainId()).rejects.toThrow('busy')
  expect(await client().getChainId()).toBe(31_337)
  proxy.set({ unknownMethods: ['eth_getBlockReceipts'] })
  await expect(
    client().request({ method: 'eth_getBlockReceipts', params: ['latest'] } as never),
  ).rejects.toThrow('does not exist')
})

test('refuses, cuts, hangs and delays', async () => {
  proxy.set({ refuses: { status: 429, retryAfterS: 7 } })
  const refused = await fetch(proxy.url, {
    method: 'POST',
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_chainId' }),
  })
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '7'])
  proxy.heal()
  proxy.set({ cutsConnections: true })
  await expect(client().getChainId()).rejects.toThrow('HTTP request failed')
  proxy.heal()
  proxy.set({ hangs: true })
  const impatient = createPublicClient({
    transport: http(proxy.url, { retryCount: 0, timeout: 50 }),
  })
  await expect(impatient.getChainId()).rejects.toThrow('took too long')
  proxy.heal()
  proxy.set({ delayMs: 60 })
  const begun = performance.now()
  await client().getChainId()
  expect(performance.now() - begun).toBeGreaterThan(55)
})
