import type { Address, Hex } from 'viem'
import { getContractEvents } from 'viem/actions'
import { multiverseAbi, worldsAbi } from '../sdk/abi.ts'
import { contractError, getLive, type ReadClient } from '../sdk/actions.ts'
import type { Deployment } from '../sdk/deployment.ts'
import type { Path } from '../sdk/ids.ts'

/** A deployment and the way to read it. */
export type Ledger = { client: ReadClient; deployment: Deployment }

/** Whether every answer of the path is still possible. @throws UNKNOWN_QUESTION */
export async function isPossible({ client, deployment }: Ledger, path: Path): Promise<boolean> {
  const { multiverse } = deployment.addresses
  const possible = await Promise.all(
    path.map(async ({ question, outcome }) => {
      const live = await getLive(client, { multiverse, question })
      return ((live >> BigInt(outcome)) & 1n) === 1n
    }),
  )
  return possible.every(Boolean)
}

/** Every answer to the question on the chain: one, or none yet. */
export async function resolutions({ client, deployment }: Ledger, question: Hex) {
  try {
    return await getContractEvents(client, {
      address: deployment.addresses.multiverse,
      abi: multiverseAbi,
      eventName: 'QuestionResolved',
      args: { question },
      fromBlock: BigInt(deployment.startBlock),
      strict: true,
    })
  } catch (error) {
    throw contractError(error)
  }
}

/** Every report of the partition by the keeper on the chain: one, or none yet. */
export async function reports(
  { client, deployment }: Ledger,
  key: { keeper: Address; parent: Hex; question: Hex },
) {
  try {
    return await getContractEvents(client, {
      address: deployment.addresses.worlds,
      abi: worldsAbi,
      eventName: 'PartitionReported',
      args: key,
      fromBlock: BigInt(deployment.startBlock),
      strict: true,
    })
  } catch (error) {
    throw contractError(error)
  }
}
