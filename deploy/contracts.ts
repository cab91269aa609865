import { type Address, concat, encodeAbiParameters, type Hex } from 'viem'
import type { ContractName } from '../sdk/deployment.ts'
import { type Artifact, readArtifact } from './artifacts.ts'
import { create2Address } from './proxy.ts'
import { SOURCES } from './sources.ts'

/** A contract as it is to stand on any chain. */
export type PlannedContract = {
  key: ContractName
  /** As the sources call it. */
  name: string
  artifact: Artifact
  constructorArgs: readonly (string | number)[]
  initCode: Hex
  address: Address
}

/** What a deployment may have beyond the ledger, the notebook and the lens. */
export type Extras = { withToken: boolean; withOracles: boolean }

/** Contracts that are made for one ledger and name nothing else. */
const ABOUT_LEDGER = [
  ['worlds', 'Worlds'],
  ['lens', 'MultiverseLens'],
] as const
/** So do these: feeds, committees and questions elsewhere stand in each question's terms. */
const ORACLES = [
  ['optimisticOracle', 'OptimisticOracle'],
  ['committeeOracle', 'CommitteeOracle'],
  ['realityOracle', 'RealityOracle'],
  ['priceOracle', 'PriceOracle'],
] as const

/**
 * The contracts of a deployment, each after those it names. Their addresses follow from their init code alone.
 * @throws NOT_COMPILED
 */
export async function plannedContracts({
  withToken,
  withOracles,
}: Extras): Promise<PlannedContract[]> {
  const multiverse = await plan('multiverse', 'Multiverse', [])
  const ledger = { type: 'address', value: multiverse.address }
  const contracts = [multiverse]
  for (const [key, name] of [...ABOUT_LEDGER, ...(withOracles ? ORACLES : [])])
    contracts.push(await plan(key, name, [ledger]))
  if (withToken)
    contracts.push(
      await plan('token', 'TestToken', [
        { type: 'string', value: 'Multiverse Dollar' },
        { type: 'string', value: 'mUSD' },
        { type: 'uint8', value: 18 },
      ]),
    )
  return contracts
}

/** Whether a contract's one constructor argument is the ledger. */
export function isAboutLedger({ key }: PlannedContract): boolean {
  return [...ABOUT_LEDGER, ...ORACLES].some(([name]) => name === key)
}

type Argument = { type: string; value: string | number }

async function plan(
  key: ContractName,
  name: keyof typeof SOURCES,
  args: readonly Argument[],
): Promise<PlannedContract> {
  const artifact = await readArtifact(SOURCES[name], name)
  const constructorArgs = args.map(({ value }) => value)
  const encoded = encodeAbiParameters(
    args.map(({ type }) => ({ type })),
    constructorArgs,
  )
  const initCode = concat([artifact.bytecode, encoded])
  return { key, name, artifact, constructorArgs, initCode, address: create2Address(initCode) }
}
