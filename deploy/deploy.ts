import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  deploy as runModule,
  type DeployConfig,
  type DeploymentResult,
  type EIP1193Provider,
  wipe,
} from '@nomicfoundation/ignition-core'
import { type Address, getAddress, type Hex, hexToNumber } from 'viem'
import { z } from 'zod'
import { type Deployment, deploymentSchema } from '../sdk/deployment.ts'
import { isMultiverseError, MultiverseError, oneLine } from '../sdk/errors.ts'
import { dataPaths, readDeployment } from '../sdk/node/data.ts'
import { createArtifactResolver } from './artifacts.ts'
import {
  assertDeployedOn,
  assertStart,
  LOCAL_CHAIN_ID,
  readBlockHash,
  readChainId,
  request,
  type Start,
} from './identity.ts'
import { demoModule } from './modules/Demo.ts'
import { multiverseModule } from './modules/Multiverse.ts'

export type DeployOptions = {
  provider: EIP1193Provider
  /** Whom the provider signs for; the first of its accounts when left out. */
  sender?: Address | undefined
  dataDir: string
  /** Deploys the demo token too: for local chains. */
  withToken: boolean
  /** Forgets a record of an earlier deployment in the data folder. */
  fresh?: boolean
  /** Blocks to wait for after each transaction; 1 on a local chain and 5 elsewhere when left out. */
  confirmations?: number
}

/**
 * Deploys the contracts once, and writes `deployment.json`. A second call deploys nothing and returns the same record; a
 * call after one that was cut short goes on where it stopped. The journal is kept in the data folder.
 * @throws OTHER_CHAIN when the data folder belongs to another chain, NOT_COMPILED, NO_ACCOUNT, DEPLOY_FAILED, RPC_FAILED
 */
export async function deploy(options: DeployOptions): Promise<Deployment> {
  const { provider, dataDir, withToken } = options
  const paths = dataPaths(dataDir)
  if (options.fresh === true) {
    await rm(paths.ignition, { recursive: true, force: true })
    await rm(paths.deployment, { force: true })
  }
  const existing = await readExisting(dataDir)
  if (existing !== undefined) {
    await assertDeployedOn(provider, existing)
    if (!withToken || existing.addresses.token !== undefined) return existing
  }
  const chainId = await readChainId(provider)
  const isLocal = chainId === LOCAL_CHAIN_ID
  const confirmations = options.confirmations ?? (isLocal ? 1 : 5)
  const start = existing ?? (await beginAt(provider, dataDir, chainId, confirmations))
  const accounts = (await request(provider, 'eth_accounts')) as Address[]
  const sender = options.sender ?? accounts[0]
  if (sender === undefined)
    throw new MultiverseError('NO_ACCOUNT', `no account to deploy with on chain ${chainId}`)
  const config: Partial<DeployConfig> = {
    requiredConfirmations: confirmations,
    blockPollingInterval: isLocal ? 20 : 1000,
    retryInterval: isLocal ? 20 : 1000,
  }
  const contracts = await run({
    artifactResolver: createArtifactResolver(!isLocal),
    provider,
    config,
    deploymentDir: join(paths.ignition, 'journal'),
    deploymentParameters: {},
    accounts: [sender],
    ignitionModule: withToken ? demoModule : multiverseModule,
    isLocal,
  })
  const token = contracts.get('TestToken')
  const deployment = deploymentSchema.parse({
    version: 1,
    chainId,
    addresses: {
      multiverse: contracts.get('Multiverse'),
      worlds: contracts.get('Worlds'),
      ...(token === undefined ? {} : { token }),
    },
    startBlock: start.startBlock,
    startBlockHash: start.startBlockHash,
  })
  await writeJson(paths.deployment, deployment)
  return deployment
}

const startSchema = deploymentSchema.pick({ chainId: true, startBlock: true, startBlockHash: true })

