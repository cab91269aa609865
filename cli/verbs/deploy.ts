import { createInterface } from 'node:readline/promises'
import { formatEther, formatGwei } from 'viem'
import { isAboutLedger, type PlannedContract, plannedContracts } from '../../deploy/contracts.ts'
import { deploy, differingContracts } from '../../deploy/deploy.ts'
import type { Provider } from '../../deploy/identity.ts'
import { type DeployPlan, planDeployment } from '../../deploy/plan.ts'
import { type SourceVerification, verifySources } from '../../deploy/verify.ts'
import type { Deployment } from '../../sdk/deployment.ts'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import type { DeployOutput, DeployPlanOutput } from '../../sdk/networkOutput.ts'
import { isLocalChain, type Network } from '../../sdk/networks.ts'
import { openKeyring } from '../context.ts'
import { usageError } from '../errors.ts'
import {
  chooseNetwork,
  type ChosenNetwork,
  createNetworkClient,
  type NetworkOptions,
} from '../network.ts'
import { type Progress, type Result, table } from '../output.ts'
import { openFolder } from '../stack/folder.ts'
import { type ChosenWallet, chooseWallet } from '../wallets.ts'

export type DeployVerbOptions = NetworkOptions & {
  dryRun?: boolean
  yes?: boolean
  verify?: boolean
  token?: boolean
  oracles?: boolean
  confirmations?: number
  startBlock?: number
}

const ORACLE_NAMES = [
  ['optimisticOracle', 'OptimisticOracle'],
  ['committeeOracle', 'CommitteeOracle'],
  ['realityOracle', 'RealityOracle'],
  ['priceOracle', 'PriceOracle'],
] as const

type Deps = { progress: Progress; signal: AbortSignal }

/**
 * Makes the contracts stand on a chain of the user's choice and records them in a data folder. What it will do and cost is
 * shown before, and on any but a local chain asked about.
 */
export async function deployVerb(
  options: DeployVerbOptions,
  deps: Deps,
): Promise<Result<DeployOutput | DeployPlanOutput>> {
  const { progress } = deps
  const chosen = await chooseNetwork(options)
  const { network, rpcUrl, dataDir } = chosen
  const client = createNetworkClient(rpcUrl)
  const extras = { withToken: options.token === true, withOracles: options.oracles !== false }
  const contracts = await plannedContracts(extras)
  progress.begin(`asking ${network.title} what stands and what the rest costs`)
  const wallet = await chooseDeployer(options, network)
  const plan = await planDeployment(client, contracts, (await wallet?.address()) ?? null)
  const planned = { network: network.name, ...jsonOfPlan(plan) }
  if (options.dryRun === true)
    return {
      json: { dryRun: true, dataDir, ...planned },
      text: `${describePlan(plan, network)}\nnothing was sent (--dry-run)`,
    }
  for (const line of describePlan(plan, network).split('\n')) progress.say(line)
  const lock = await openFolder(dataDir)
  let deployment: Deployment
  try {
    const isMissing = plan.steps.some(({ stands }) => !stands)
    if (isMissing) {
      requireFunds(plan)
      await requireConsent(options, plan, network)
    }
    deployment = await deploy({
      client,
      account: isMissing && wallet !== null ? await wallet.open() : null,
      dataDir,
      ...extras,
      confirmations: options.confirmations,
      startBlock: options.startBlock,
      fees: plan.fees,
      signal: deps.signal,
      say: progress.say,
    })
    await requireThisBuild(client as Provider, deployment, dataDir)
  } finally {
    await lock.release()
  }
  const verifications =
    options.verify === true ? await verify(chosen, deployment, contracts, deps) : undefined
  return {
    json: {
      dataDir,
      ...planned,
      deployment,
      ...(verifications && { verifications: verifications.map((each) => ({ ...each, ok: true })) }),
    },
    text: describeDeployment(deployment, chosen, verifications ?? []),
  }
}

/** Who pays; null for nobody, which is enough to look and to record what stands. */
async function chooseDeployer(
  options: DeployVerbOptions,
  { chainId }: Network,
): Promise<ChosenWallet | null> {
  try {
    return await chooseWallet(openKeyring(options), options.as, isLocalChain(chainId))
  } catch (error) {
    if (isMultiverseError(error, 'NO_WALLET')) return null
    throw error
  }
}

