import type { Address } from 'viem'
import type { Stores } from './books.ts'
import type { Log } from './log.ts'
import type { AnswerStore } from './store/answers.ts'
import { type ChainListener, type ChainStore, createChainStore } from './store/chain.ts'
import type { Database } from './store/database.ts'
import { createFlowStore, type FlowStore } from './store/flows.ts'
import type { PartitionStore } from './store/partitions.ts'
import { rivalListener } from './store/rivals.ts'
import type { TxStore } from './store/txs.ts'

/** Where the keeper writes down what it is about to do and what it did. */
export type Books = {
  chain: ChainStore
  partitions: PartitionStore
  answers: AnswerStore
  txs: TxStore
}

export type KeepingOptions = {
  db: Database
  stores: Stores
  chainId: number
  multiverse: Address
  confirmations: number
  /** Stands between the keeper and its books. */
  through: ((books: Books) => Books) | undefined
  log: Log
}

/** The books of a keeper that follows a chain: what a block says reaches all of them in one transaction. */
export function keepBooks(options: KeepingOptions): Books & { flows: FlowStore } {
  const { db, stores, chainId, multiverse, confirmations, log, through } = options
  const { journal, queue, duties, redemptions, partitions, answers, txs } = stores
  const rivals = rivalListener({ chainId, multiverse })
  const flows = createFlowStore(db, { chainId, multiverse, confirmations })
  const listener: ChainListener = async (tx, change) => [
    ...(await flows.listener(tx, change)),
    ...(await duties.listener(tx, change)),
    ...(await redemptions.listener(tx, change)),
    ...(await rivals(tx, change)),
  ]
  const chain = createChainStore({
    db,
    queue,
    journal,
    chainId,
    multiverse,
    confirmations,
    listener,
    log,
  })
  const books = { chain, partitions, answers, txs }
  return { ...(through?.(books) ?? books), flows }
}
