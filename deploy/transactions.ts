import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Address,
  BaseError,
  type Client,
  type Hex,
  keccak256,
  type LocalAccount,
  RpcRequestError,
  type TransactionReceipt,
  TransactionReceiptNotFoundError,
} from 'viem'
import {
  estimateGas,
  getTransactionCount,
  getTransactionReceipt,
  sendRawTransaction,
} from 'viem/actions'
import { MultiverseError, oneLine } from '../sdk/errors.ts'
import { answered } from './identity.ts'
import type { Journal, SentTransaction } from './journal.ts'
import { type Fees, readFees } from './plan.ts'

type Deps = {
  client: Client
  account: LocalAccount
  chainId: number
  /** The highest price to offer: what the user was shown. */
  ceiling: Fees
  /** What was sent, written before it is sent. */
  journal: Journal
  pollMs: number
  /** Aborted when it is not to be waited for any longer. */
  signal: AbortSignal
  say: (line: string) => void
}

/** Gas beyond the estimate, in percent: what a state that changes meanwhile may take. */
const GAS_MARGIN = 10n
/** A node takes a replacement only when it pays this many percent more. */
const BUMP = 13n
/** How often a transaction that is in no block is offered again. */
const REBROADCAST_MS = 15_000
/** A transaction that took no effect for so long is left to the next run. */
const PATIENCE_MS = 15 * 60_000
/** How often a node may have counted a transaction without showing its receipt, which it may do some moments later. */
const UNSEEN_POLLS = 10

/**
 * Gives a function that has one transaction mined, whatever became of earlier runs: each is signed and written down before
 * it is sent, the same one is offered again after an interruption, and one whose price has fallen behind is replaced.
 * @throws DEPLOY_FAILED when it reverts or is refused, NOT_MINED when it takes too long, INTERRUPTED, RPC_FAILED
 */