/** Source verification comes last: what it does not achieve leaves the deployment as it is. @throws VERIFY_FAILED */
async function verify(
  { network, rpcUrl }: ChosenNetwork,
  deployment: Deployment,
  contracts: readonly PlannedContract[],
  { progress, signal }: Deps,
): Promise<SourceVerification[]> {
  progress.say(`contracts stand on ${network.title}; verifying their sources`)
  const onRecord = contracts.flatMap((contract) => {
    const address = deployment.addresses[contract.key]
    if (address === undefined) return []
    // As it was created: an older record's ledger may stand elsewhere.
    const { multiverse } = deployment.addresses
    const constructorArgs = isAboutLedger(contract) ? [multiverse] : contract.constructorArgs
    return [{ ...contract, address, constructorArgs }]
  })
  const done = await verifySources({
    network,
    rpcUrl,
    contracts: onRecord,
    signal,
    say: progress.say,
  })
  const failed = done.filter(({ ok }) => !ok)
  if (failed.length > 0)
    throw new MultiverseError(
      'VERIFY_FAILED',
      `${failed.map(({ service, contract, message }) => `${contract} on ${service}: ${message}`).join('; ')}: the deployment stands, and the same command tries again`,
    )
  return done
}

/** @throws NO_WALLET, INSUFFICIENT_FUNDS */
function requireFunds({ deployer, balance, maxCost }: DeployPlan): void {
  if (balance === null)
    throw new MultiverseError(
      'NO_WALLET',
      'somebody must pay for it: make a wallet with `multiverse wallet new NAME`, give it money and name it with --as',
    )
  if (balance >= maxCost) return
  throw new MultiverseError(
    'INSUFFICIENT_FUNDS',
    `${deployer} has ${formatEther(balance)} ETH and may need up to ${formatEther(maxCost)}: send it the difference`,
  )
}

/** @throws USAGE when there is nobody to ask, DECLINED */
async function requireConsent(
  { yes }: DeployVerbOptions,
  { maxCost }: DeployPlan,
  network: Network,
): Promise<void> {
  if (yes === true || isLocalChain(network.chainId)) return
  if (!process.stdin.isTTY)
    throw usageError(`this costs money on ${network.title}: look at --dry-run, then give --yes`)
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await terminal.question(
      `Deploy to ${network.title} for at most ${formatEther(maxCost)} ETH? [y/N] `,
    )
    if (!/^y(es)?$/i.test(answer.trim()))
      throw new MultiverseError('DECLINED', 'nothing was sent, as you wished')
  } finally {
    terminal.close()
  }
}

/** @throws OTHER_BUILD when the folder's contracts were built from other sources than these */
async function requireThisBuild(provider: Provider, deployment: Deployment, dataDir: string) {
  const differing = await differingContracts(provider, deployment)
  if (differing.length > 0)
    throw new MultiverseError(
      'OTHER_BUILD',
      `${dataDir} has a deployment of other sources (${differing.join(', ')}): deploy this build into another folder with --data`,
    )
}

function jsonOfPlan({ chainId, deployer, balance, steps, gas, fees, cost, maxCost }: DeployPlan) {
  return {
    chainId,
    deployer,
    balance: balance === null ? null : `${balance}`,
    contracts: steps.map((step) => ({ ...step, gas: `${step.gas}`, value: `${step.value}` })),
    gas: `${gas}`,
    gasPrice: `${fees.price}`,
    maxGasPrice: `${fees.limit}`,
    cost: `${cost}`,
    maxCost: `${maxCost}`,
  }
}

function describePlan(plan: DeployPlan, network: Network): string {
  const { chainId, deployer, balance, steps, gas, fees, cost, maxCost } = plan
  return [
    `${network.title}, chain ${chainId}: ${network.confirmations} confirmations, a block every ${network.blockTimeMs / 1000} s or so`,
    deployer === null
      ? 'deployer: no wallet chosen'
      : `deployer ${deployer} has ${formatEther(balance ?? 0n)} ETH`,
    table(
      steps.map(({ name, address, stands, gas: each }) => [
        name,
        address,
        stands ? 'stands' : 'to be created',
        stands ? '' : `${each} gas`,
      ]),
    ),
    gas === 0n && cost === 0n
      ? 'nothing to pay for'
      : `${gas} gas: ${formatEther(cost)} ETH at ${formatGwei(fees.price)} gwei now, at most ${formatEther(maxCost)} ETH at ${formatGwei(fees.limit)} gwei`,
  ].join('\n')
}

function describeDeployment(
  { addresses, startBlock }: Deployment,
  { network, dataDir }: ChosenNetwork,
  verifications: readonly SourceVerification[],
): string {
  const at = (address: string) =>
    network.explorerUrl === null ? address : `${address}  ${network.explorerUrl}/address/${address}`
  return [
    table([
      ['Multiverse', at(addresses.multiverse)],
      ['Worlds', at(addresses.worlds)],
      ...ORACLE_NAMES.flatMap(([key, name]) => {
        const address = addresses[key]
        return address === undefined ? [] : [[name, at(address)]]
      }),
      ...(addresses.token === undefined ? [] : [['mUSD', at(addresses.token)]]),
      ['from block', `${startBlock}`],
      ['data', dataDir],
    ]),
    ...verifications.map(
      ({ service, contract, message }) => `${contract} on ${service}: ${message}`,
    ),
    '',
    `Next: npm run multiverse -- run --data ${dataDir}`,
  ].join('\n')
}
