import { join } from 'node:path'
import { createClient, http } from 'viem'
import { answered, type Provider, readChainId } from '../deploy/identity.ts'
import { isMultiverseError, MultiverseError } from '../sdk/errors.ts'
import {
  isLocalChain,
  type Network,
  namedNetworks,
  networkNamed,
  networkOf,
} from '../sdk/networks.ts'
import { readDeployment } from '../sdk/node/data.ts'
import { type CommonOptions, dataFolder } from './context.ts'
import { usageError } from './errors.ts'

/** Options of verbs that work on a chain of the user's choice. */
export type NetworkOptions = CommonOptions & { network?: string }

/** A chain of the user's choice. */
export type ChosenNetwork = {
  network: Network
  rpcUrl: string
  /** --data, MULTIVERSE_DATA, or a folder of the network's own in `.data/networks`. */
  dataDir: string
}

/**
 * The chain named with --network, --rpc or both, else that of the data folder's deployment; its RPC is asked who it is.
 * @throws USAGE when neither is given or the network's RPC is not, WRONG_CHAIN when the RPC serves another chain, RPC_FAILED
 */
export async function chooseNetwork(options: NetworkOptions): Promise<ChosenNetwork> {
  const named = options.network === undefined ? undefined : findNetwork(options.network)
  const rpcUrl = options.rpc ?? rpcFromEnvironment(named ?? (await recordedNetwork(options)))
  const client = createNetworkClient(rpcUrl)
  const chainId = await answered(showUrl(rpcUrl), () => readChainId(client as Provider))
  if (named !== undefined && named.chainId !== chainId)
    throw new MultiverseError(
      'WRONG_CHAIN',
      `${showUrl(rpcUrl)} serves chain ${chainId}, and ${named.name} is chain ${named.chainId}`,
    )
  const network = named ?? networkOf(chainId)
  const isChosen = options.data !== undefined || process.env['MULTIVERSE_DATA'] !== undefined
  const folder = dataFolder(options)
  const dataDir =
    isChosen || isLocalChain(chainId)
      ? folder
      : join(folder, 'networks', network.name ?? `${chainId}`)
  return { network, rpcUrl, dataDir }
}

/** A client that keeps no answers: what it is asked changes. */
export function createNetworkClient(url: string) {
  return createClient({ transport: http(url, { timeout: 20_000 }), cacheTime: 0 })
}

/** The URL of a JSON-RPC as it may be shown: paths, queries and user names can hold keys. */
export function showUrl(url: string): string {
  return URL.parse(url)?.origin ?? 'the RPC'
}

/** What `--network` takes. */
export function networkNames(): string[] {
  return namedNetworks()
    .filter(({ rpcVariable }) => rpcVariable !== null)
    .map(({ name }) => name)
}

function findNetwork(name: string): Network {
  const network = networkNamed(name)
  if (network !== undefined && network.rpcVariable !== null) return network
  throw usageError(
    `no network named ${name}: one of ${networkNames().join(', ')}, or give the URL of any other chain with --rpc`,
  )
}

async function recordedNetwork(options: NetworkOptions): Promise<Network | undefined> {
  try {
    return networkOf((await readDeployment(dataFolder(options))).chainId)
  } catch (error) {
    if (isMultiverseError(error, 'NO_DEPLOYMENT')) return undefined
    throw error
  }
}

function rpcFromEnvironment(network: Network | undefined): string {
  const variable = network?.rpcVariable ?? 'MULTIVERSE_RPC_URL'
  const url = process.env[variable] ?? ''
  if (url !== '') return url
  throw usageError(
    network === undefined
      ? `name a chain: --network ${networkNames()[1] ?? 'NAME'}, or --rpc URL`
      : `${network.title} needs the URL of a JSON-RPC: set ${variable}, or give --rpc URL`,
  )
}
