import {
  type Address,
  BaseError,
  formatEther,
  type Hex,
  parseTransaction,
  type TransactionReceipt,
  TransactionReceiptNotFoundError,
} from 'viem'
import { MultiverseError, oneLine } from '../../sdk/errors.ts'
import { type Rpc, rpcError } from '../chain/rpc.ts'
import type { TxEnd, TxRecord } from '../store/txs.ts'
import type { Market } from './fees.ts'

/**
 * What a node says of a transaction it was given: `sent` may be mined; `nonceUsed` never will; `underpriced` will not with
 * these fees.
 */
export type Acceptance = 'sent' | 'nonceUsed' | 'underpriced'

/** How the node knows the account: nonces in blocks, and with the pool's. */
export type Counts = { mined: number; pooled: number }

/** What is asked of a node about an account's transactions. All throw RPC_FAILED (retryable). */
export type Wire = {
  /** @throws INSUFFICIENT_FUNDS (retryable) as well */
  broadcast(tx: TxRecord): Promise<Acceptance>
  /** Where it was mined; null when it is in no block. */
  endOf(tx: TxRecord): Promise<Extract<TxEnd, { block: number }> | null>
  counts(): Promise<Counts>
  market(): Promise<Market & { headBlock: number }>
  /** Wei. */
  balance(): Promise<bigint>
}

// Nodes have no common codes for these. geth, Nethermind, Besu, Erigon, reth and anvil were looked at.
const KNOWN = /already known|already imported|known transaction|alreadyknown/i
const NONCE_USED = /nonce too low|nonce is too low|nonce has already been used|oldnonce/i
const UNDERPRICED =
  /underpriced|fee too low|feetoolow|less than block base fee|max fee per gas|gas price below/i
const NO_FUNDS = /insufficient funds|insufficientfunds|insufficient balance|lackfundformaxfee/i

export function createWire(rpc: Rpc, account: Address): Wire {
  return {
    async broadcast({ raw }) {
      try {
        await rpc.sendRawTransaction({ serializedTransaction: raw })
        return 'sent'
      } catch (error) {
        const details = error instanceof BaseError ? error.details : oneLine(error)
        if (KNOWN.test(details)) return 'sent'
        if (NONCE_USED.test(details)) return 'nonceUsed'
        if (UNDERPRICED.test(details)) return 'underpriced'
        if (NO_FUNDS.test(details)) throw insufficientFunds(account, details)
        throw rpcError(error)
      }
    },
    async endOf({ hash, raw }) {
      try {
        const receipt = await rpc.getTransactionReceipt({ hash })
        const isMined = receipt.status === 'success'
        const sent = isMined ? (parseTransaction(raw).value ?? 0n) : 0n
        return {
          state: isMined ? 'mined' : 'reverted',
          block: Number(receipt.blockNumber),
          blockHash: receipt.blockHash,
          cost: costOf(receipt) + sent,
        }
      } catch (error) {
        if (error instanceof TransactionReceiptNotFoundError) return null
        throw rpcError(error)
      }
    },
    async counts() {
      const [mined, pooled] = await Promise.all([
        rpc.getTransactionCount({ address: account, blockTag: 'latest' }),
        rpc.getTransactionCount({ address: account, blockTag: 'pending' }),
      ]).catch(reject)
      // Not all nodes count their pool.
      return { mined, pooled: Math.max(mined, pooled) }
    },
    async market() {
      const [block, tip] = await Promise.all([
        rpc.getBlock(),
        rpc.estimateMaxPriorityFeePerGas(),
      ]).catch(reject)
      return { headBlock: Number(block.number), baseFee: block.baseFeePerGas ?? 0n, tip }
    },
    balance: () => rpc.getBalance({ address: account }).catch(reject),
  }
}

/** Wei that a mined transaction took as gas; on rollups with what its data cost on the chain below. */
function costOf(receipt: TransactionReceipt): bigint {
  const { l1Fee } = receipt as { l1Fee?: Hex | bigint | null }
  return receipt.gasUsed * receipt.effectiveGasPrice + BigInt(l1Fee ?? 0n)
}

function insufficientFunds(account: Address, details: string): MultiverseError {
  return new MultiverseError(
    'INSUFFICIENT_FUNDS',
    `${account} cannot pay for its transaction (${details.split('\n', 1)[0]}): send it ether`,
    { isRetryable: true },
  )
}

/** An amount of gwei as it is shown. */
export function gwei(wei: bigint): string {
  return `${formatEther(wei, 'gwei')} gwei`
}

function reject(error: unknown): never {
  throw rpcError(error)
}
