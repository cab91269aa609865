import type { Address, Hex } from 'viem'
import { getContractEvents } from 'viem/actions'
import { multiverseAbi, worldsAbi } from '../sdk/abi.ts'
import { contractError, getLive, type ReadClient } from '../sdk/actions.ts'
import type { Deployment } from '../sdk/deployment.ts'
import type { Path } from '../sdk/ids.ts'
import type { VerseState } from '../sdk/output.ts'

/** A deployment and the way to read it. */
export type Ledger = { client: ReadClient; deployment: Deployment }

/** What has become of the verse with this path. @throws UNKNOWN_QUESTION */
export async function verseState({ client, deployment }: Ledger, path: Path): Promise<VerseState> {
  const { multiverse } = deployment.addresses
  const masks = await Promise.all(
    path.map(async ({ question, outcome }) => ({
      live: await getLive(client, { multiverse, question }),
      own: 1n << BigInt(outcome),
    })),
  )
  return stateOf(masks)
}

/** What has become of a verse with such answers: `own` is each answer's bit, `live` those of its question still possible. */
export function stateOf(answers: readonly { live: bigint; own: bigint }[]): VerseState {
  if (answers.some(({ live, own }) => (live & own) === 0n)) return 'evaporated'
  return answers.every(({ live, own }) => live === own) ? 'came-true' : 'alive'
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
