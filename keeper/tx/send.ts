import {
  type Abi,
  type Account,
  type Address,
  BaseError,
  encodeFunctionData,
  type Hex,
  keccak256,
  type LocalAccount,
  TransactionReceiptNotFoundError,
} from 'viem'
import { estimateContractGas } from 'viem/actions'
import { contractError } from '../../sdk/actions.ts'
import { MultiverseError, oneLine } from '../../sdk/errors.ts'
import { type Rpc, rpcError } from '../chain/rpc.ts'
import type { Log } from '../log.ts'
import type { TxEnd, TxRecord, TxStore } from '../store/txs.ts'
import { createPause } from '../time.ts'
import { feesFor, gasLimit } from './fees.ts'

/** A contract call to be made. `abi` holds every error it may revert with. */
export type Call = { to: Address; abi: Abi; functionName: string; args: readonly unknown[] }

/** Where a call was mined. */
export type Mined = { tx: Hex; block: number }

/** Makes calls exactly once each. */
export type Sender = {
  address: Address
  /**
   * Makes the call that `purpose` stands for, once and for all: whatever was signed for it before is sent again rather
   * than signed anew, and one that was mined is not repeated.
   * @throws the contract's own codes when it would revert; RPC_FAILED, TX_PENDING (both retryable)
   */
  perform(purpose: string, call: Call): Promise<Mined>
  /** The call that was mined for a purpose before, if one was. */
  performed(purpose: string): Promise<Mined | null>
  /** Sends again all that is signed and in no block. */
  rebroadcast(): Promise<void>
  stop(): void
}

export type SenderOptions = {
  rpc: Rpc
  txs: TxStore
  account: LocalAccount
  chainId: number
  pollMs: number
  onSettled(state: 'mined' | 'reverted' | 'dropped'): void
  log: Log
}

/** A transaction that is not mined by then is left to come back to, milliseconds. */
const PATIENCE_MS = 30_000
const KNOWN = /already known|already imported|known transaction/i
const NONCE_USED = /nonce too low|nonce is too low|nonce has already been used|oldnonce/i
/** A call that passed its simulation and reverted all the same is tried so often. */
const MAX_ATTEMPTS = 3

