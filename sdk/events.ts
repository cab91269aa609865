import {
  type ContractEventName,
  type Log,
  parseEventLogs,
  type ParseEventLogsReturnType,
} from 'viem'
import { multiverseAbi, worldsAbi } from './abi.ts'

/** A decoded log of the ledger; narrow it on `eventName`. */
export type MultiverseLog = ParseEventLogsReturnType<
  typeof multiverseAbi,
  ContractEventName<typeof multiverseAbi>,
  true
>[number]

/** A decoded log of the keepers' notebook; narrow it on `eventName`. */
export type WorldsLog = ParseEventLogsReturnType<
  typeof worldsAbi,
  ContractEventName<typeof worldsAbi>,
  true
>[number]

/** The ledger's logs among `logs`, decoded; logs of other contracts must be filtered out before. */
export function multiverseLogs(logs: readonly Log[]): MultiverseLog[] {
  return parseEventLogs({ abi: multiverseAbi, logs: [...logs] })
}

/** The notebook's logs among `logs`, decoded. */
export function worldsLogs(logs: readonly Log[]): WorldsLog[] {
  return parseEventLogs({ abi: worldsAbi, logs: [...logs] })
}
