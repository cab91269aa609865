import { type Address, type Client, type Hex, hexToBytes, size, zeroAddress } from 'viem'
import {
  estimateGas,
  estimateMaxPriorityFeePerGas,
  getBalance,
  getBlock,
  getGasPrice,
} from 'viem/actions'
import { isCodeOf } from './artifacts.ts'
import { isAboutLedger, type PlannedContract } from './contracts.ts'
import { answered, type Provider, readChainId, readCode } from './identity.ts'
import { create2Calldata, PROXY_ADDRESS, PROXY_CREATION } from './proxy.ts'
import { MultiverseError } from '../sdk/errors.ts'

/** What a unit of gas costs, in wei. `price` is the present price, `limit` what may be paid at most. */
export type Fees =
  | { kind: 'eip1559'; price: bigint; limit: bigint; tip: bigint }
  | { kind: 'legacy'; price: bigint; limit: bigint }

/** One transaction of a deployment, or what stands already. */
export type PlannedStep = {
  name: string
  address: Address
  stands: boolean
  /** Estimated; 0 when it stands. */
  gas: bigint
  /** Wei that go along. */
  value: bigint
}

/** What deploying would do and cost. Amounts in wei. */
export type DeployPlan = {
  chainId: number
  deployer: Address | null
  /** Null without a deployer. */
  balance: bigint | null
  steps: PlannedStep[]
  gas: bigint
  fees: Fees
  /** At the present price. */
  cost: bigint
  /** At the highest price that would be paid. */
  maxCost: bigint
}

/** The chain as its price goes: legacy where blocks have no base fee. @throws RPC_FAILED */
export async function readFees(client: Client): Promise<Fees> {
  const { baseFeePerGas } = await answered('eth_getBlockByNumber', () => getBlock(client))
  if (baseFeePerGas === null) {
    const price = await answered('eth_gasPrice', () => getGasPrice(client))
    return { kind: 'legacy', price, limit: price }
  }
  const tip = await answered('eth_maxPriorityFeePerGas', () => estimateMaxPriorityFeePerGas(client))
  // Enough for six full blocks in a row, each of which raises the base fee by an eighth.
  return { kind: 'eip1559', price: baseFeePerGas + tip, limit: baseFeePerGas * 2n + tip, tip }
}

/**
 * Reads what stands and works out what the rest costs. Sends nothing.
 * @throws OTHER_CODE when something else is at a contract's address, RPC_FAILED
 */
export async function planDeployment(
  client: Client,
  contracts: readonly PlannedContract[],
  deployer: Address | null,
): Promise<DeployPlan> {
  const provider = client as Provider
  const [chainId, fees, hasProxy] = await Promise.all([
    readChainId(provider),
    readFees(client),
    readCode(provider, PROXY_ADDRESS).then((code) => code !== '0x'),
  ])
  const steps = hasProxy ? [] : await proxySteps(client)
  for (const contract of contracts) {
    const stands = await contractStands(provider, contract)
    const hasLedger = !isAboutLedger(contract) || steps.some(isStandingLedger)
    const gas = stands
      ? 0n
      : hasLedger
        ? await gasOf(client, contract.initCode, deployer, hasProxy)
        : creationGas(contract)
    steps.push({ name: contract.name, address: contract.address, stands, gas, value: 0n })
  }
  const balance =
    deployer === null
      ? null
      : await answered('eth_getBalance', () => getBalance(client, { address: deployer }))
  const gas = steps.reduce((sum, step) => sum + step.gas, 0n)
  const value = steps.reduce((sum, step) => sum + step.value, 0n)
  return {
    chainId,
    deployer,
    balance,
    steps,
    gas,
    fees,
    cost: gas * fees.price + value,
    maxCost: gas * fees.limit + value,
  }
}

function isStandingLedger({ name, stands }: PlannedStep): boolean {
  return name === 'Multiverse' && stands
}

/** @throws OTHER_CODE when it is not this build's contract that stands there */
export async function contractStands(
  provider: Provider,
  { artifact, name, address }: PlannedContract,
): Promise<boolean> {
  const code = await readCode(provider, address)
  if (code === '0x') return false
  if (isCodeOf(artifact, code)) return true
  throw new MultiverseError('OTHER_CODE', `the code at ${address} is not that of ${name}`)
}

/** The proxy pays for its own creation, from an account that must be given the money first. */
async function proxySteps(client: Client): Promise<PlannedStep[]> {
  const { sender, cost } = PROXY_CREATION
  const has = await answered('eth_getBalance', () => getBalance(client, { address: sender }))
  const value = has < cost ? cost - has : 0n
  return [
    {
      name: 'deterministic deployment proxy',
      address: PROXY_ADDRESS,
      stands: false,
      gas: value > 0n ? 21_000n : 0n,
      value,
    },
  ]
}

/**
 * What creating a contract takes that would refuse to be created now, because the ledger it is about is to come first. Its
 * constructor does next to nothing, so its size decides.
 */
function creationGas({ initCode, artifact }: PlannedContract): bigint {
  const data = hexToBytes(create2Calldata(initCode))
  const calldata = data.reduce((sum, byte) => sum + (byte === 0 ? 4n : 16n), 0n)
  const words = BigInt(Math.ceil(size(initCode) / 32))
  return 66_000n + calldata + words * 10n + BigInt(size(artifact.deployedBytecode)) * 200n
}

async function gasOf(
  client: Client,
  initCode: Hex,
  deployer: Address | null,
  hasProxy: boolean,
): Promise<bigint> {
  const account = deployer ?? zeroAddress
  if (hasProxy)
    return answered('eth_estimateGas', () =>
      estimateGas(client, { account, to: PROXY_ADDRESS, data: create2Calldata(initCode) }),
    )
  // Without the proxy to ask, what creating it directly takes, and what copying and hashing it add.
  const direct = await answered('eth_estimateGas', () =>
    estimateGas(client, { account, data: initCode }),
  )
  return direct + BigInt(Math.ceil(size(initCode) / 32)) * 12n + 10_000n
}