/** Fixes the start block before the first transaction, so that a deployment cut short knows its chain again. */
async function beginAt(
  provider: EIP1193Provider,
  dataDir: string,
  chainId: number,
  confirmations: number,
): Promise<Start> {
  const { ignition } = dataPaths(dataDir)
  const path = join(ignition, 'start.json')
  const begun = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (begun !== undefined) {
    const start = startSchema.parse(JSON.parse(begun))
    await assertStart(provider, start)
    return start
  }
  const latest = hexToNumber((await request(provider, 'eth_blockNumber')) as Hex)
  // Deep enough not to be reorged away: its hash is the deployment's identity.
  const startBlock = Math.max(0, latest - (chainId === LOCAL_CHAIN_ID ? 0 : confirmations * 2))
  const startBlockHash = await readBlockHash(provider, startBlock)
  if (startBlockHash === null)
    throw new MultiverseError('RPC_FAILED', `chain ${chainId} has no block ${startBlock}`)
  const start: Start = { chainId, startBlock, startBlockHash }
  await mkdir(ignition, { recursive: true })
  await writeJson(path, start)
  return start
}

async function readExisting(dataDir: string): Promise<Deployment | undefined> {
  try {
    return await readDeployment(dataDir)
  } catch (error) {
    if (isMultiverseError(error, 'NO_DEPLOYMENT')) return undefined
    throw error
  }
}

type Run = Parameters<typeof runModule>[0] & { deploymentDir: string; isLocal: boolean }

/** Runs the module and gives the addresses by contract name. */
async function run(parameters: Run): Promise<Map<string, Address>> {
  let result: DeploymentResult
  try {
    result = await runModule(parameters)
  } catch (error) {
    if (isMultiverseError(error)) throw error
    const lost = lostTransaction(error)
    if (lost === undefined)
      throw new MultiverseError('DEPLOY_FAILED', oneLine(error), { cause: error })
    await forget(lost, parameters)
    return run(parameters)
  }
  if (!('contracts' in result))
    throw new MultiverseError('DEPLOY_FAILED', `${result.type}: ${firstReason(result)}`)
  return new Map(
    Object.values(result.contracts).map(({ contractName, address }) => [
      contractName,
      getAddress(address),
    ]),
  )
}

const lostSchema = z.object({
  errorCode: z.literal('HHE10410'),
  messageArguments: z.object({ futureId: z.string(), nonce: z.number(), sender: z.string() }),
})
type Lost = z.infer<typeof lostSchema>['messageArguments']

/** The transaction that an earlier run was about to send when it was cut short, if that is what ignition complains of. */
function lostTransaction(error: unknown): Lost | undefined {
  return lostSchema.safeParse(error).data?.messageArguments
}

/**
 * Takes a transaction that was never sent out of the journal, so that it is sent now. On a local chain one that was sent
 * costs nothing, and the deployment is begun again.
 * @throws DEPLOY_INTERRUPTED when it may have been sent: only its sender can tell what became of it
 */
async function forget(
  { futureId, nonce, sender }: Lost,
  { provider, deploymentDir, artifactResolver, isLocal }: Run,
): Promise<void> {
  const count = await request(provider, 'eth_getTransactionCount', [sender, 'pending'])
  if (hexToNumber(count as Hex) <= nonce) return wipe(deploymentDir, artifactResolver, futureId)
  if (!isLocal)
    throw new MultiverseError(
      'DEPLOY_INTERRUPTED',
      `the last run may have sent nonce ${nonce} of ${sender} for ${futureId}: remove ${deploymentDir} to deploy anew`,
    )
  await rm(deploymentDir, { recursive: true, force: true })
}

function firstReason(result: Exclude<DeploymentResult, { contracts: unknown }>): string {
  if ('errors' in result)
    return Object.entries(result.errors)
      .map(([future, reasons]) => `${future}: ${reasons[0] ?? 'unknown'}`)
      .join('; ')
  return [
    ...result.failed.map(({ futureId, error }) => `${futureId}: ${error}`),
    ...result.timedOut.map(({ futureId }) => `${futureId} timed out`),
    ...result.held.map(({ futureId, reason }) => `${futureId} is held: ${reason}`),
  ].join('; ')
}

/** Writes beside and renames, so that a reader sees the whole file or none. */
async function writeJson(path: string, value: unknown): Promise<void> {
  const draft = `${path}.${process.pid}.tmp`
  await writeFile(draft, `${JSON.stringify(value, null, 2)}\n`)
  await rename(draft, path)
}
