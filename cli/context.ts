import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Account, type Address, createClient, http } from 'viem'
import { readContract } from 'viem/actions'
import { assertDeployedOn, type Provider } from '../deploy/identity.ts'
import { tokenAbi } from '../sdk/abi.ts'
import { contractError, type ReadClient, type WriteClient } from '../sdk/actions.ts'
import type { Deployment } from '../sdk/deployment.ts'
import { isMultiverseError, MultiverseError } from '../sdk/errors.ts'
import { isLocalChain, networkOf, pollMsOf } from '../sdk/networks.ts'
import { readDeployment } from '../sdk/node/data.ts'
import { type Catalog, createCatalog } from './catalog.ts'
import { isRunning, readStack, type StackRecord } from './stack/record.ts'
import { openTerminalPrompt } from '../sdk/node/keys/prompt.ts'
import { createKeyring, type Keyring } from '../sdk/node/keys/keyring.ts'
import { addressOf, chooseWallet } from './wallets.ts'

/** Options that every verb takes. */
export type CommonOptions = {
  json?: boolean
  data?: string
  rpc?: string
  as?: string
  passphraseFd?: number
}

/** An ERC-20 as people see it. */
export type TokenInfo = { address: Address; symbol: string; decimals: number }

/** What the verbs that speak to a chain work with. */
export type Context = {
  dataDir: string
  /** Whether it is a local chain, whose development wallets have names. */
  isLocal: boolean
  deployment: Deployment
  client: ReadClient
  catalog: Catalog
  /** The wallet chosen with --as or the environment, opened: it may ask for a passphrase. */
  wallet: () => Promise<WriteClient>
  /** The address of the same, without opening it. */
  walletAddress: () => Promise<Address>
  /** The token given, or the deployment's demo token. */
  token: (text: string | undefined) => Promise<TokenInfo>
  /** An address given as such, or by the name of a wallet of this machine. */
  address: (text: string) => Address
}

/** The data folder of a verb: --data, MULTIVERSE_DATA, or `.data` in the clone. */
export function dataFolder({ data }: CommonOptions): string {
  return resolve(
    data ?? process.env['MULTIVERSE_DATA'] ?? fileURLToPath(new URL('../.data', import.meta.url)),
  )
}

/** The stack that runs on the data folder. @throws NO_STACK */
export async function runningStack(options: CommonOptions): Promise<StackRecord> {
  const dataDir = dataFolder(options)
  const stack = await findStack(dataDir)
  if (stack === undefined) throw noStack(dataDir)
  return stack
}

async function findStack(dataDir: string): Promise<StackRecord | undefined> {
  const stack = await readStack(dataDir)
  return stack !== undefined && (await isRunning(stack.supervisor)) ? stack : undefined
}

function noStack(dataDir: string): MultiverseError {
  return new MultiverseError(
    'NO_STACK',
    `no stack runs on ${dataDir}: start one with \`npm start\`, or name another with --data`,
  )
}

/** The RPC that the environment gives for a folder's chain. */
async function rpcOf(dataDir: string): Promise<string | undefined> {
  try {
    const { rpcVariable } = networkOf((await readDeployment(dataDir)).chainId)
    return (rpcVariable === null ? '' : process.env[rpcVariable]) || undefined
  } catch (error) {
    if (isMultiverseError(error, 'NO_DEPLOYMENT')) return undefined
    throw error
  }
}

/**
 * Opens the deployment of the data folder on its chain.
 * @throws NO_STACK, NO_DEPLOYMENT, OTHER_CHAIN, RPC_FAILED
 */
export async function openContext(options: CommonOptions): Promise<Context> {
  const dataDir = dataFolder(options)
  const stack = await findStack(dataDir)
  const url = options.rpc ?? stack?.urls.rpc ?? (await rpcOf(dataDir))
  if (url === undefined) throw noStack(dataDir)
  const deployment = await readDeployment(dataDir)
  const isLocal = isLocalChain(deployment.chainId)
  const pollMs = pollMsOf(networkOf(deployment.chainId))
  const client = createReadClient(url, pollMs)
  try {
    await assertDeployedOn(client as Provider, deployment)
  } catch (error) {
    if (!isMultiverseError(error, 'RPC_FAILED')) throw error
    throw new MultiverseError('RPC_FAILED', `${url}: ${error.message}`, { cause: error })
  }
  const keyring = openKeyring(options)
  const stored = await keyring.wallets()
  const chosen = () => chooseWallet(keyring, options.as, isLocal)
  const openWallet = async () => createWriteClient(url, await (await chosen()).open(), pollMs)
  // A passphrase is asked for once, and can be read from a descriptor only once.
  let opened: Promise<WriteClient> | undefined
  return {
    dataDir,
    isLocal,
    deployment,
    client,
    catalog: createCatalog(client, deployment),
    wallet: () => (opened ??= openWallet()),
    walletAddress: async () => (await chosen()).address(),
    token: async (text) => {
      const address = text === undefined ? deployment.addresses.token : addressOf(text, false, [])
      if (address === undefined)
        throw new MultiverseError('USAGE', 'this chain has no demo token: name one with --token')
      return readToken(client, address)
    },
    address: (text) =>
      text === 'keeper' && stack?.keeper ? stack.keeper : addressOf(text, isLocal, stored),
  }
}

/** The keys that a verb may use: see the rule in sdk/node/keys. */
export function openKeyring({ passphraseFd }: CommonOptions): Keyring {
  return createKeyring({
    env: process.env,
    prefix: 'MULTIVERSE_',
    passphraseFd,
    openPrompt: openTerminalPrompt,
  })
}

/** A client that keeps no answers and asks often, as a chain nearby bears. Calls made together travel together. */
export function createReadClient(url: string, pollingInterval = 50): ReadClient {
  return createClient({ transport: http(url, { batch: true }), pollingInterval, cacheTime: 0 })
}

/** The same that signs for an account. */
export function createWriteClient(
  url: string,
  account: Account,
  pollingInterval = 50,
): WriteClient {
  return createClient({ account, transport: http(url), pollingInterval, cacheTime: 0 })
}

async function readToken(client: ReadClient, address: Address): Promise<TokenInfo> {
  try {
    const [symbol, decimals] = await Promise.all([
      readContract(client, { address, abi: tokenAbi, functionName: 'symbol' }),
      readContract(client, { address, abi: tokenAbi, functionName: 'decimals' }),
    ])
    return { address, symbol, decimals }
  } catch (error) {
    const { code, message } = contractError(error)
    if (code === 'RPC_FAILED' && !/returned no data/.test(message)) throw contractError(error)
    throw new MultiverseError('INVALID_TOKEN', `${address} is no ERC-20 with metadata`)
  }
}