/** Signs, stores, sends and waits, with one account. */
export function createSender(options: SenderOptions): Sender {
  const { rpc, txs, account, chainId, pollMs, log } = options
  /** What the chain said the account's nonce is, asked once and after every surprise. */
  let floor: number | null = null
  let isStopped = false

  async function sign(purpose: string, call: Call): Promise<TxRecord> {
    const estimate = await estimateContractGas(rpc, {
      account: account as Account,
      address: call.to,
      abi: call.abi,
      functionName: call.functionName,
      args: call.args,
    }).catch((error: unknown) => {
      throw contractError(error)
    })
    const [block, tip] = await Promise.all([
      rpc.getBlock(),
      rpc.estimateMaxPriorityFeePerGas(),
    ]).catch(reject)
    floor ??= await rpc
      .getTransactionCount({ address: account.address, blockTag: 'pending' })
      .catch(reject)
    const request = {
      type: 'eip1559' as const,
      chainId,
      to: call.to,
      data: encodeFunctionData({
        abi: call.abi,
        functionName: call.functionName,
        args: call.args,
      }),
      gas: gasLimit(estimate),
      ...feesFor(block.baseFeePerGas ?? 0n, tip),
    }
    const signing = {
      sender: account.address,
      purposes: [purpose],
      kind: 'call' as const,
      headBlock: Number(block.number),
    }
    const tx = await txs.sign(signing, floor, async (nonce) => {
      const raw = await account.signTransaction({ ...request, nonce })
      return { raw, hash: keccak256(raw), cost: request.gas * request.maxFeePerGas }
    })
    log.info({ purposes: tx.purposes, tx: tx.hash, nonce: tx.nonce }, 'tx.signed')
    return tx
  }

  /** Sends it; says whether it can still be mined as far as the node's answer tells. */
  async function broadcast({ raw, hash }: TxRecord): Promise<'sent' | 'nonce-used'> {
    try {
      await rpc.sendRawTransaction({ serializedTransaction: raw })
      return 'sent'
    } catch (error) {
      const details = error instanceof BaseError ? error.details : oneLine(error)
      if (KNOWN.test(details)) return 'sent'
      if (NONCE_USED.test(details)) return 'nonce-used'
      log.warn({ tx: hash, error: details.split('\n', 1)[0] }, 'tx.refused')
      throw rpcError(error)
    }
  }

  async function receiptOf({
    hash,
  }: TxRecord): Promise<Exclude<TxEnd, { state: 'dropped' }> | null> {
    try {
      const receipt = await rpc.getTransactionReceipt({ hash })
      return {
        state: receipt.status === 'success' ? 'mined' : 'reverted',
        block: Number(receipt.blockNumber),
        blockHash: receipt.blockHash,
        cost: receipt.gasUsed * receipt.effectiveGasPrice,
      }
    } catch (error) {
      if (error instanceof TransactionReceiptNotFoundError) return null
      throw rpcError(error)
    }
  }

  async function settle(tx: TxRecord, end: TxEnd): Promise<boolean> {
    if (!(await txs.settle(tx, end))) return false
    options.onSettled(end.state)
    log.info({ purposes: tx.purposes, tx: tx.hash, ...end }, `tx.${end.state}`)
    return true
  }

  /** Whether a transaction whose nonce is used up was used up by another: then it can never be mined. */
  async function isDropped(tx: TxRecord): Promise<boolean> {
    const used = await rpc.getTransactionCount({ address: account.address }).catch(reject)
    if (used <= tx.nonce || (await receiptOf(tx))) return false
    floor = used
    return settle(tx, { state: 'dropped' })
  }

  /** Waits until it is mined, or reverted, or dropped. */
  async function follow(tx: TxRecord): Promise<TxEnd> {
    const pause = createPause()
    const deadline = Date.now() + PATIENCE_MS
    const answer = await broadcast(tx)
    for (let waitMs = 2; ; waitMs = Math.min(pollMs, waitMs * 2)) {
      const end = await receiptOf(tx)
      if (end && (await settle(tx, end))) return end
      if (!end && answer === 'nonce-used' && (await isDropped(tx))) return { state: 'dropped' }
      if (isStopped || Date.now() > deadline)
        throw new MultiverseError('TX_PENDING', `transaction ${tx.hash} is not mined yet`, {
          isRetryable: true,
        })
      await pause.wait(waitMs)
    }
  }

  return {
    address: account.address,
    async performed(purpose) {
      const tx = await txs.latest(purpose)
      if (tx?.state === 'mined') return { tx: tx.hash, block: tx.block! }
      // It may have been sent just before the process was killed.
      const end = tx?.state === 'signed' ? await receiptOf(tx) : null
      if (!tx || end?.state !== 'mined' || !(await settle(tx, end))) return null
      return { tx: tx.hash, block: end.block }
    },
    async perform(purpose, call) {
      for (let attempt = 1; ; attempt++) {
        const latest = await txs.latest(purpose)
        if (latest?.state === 'mined') return { tx: latest.hash, block: latest.block! }
        const tx = latest?.state === 'signed' ? latest : await sign(purpose, call)
        const end = await follow(tx)
        if (end.state === 'mined') return { tx: tx.hash, block: end.block }
        if (end.state === 'reverted' && attempt >= MAX_ATTEMPTS)
          throw new MultiverseError('TX_REVERTED', `transaction ${tx.hash} reverted`)
      }
    },
    async rebroadcast() {
      for (const tx of await txs.pending(account.address)) {
        if (isStopped) return
        const end = await receiptOf(tx)
        if (end) await settle(tx, end)
        else if ((await broadcast(tx)) === 'nonce-used') await isDropped(tx)
      }
    },
    stop() {
      isStopped = true
    },
  }
}

function reject(error: unknown): never {
  throw rpcError(error)
}