export function createTransactions({
  client,
  account,
  chainId,
  ceiling,
  journal,
  pollMs,
  signal,
  say,
}: Deps) {
  const sign = async (step: string, call: Call, nonce: number, outbid?: SentTransaction) => {
    const fees = within(ceiling, await readFees(client))
    const gas =
      outbid?.gas ??
      withMargin(await answered('eth_estimateGas', () => estimateGas(client, { account, ...call })))
    const price = offered(fees, outbid)
    const raw = await account.signTransaction(
      price.kind === 'legacy'
        ? { ...call, type: 'legacy', chainId, nonce, gas, gasPrice: price.limit }
        : {
            ...call,
            type: 'eip1559',
            chainId,
            nonce,
            gas,
            maxFeePerGas: price.limit,
            maxPriorityFeePerGas: price.tip,
          },
    )
    const tip = price.kind === 'legacy' ? price.limit : price.tip
    const sent = { hash: keccak256(raw), raw, gas, limit: price.limit, tip }
    await journal.add(step, account.address, nonce, sent)
    return sent
  }

  /** Whether the node took it. What it already knows is taken. @throws RPC_FAILED when it did not answer */
  const offer = async (raw: Hex): Promise<string | null> => {
    try {
      await sendRawTransaction(client, { serializedTransaction: raw })
      return null
    } catch (error) {
      const refusal = error instanceof BaseError && error.walk((e) => e instanceof RpcRequestError)
      if (!(refusal instanceof RpcRequestError))
        throw new MultiverseError('RPC_FAILED', `eth_sendRawTransaction: ${oneLine(error)}`, {
          cause: error,
          isRetryable: true,
        })
      return refusal.details
    }
  }

  /** Whether the price has left it behind, and there is room below the ceiling to offer more. */
  const isOutpriced = async (last: SentTransaction) =>
    (await readFees(client)).price > last.limit && above(last.limit) <= ceiling.limit

  const receiptOf = async (sent: readonly SentTransaction[]) => {
    for (const { hash } of sent) {
      const receipt = await readReceipt(client, hash)
      if (receipt !== null) return receipt
    }
    return null
  }

  return async function mined(step: string, call: Call): Promise<TransactionReceipt> {
    const deadline = Date.now() + PATIENCE_MS
    let offeredAt = 0
    let unseen = 0
    for (;;) {
      if (signal.aborted)
        throw new MultiverseError(
          'INTERRUPTED',
          'ended before it was done: the same command goes on',
        )
      const entry = journal.find(step, account.address)
      if (entry === undefined) {
        const nonce = await answered('eth_getTransactionCount', () =>
          getTransactionCount(client, { address: account.address, blockTag: 'pending' }),
        )
        const { raw, hash } = await sign(step, call, nonce)
        say(`${step}: sending ${hash}`)
        const refusal = await offer(raw)
        offeredAt = Date.now()
        if (refusal !== null && !isKnown(refusal)) {
          await journal.remove(step)
          throw new MultiverseError('DEPLOY_FAILED', `${step}: the node refused it: ${refusal}`)
        }
        continue
      }
      const receipt = await receiptOf(entry.transactions)
      if (receipt?.status === 'success') return receipt
      if (receipt !== null) {
        await journal.remove(step)
        throw new MultiverseError('DEPLOY_FAILED', `${step}: ${receipt.transactionHash} reverted`)
      }
      const count = await answered('eth_getTransactionCount', () =>
        getTransactionCount(client, { address: account.address, blockTag: 'latest' }),
      )
      if (count > entry.nonce) {
        // Mined between the two questions; or else the wallet used the number for something else.
        if (++unseen > UNSEEN_POLLS) {
          await journal.remove(step)
          unseen = 0
        }
        await sleep(pollMs)
        continue
      }
      if (Date.now() > deadline)
        throw new MultiverseError(
          'NOT_MINED',
          `${step}: ${entry.transactions.at(-1)!.hash} is in no block yet at up to ${ceiling.limit} wei a gas: the same command goes on`,
          { isRetryable: true },
        )
      if (Date.now() - offeredAt > REBROADCAST_MS) {
        const last = entry.transactions.at(-1)!
        const current = (await isOutpriced(last)) ? await sign(step, call, entry.nonce, last) : last
        if (current !== last)
          say(`${step}: replacing ${last.hash} by ${current.hash}, which pays more`)
        await offer(current.raw)
        offeredAt = Date.now()
      }
      await sleep(pollMs)
    }
  }
}

type Call = { to: Address; data?: Hex; value?: bigint }

function withMargin(gas: bigint): bigint {
  return gas + (gas * GAS_MARGIN) / 100n
}

/** The present fees, or, to take another transaction's place, enough more than it offers. */
function offered(fees: Fees, outbid: SentTransaction | undefined): Fees {
  if (outbid === undefined) return fees
  const limit = max(fees.limit, above(outbid.limit))
  if (fees.kind === 'legacy') return { ...fees, limit }
  return { ...fees, limit, tip: max(fees.tip, above(outbid.tip)) }
}

function above(value: bigint): bigint {
  return value + (value * BUMP) / 100n
}

/** The fees, but not more than the ceiling: a wallet pays no more than its owner agreed to. */
function within(ceiling: Fees, fees: Fees): Fees {
  const limit = min(fees.limit, ceiling.limit)
  if (fees.kind === 'legacy') return { ...fees, limit }
  const tip = min(fees.tip, ceiling.kind === 'legacy' ? limit : ceiling.tip)
  return { ...fees, limit, tip }
}

/** Null when it is in no block. @throws RPC_FAILED */
async function readReceipt(client: Client, hash: Hex): Promise<TransactionReceipt | null> {
  return answered('eth_getTransactionReceipt', async () => {
    try {
      return await getTransactionReceipt(client, { hash })
    } catch (error) {
      if (error instanceof TransactionReceiptNotFoundError) return null
      throw error
    }
  })
}

/** Whether a node says that it has this transaction, or that its number is used up: no reason to give up. */
function isKnown(refusal: string): boolean {
  return /already known|already imported|known transaction|nonce too low/i.test(refusal)
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
