import { spawn } from 'node:child_process'
import { pbkdf2Sync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import {
  type Abi,
  type Account,
  type Address,
  type Chain,
  createPublicClient,
  createTestClient,
  createWalletClient,
  type Hex,
  http,
  type HttpTransport,
  type PublicClient,
  type TestClient,
  type Transport,
  type WalletClient,
} from 'viem'
import { type HDAccount, HDKey, hdKeyToAccount } from 'viem/accounts'
import { anvil as anvilChain } from 'viem/chains'
import type { Deployment } from '../../sdk/deployment.ts'
import { sharedFolder } from './shared.ts'

/** anvil's public development mnemonic; account 0 to 2 are the demo's wallets, 8 deploys, 9 is the keeper. */
const MNEMONIC = 'test test test test test test test test test test test junk'

/** What a local deployment always has. */
export type LocalDeployment = Deployment & {
  addresses: Record<'multiverse' | 'worlds' | 'token', Address>
}

/** A wallet of the local chain that can also read. */
export type LocalWallet = WalletClient<Transport, Chain, Account>

/** A running local chain with the contracts on it. */
export type LocalChain = {
  url: string
  wsUrl: string
  port: number
  /** Of anvil's process. */
  pid: number
  deployment: LocalDeployment
  /** The ten funded development accounts. */
  accounts: HDAccount[]
  /** Private key of a development account. */
  privateKey(index: number): Hex
  publicClient: PublicClient<HttpTransport, Chain>
  testClient: TestClient<'anvil', Transport, Chain>
  /** A write client of a development account, good for the sdk's actions. */
  wallet(index: number): LocalWallet
  /** Ends the process; idempotent. */
  stop(): Promise<void>
}

export type ChainOptions = {
  /** Seconds between blocks; without it every transaction is mined at once. */
  blockTimeS?: number
  /** A fixed port, to bring a chain back where it was; 0 (the default) takes a free one. */
  port?: number
  /** Further command-line arguments of anvil. */
  args?: string[]
  /** Deploy the oracles too. */
  withOracles?: boolean
  /** Take an existing deployment (of a chain that is loaded from a file) instead of deploying. */
  deployment?: LocalDeployment
}

const SYSTEMS: Record<string, string> = { linux: 'linux', darwin: 'darwin', win32: 'win32' }
const MACHINES: Record<string, string> = { x64: 'amd64', arm64: 'arm64' }

/** Starts anvil itself, not npm's launcher, which would leave it behind when stopped, and deploys the contracts. */
export async function startChain(options: ChainOptions = {}): Promise<LocalChain> {
  const mining =
    options.blockTimeS === undefined
      ? []
      : ['--block-time', `${options.blockTimeS}`, '--mixed-mining']
  // Where it keeps old states; of its own accord that is in the home folder, and stays there when it is killed.
  const states = mkdtempSync(join(sharedFolder() ?? tmpdir(), 'multiverse-anvil-'))
  const serving = ['--host', '127.0.0.1', '--port', `${options.port ?? 0}`, '--cache-path', states]
  const child = spawn(anvilBinary(), [...serving, ...mining, ...(options.args ?? [])], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const kill = () => {
    child.kill('SIGKILL')
    rmSync(states, { recursive: true, force: true })
  }
  process.once('exit', kill)
  const exited = new Promise<void>((resolve) => {
    child.once('close', () => {
      process.removeListener('exit', kill)
      resolve()
    })
  })
  const stop = async () => {
    child.kill('SIGTERM')
    await exited
    await rm(states, { recursive: true, force: true })
  }
  try {
    const port = await listening(child.stdout, exited)
    const url = `http://127.0.0.1:${port}`
    const seed = HDKey.fromMasterSeed(pbkdf2Sync(MNEMONIC, 'mnemonic', 2_048, 64, 'sha512'))
    const accounts = Array.from({ length: 10 }, (_, addressIndex) =>
      hdKeyToAccount(seed, { addressIndex }),
    )
    const transport = http(url, { retryCount: 0 })
    const common = { chain: anvilChain, transport, pollingInterval: 20, cacheTime: 0 }
    const publicClient = createPublicClient(common)
    const wallet = (index: number) => createWalletClient({ ...common, account: accounts[index]! })
    return {
      url,
      wsUrl: `ws://127.0.0.1:${port}`,
      port,
      pid: child.pid!,
      accounts,
      privateKey: (index) => privateKeyOf(accounts[index]!),
      publicClient,
      testClient: createTestClient({ ...common, mode: 'anvil' }),
      wallet,
      deployment:
        options.deployment ?? (await deploy(publicClient, wallet(8), options.withOracles === true)),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Path of the platform's anvil binary. */
function anvilBinary(): string {
  const name = process.platform === 'win32' ? 'anvil.exe' : 'anvil'
  const target = `${SYSTEMS[process.platform]}-${MACHINES[process.arch]}`
  const fromHere = createRequire(import.meta.url)
  const fromAnvil = createRequire(fromHere.resolve('@foundry-rs/anvil/package.json'))
  return fromAnvil.resolve(`@foundry-rs/anvil-${target}/bin/${name}`)
}

async function listening(stdout: NodeJS.ReadableStream, exited: Promise<void>): Promise<number> {
  const port = new Promise<number>((resolve) => {
    // Read on after the port is known: a full pipe would block the process.
    createInterface({ input: stdout }).on('line', (line) => {
      const found = /^Listening on .*:(\d+)/.exec(line)
      if (found) resolve(Number(found[1]))
    })
  })
  const dead = exited.then(() => {
    throw new Error('anvil ended before it listened')
  })
  return Promise.race([port, dead])
}

async function deploy(
  publicClient: PublicClient<HttpTransport, Chain>,
  deployer: LocalWallet,
  withOracles: boolean,
): Promise<LocalDeployment> {
  const create = async (name: string, source: string, args: readonly unknown[]) => {
    const { abi, bytecode } = await artifact(name, source)
    const hash = await deployer.deployContract({ abi, bytecode, args: [...args] })
    const receipt = await publicClient.waitForTransactionReceipt({ hash })
    if (receipt.status !== 'success' || !receipt.contractAddress)
      throw new Error(`${name} was not deployed`)
    return { ...receipt, address: receipt.contractAddress }
  }
  const multiverse = await create('Multiverse', 'Multiverse.sol', [])
  const worlds = await create('Worlds', 'Worlds.sol', [multiverse.address])
  const token = await create('TestToken', 'mocks/TestToken.sol', ['Multiverse Dollar', 'mUSD', 18])
  const oracle = async (name: string) =>
    (await create(name, `oracles/${name}.sol`, [multiverse.address])).address
  const oracles = withOracles
    ? {
        optimisticOracle: await oracle('OptimisticOracle'),
        committeeOracle: await oracle('CommitteeOracle'),
        realityOracle: await oracle('RealityOracle'),
        priceOracle: await oracle('PriceOracle'),
      }
    : {}
  return {
    version: 1,
    chainId: await publicClient.getChainId(),
    addresses: {
      multiverse: multiverse.address,
      worlds: worlds.address,
      token: token.address,
      ...oracles,
    },
    startBlock: Number(multiverse.blockNumber),
    startBlockHash: multiverse.blockHash,
  }
}

/**
 * Takes the newest blocks back and puts as many others in their place. `taken` are signed transactions that come again, each
 * with the place of its block among the new ones, 0 being the first.
 */
export async function reorg(
  { testClient }: Pick<LocalChain, 'testClient'>,
  depth: number,
  taken: readonly (readonly [transaction: Hex, place: number])[] = [],
): Promise<void> {
  await testClient.request({ method: 'anvil_reorg' as never, params: [depth, taken] as never })
}

/** A transaction as it was signed and sent. */
export function rawTransaction(
  { testClient }: Pick<LocalChain, 'testClient'>,
  hash: Hex,
): Promise<Hex> {
  return testClient.request<{ ReturnType: Hex; Method: string; Parameters: Hex[] }>({
    method: 'eth_getRawTransactionByHash',
    params: [hash],
  })
}

/** Deploys one more token that anybody can mint: its name, symbol and decimals. */
export async function deployToken(
  chain: LocalChain,
  args: readonly [string, string, number],
): Promise<Address> {
  const { abi, bytecode } = await artifact('TestToken', 'mocks/TestToken.sol')
  const hash = await chain.wallet(8).deployContract({ abi, bytecode, args: [...args] })
  const receipt = await chain.publicClient.waitForTransactionReceipt({ hash })
  if (!receipt.contractAddress) throw new Error('the token was not deployed')
  return receipt.contractAddress
}

async function artifact(name: string, source: string): Promise<{ abi: Abi; bytecode: Hex }> {
  const url = new URL(`../../artifacts/contracts/${source}/${name}.json`, import.meta.url)
  return JSON.parse(await readFile(url, 'utf8')) as { abi: Abi; bytecode: Hex }
}

function privateKeyOf(account: HDAccount): Hex {
  const { privateKey } = account.getHdKey()
  if (!privateKey) throw new Error(`no private key for ${account.address}`)
  return `0x${Buffer.from(privateKey).toString('hex')}`
}
