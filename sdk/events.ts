import {
  type ContractEventName,
  type Log,
  parseEventLogs,
  type ParseEventLogsReturnType,
} from 'viem'
import { multiverseAbi, optimisticOracleAbi, worldsAbi } from './abi.ts'

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

/** A decoded log of the optimistic oracle: each is about one question. */
export type GameLog = ParseEventLogsReturnType<
  typeof optimisticOracleAbi,
  ContractEventName<typeof optimisticOracleAbi>,
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

/** The optimistic oracle's logs among `logs`, decoded. */
export function gameLogs(logs: readonly Log[]): GameLog[] {
  return parseEventLogs({ abi: optimisticOracleAbi, logs: [...logs] })
}
