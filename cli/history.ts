import type { AbiEvent } from 'viem'
import { getBlock, getLogs } from 'viem/actions'
import { multiverseAbi, worldsAbi } from '../sdk/abi.ts'
import { contractError } from '../sdk/actions.ts'
import { type MultiverseLog, multiverseLogs, type WorldsLog, worldsLogs } from '../sdk/events.ts'
import type { Ledger } from './ledger.ts'

/** A decoded log of the ledger or of the keepers' notebook; narrow it on `eventName`. */
export type HistoryLog = MultiverseLog | WorldsLog

const events: AbiEvent[] = [...multiverseAbi, ...worldsAbi].filter((item) => item.type === 'event')

/** What shapes the multiverse: everything but transfers between owners, allowances and where specs are. */
const SHAPING = [
  'QuestionAsked',
  'QuestionNarrowed',
  'QuestionResolved',
  'PushDown',
  'PullUp',
  'PartitionReported',
  'ProbabilitiesUpdated',
] as const satisfies HistoryLog['eventName'][]
export type ShapingLog = Extract<HistoryLog, { eventName: (typeof SHAPING)[number] }>

/** Everything that shaped the multiverse up to one block, in order. */
export type History = { block: bigint; timestamp: bigint; logs: ShapingLog[] }

/** What there is up to the latest block. @throws RPC_FAILED */
export async function readHistory(ledger: Ledger): Promise<History> {
  try {
    const { number, timestamp } = await getBlock(ledger.client)
    const range = { from: BigInt(ledger.deployment.startBlock), to: number }
    const logs = await readLogs(ledger, range, SHAPING)
    return { block: number, timestamp, logs: logs.filter(isShaping) }
  } catch (error) {
    throw contractError(error)
  }
}

function isShaping(log: HistoryLog): log is ShapingLog {
  return SHAPING.some((name) => name === log.eventName)
}

/** The logs of both contracts in a range of blocks, in order; only those with one of the names, when given. */
export async function readLogs(
  { client, deployment }: Ledger,
  { from, to }: { from: bigint; to: bigint },
  names?: readonly string[],
): Promise<HistoryLog[]> {
  const { multiverse, worlds } = deployment.addresses
  const logs = await getLogs(client, {
    address: [multiverse, worlds],
    events: events.filter(({ name }) => names?.includes(name) ?? true),
    fromBlock: from,
    toBlock: to,
  })
  const of = (address: string) =>
    logs.filter((log) => log.address.toLowerCase() === address.toLowerCase())
  return [...multiverseLogs(of(multiverse)), ...worldsLogs(of(worlds))].toSorted(
    (a, b) => Number(a.blockNumber - b.blockNumber) || a.logIndex - b.logIndex,
  )
}
