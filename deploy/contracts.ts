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

/**
 * The contracts of a deployment, each after those it names. Their addresses follow from their init code alone.
 * @throws NOT_COMPILED
 */
export async function plannedContracts(withToken: boolean): Promise<PlannedContract[]> {
  const multiverse = await plan('multiverse', 'Multiverse', [])
  const ledger = { type: 'address', value: multiverse.address }
  const worlds = await plan('worlds', 'Worlds', [ledger])
  const lens = await plan('lens', 'MultiverseLens', [ledger])
  if (!withToken) return [multiverse, worlds, lens]
  const token = await plan('token', 'TestToken', [
    { type: 'string', value: 'Multiverse Dollar' },
    { type: 'string', value: 'mUSD' },
    { type: 'uint8', value: 18 },
  ])
  return [multiverse, worlds, lens, token]
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
