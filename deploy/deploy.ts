import { mkdir, rm } from 'node:fs/promises'
import { type Address, type Client, isAddressEqual, keccak256, type LocalAccount } from 'viem'
import {
  CONTRACTS,
  type ContractName,
  type Deployment,
  deploymentSchema,
} from '../sdk/deployment.ts'
import { isMultiverseError } from '../sdk/errors.ts'
import { networkOf } from '../sdk/networks.ts'
import { dataPaths, readDeployment } from '../sdk/node/data.ts'
import { writeJson } from '../sdk/node/files.ts'
import { isCodeOf } from './artifacts.ts'
import { type Extras, isAboutLedger, type PlannedContract, plannedContracts } from './contracts.ts'
import { createContracts } from './create.ts'
import { assertDeployedOn, assertStart, type Provider, readChainId, readCode } from './identity.ts'
import { openJournal } from './journal.ts'
import { type Fees, readFees } from './plan.ts'
import { findStart } from './start.ts'

export type DeployOptions = {
  client: Client
  /** Pays for what does not stand yet, and decides nothing else. Null to send nothing. */
  account: LocalAccount | null
  dataDir: string
  /** Deploys the demo token too. */
  withToken: boolean
  /** Leaves the oracles out when false. */
  withOracles?: boolean | undefined
  /** Forgets a record of an earlier deployment in the data folder. */
  fresh?: boolean | undefined
  /** Blocks on top of the last transaction before it counts as done; the network's own number when left out. */
  confirmations?: number | undefined
  /** From which block on the contracts' logs are read; found out when left out. */
  startBlock?: number | undefined
  /** The fees that the user was shown: no more is ever offered. The present ones when left out. */
  fees?: Fees | undefined
  signal?: AbortSignal | undefined
  /** Takes lines for people about what is being done. */
  say?: ((line: string) => void) | undefined
}

/**
 * Makes the contracts stand at their addresses, which are the same on every chain, and writes `deployment.json`. What
 * stands already is taken as it is, whoever paid for it; a run that was cut short is gone on with.
 * @throws OTHER_CHAIN when the data folder belongs to another chain, OTHER_CODE, NO_CONTRACT, NOT_COMPILED, NO_WALLET,
 * NO_PROXY, START_UNKNOWN, DEPLOY_FAILED, NOT_MINED, INTERRUPTED, RPC_FAILED
 */
export async function deploy(options: DeployOptions): Promise<Deployment> {
  const { client, dataDir } = options
  const provider = client as Provider
  const paths = dataPaths(dataDir)
  if (options.fresh === true)
    for (const path of [paths.deploying, paths.deployment]) await rm(path, { force: true })
  const existing = await readExisting(dataDir)
  if (existing !== undefined) {
    await assertDeployedOn(provider, existing)
  }
  const { withToken, withOracles = true } = options
  const planned = await plannedContracts({ withToken, withOracles })
  const contracts = planned.filter((contract) => lacks(existing, contract))
  if (existing !== undefined && contracts.length === 0)
    return existing.codeHashes === undefined ? write(provider, dataDir, existing) : existing
  const chainId = await readChainId(provider)
  const confirmations = options.confirmations ?? networkOf(chainId).confirmations
  await mkdir(dataDir, { recursive: true })
  const journal = await openJournal(paths.deploying, async () => {
    if (existing === undefined)
      return findStart(provider, planned[0]!, chainId, confirmations, options.startBlock)
    const { startBlock, startBlockHash } = existing
    return { chainId, startBlock, startBlockHash }
  })
  await assertStart(provider, journal.start)
  await createContracts(contracts, {
    client,
    account: options.account,
    chainId,
    confirmations,
    ceiling: options.fees ?? (await readFees(client)),
    journal,
    signal: options.signal ?? new AbortController().signal,
    say: options.say ?? (() => {}),
  })
  const created = Object.fromEntries(contracts.map(({ key, address }) => [key, address]))
  const deployment = await write(provider, dataDir, {
    ...journal.start,
    addresses: { ...created, ...existing?.addresses },
  })
  await journal.close()
  return deployment
}

/** Whether a contract is to be added to what is on record. That stays, also when it was built from other sources. */
function lacks(existing: Deployment | undefined, contract: PlannedContract): boolean {
  if (existing === undefined) return true
  if (existing.addresses[contract.key] !== undefined) return false
  // Made from these sources it would be about another ledger.
  const [ledger] = contract.constructorArgs
  return (
    !isAboutLedger(contract) || isAddressEqual(ledger as Address, existing.addresses.multiverse)
  )
}

/** The contracts of a deployment whose code on the chain is not what this build would create. */
export async function differingContracts(
  provider: Provider,
  { addresses }: Deployment,
): Promise<ContractName[]> {
  const differing: ContractName[] = []
  const all: Extras = { withToken: true, withOracles: true }
  for (const { key, artifact } of await plannedContracts(all)) {
    const address = addresses[key]
    if (address !== undefined && !isCodeOf(artifact, await readCode(provider, address)))
      differing.push(key)
  }
  return differing
}

/** Writes the record, with the hash of the code at every address. */
async function write(
  provider: Provider,
  dataDir: string,
  {
    chainId,
    startBlock,
    startBlockHash,
    addresses,
  }: Pick<Deployment, 'chainId' | 'startBlock' | 'startBlockHash'> & { addresses: object },
): Promise<Deployment> {
  const known = deploymentSchema.shape.addresses.parse(addresses)
  const codeHashes: Partial<Record<ContractName, string>> = {}
  for (const name of CONTRACTS) {
    const address = known[name]
    if (address !== undefined) codeHashes[name] = keccak256(await readCode(provider, address))
  }
  const deployment = deploymentSchema.parse({
    version: 1,
    chainId,
    addresses: known,
    codeHashes,
    startBlock,
    startBlockHash,
  })
  await writeJson(dataPaths(dataDir).deployment, deployment)
  return deployment
}

async function readExisting(dataDir: string): Promise<Deployment | undefined> {
  try {
    return await readDeployment(dataDir)
  } catch (error) {
    if (isMultiverseError(error, 'NO_DEPLOYMENT')) return undefined
    throw error
  }
}
