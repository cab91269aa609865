import { type Hex, parseTransaction } from 'viem'
import { isMultiverseError } from '../../sdk/errors.ts'
import type { Rpc } from '../chain/rpc.ts'
import { errorFields, type Log } from '../log.ts'
import type { TxEnd, TxRecord, TxStore } from '../store/txs.ts'
import { revertOf } from './call.ts'
import type { Conditions } from './conditions.ts'
import { type Fees, feesFor, type Replacement, replacementFees } from './fees.ts'
import { holeBelow, needOf } from './nonces.ts'
import type { TxLimits } from './send.ts'
import type { Request, Signatory } from './signatory.ts'
import { type Acceptance, type Counts, gwei, type Wire } from './wire.ts'

/** The care for transactions that are signed and in no block. */
export type Upkeep = {
  /** @throws RPC_FAILED and what the database throws (retryable); the next time goes on */
  tend(isStopped: () => boolean): Promise<void>
  /** Whether the nonce of these, all that are signed with it, was used up by somebody else. Stores that. */
  isTaken(signed: readonly TxRecord[]): Promise<boolean>
}

export type UpkeepOptions = {
  rpc: Rpc
  txs: TxStore
  wire: Wire
  conditions: Conditions
  signatory: Signatory
  limits: TxLimits
  settle: (tx: TxRecord, end: TxEnd) => Promise<boolean>
  log: Log
}

/** So many blocks must have gone by without it before the fee is taken as the reason. */
const STUCK_BLOCKS = 2
/** So many in one round are not the transactions' own. */
const MAX_FAILURES = 3
/** What a transfer of nothing takes. */
const CANCEL_GAS = 21_000n

export function createUpkeep(options: UpkeepOptions): Upkeep {
  const { rpc, txs, wire, conditions, signatory, limits, settle, log } = options
  const { address } = signatory
  /** A hole that was seen the last time: an endpoint may not have known its pool for a moment. */
  let suspected: number | null = null
  /** Since when transactions are waited for here, on a clock that nobody sets. */
  const since = new Map<Hex, number>()

  /** How long a transaction has been on its way. What an earlier life waited counts, as far as the machine's clock can tell. */
  function waitedMs({ hash, signedAt }: TxRecord): number {
    const now = performance.now()
    const before = Math.min(limits.stuckMs, Math.max(0, Date.now() - signedAt))
    if (!since.has(hash)) since.set(hash, now - before)
    return now - since.get(hash)!
  }

  async function tend(isStopped: () => boolean): Promise<void> {
    conditions.balance(await wire.balance())
    const counts = await wire.counts()
    const failures: unknown[] = []
    const pending = await txs.pending(address)
    for (const hash of since.keys())
      if (!pending.some((each) => each.hash === hash)) since.delete(hash)
    for (const signed of byNonce(pending)) {
      if (isStopped()) return
      // One that a node cannot stand is no reason to leave the others alone; a node that answers nothing is.
      await tendNonce(signed, counts).catch((error: unknown) => void failures.push(error))
      if (failures.length >= MAX_FAILURES) break
    }
    if (failures.length > 0) throw failures[0]
    await tendHole()
  }

  async function tendNonce(signed: TxRecord[], { mined }: Counts): Promise<void> {
    for (const tx of signed.toReversed()) {
      const end = await wire.endOf(tx)
      if (end && (await settle(tx, end))) return
    }
    const newest = signed.at(-1)!
    const { nonce } = newest
    const sight = { nonce, hasReceipt: false, mined, acceptance: null, isOld: false }
    if (needOf(sight) === 'drop') return void (await isTaken(signed))
    const acceptance = await broadcast(newest)
    if (acceptance === null) return
    const market = await wire.market()
    const isOld =
      waitedMs(newest) >= limits.stuckMs &&
      market.headBlock >= (newest.headBlock ?? 0) + STUCK_BLOCKS
    if (needOf({ ...sight, acceptance, isOld }) === 'supersede') await supersede(newest, market)
  }

  /** Null when the account cannot pay for it. */
  async function broadcast(tx: TxRecord): Promise<Acceptance | null> {
    try {
      return await wire.broadcast(tx)
    } catch (error) {
      if (!isMultiverseError(error, 'INSUFFICIENT_FUNDS')) throw error
      conditions.set('funds', error.message)
      return null
    }
  }

  async function isTaken(signed: readonly TxRecord[]): Promise<boolean> {
    const [first] = signed
    if (!first || (await wire.counts()).mined <= first.nonce) return false
    // Asked after the count: what used up the nonce is in a block by now.
    for (const tx of signed) if (await wire.endOf(tx)) return false
    log.warn({ nonce: first.nonce, purposes: first.purposes }, 'nonce.taken')
    return settle(first, { state: 'dropped' })
  }

  /** Signs another transaction in the place of one that does not get through: the same, or one that does nothing. */
  async function supersede(
    stuck: TxRecord,
    market: { baseFee: bigint; tip: bigint; headBlock: number },
  ): Promise<void> {
    const present = parseTransaction(stuck.raw)
    const paid = {
      maxFeePerGas: present.maxFeePerGas ?? 0n,
      maxPriorityFeePerGas: present.maxPriorityFeePerGas ?? 0n,
    }
    const plan = replacementFees(paid, market, limits.maxFeePerGas)
    if (plan.kind !== 'pay') return hold(stuck, plan)
    const reason = stuck.kind === 'call' ? await revertOf(rpc, { ...stuck, block: null }) : null
    if (reason?.isRetryable) throw reason
    const isCancel = stuck.kind === 'cancel' || reason !== null
    const { to, data = '0x', value = 0n, gas = CANCEL_GAS } = present
    const request: Request = isCancel ? nothing() : { to: to!, data, value, gas }
    if (!(await mayPay(request, plan.fees, gas * paid.maxFeePerGas + value))) return
    conditions.set('fee', null)
    const { purposes, nonce } = stuck
    const kind = isCancel ? ('cancel' as const) : ('call' as const)
    const signing = { sender: address, purposes, kind, headBlock: market.headBlock }
    const tx = await txs.replace(stuck, signing, (at) => signatory.sign(request, plan.fees, at))
    if (tx === null) return
    const fields = { purposes, nonce, tx: tx.hash, replaces: stuck.hash, ...plan.fees }
    log.warn(
      { ...fields, ...(reason && errorFields(reason)) },
      isCancel ? 'tx.cancelled' : 'tx.bumped',
    )
    await broadcast(tx)
  }

  function hold({ hash, nonce }: TxRecord, plan: Exclude<Replacement, { kind: 'pay' }>): void {
    if (plan.kind === 'enough') {
      log.warn({ tx: hash, nonce }, 'tx.ignored')
      return
    }
    const { baseFee, cap } = plan
    conditions.set(
      'fee',
      `nonce ${nonce} is not mined at KEEPER_MAX_FEE_GWEI, ${gwei(cap)}: the base fee is ${gwei(baseFee)}`,
    )
  }

  /** Whether the day's limit leaves room; that it does not is a condition, not an error of whoever waits. */
  async function mayPay(request: Request, fees: Fees, replaced: bigint): Promise<boolean> {
    try {
      await signatory.check(request, fees, replaced)
      return true
    } catch (error) {
      if (isMultiverseError(error, 'SPEND_LIMIT')) return false
      throw error
    }
  }

  /** Uses up a nonce that nothing stands at and that all above it wait for. */
  async function tendHole(): Promise<void> {
    const nonces = (await txs.pending(address)).map(({ nonce }) => nonce)
    const hole = nonces.length === 0 ? null : holeBelow((await wire.counts()).pooled, nonces)
    const isCertain = hole !== null && hole === suspected
    suspected = hole
    if (!isCertain) return
    const market = await wire.market()
    const plan = feesFor(market, limits.maxFeePerGas)
    if (plan.kind !== 'pay') return
    const { headBlock } = market
    const signing = { sender: address, purposes: [], kind: 'cancel' as const, headBlock }
    const tx = await txs.fillHole(signing, hole, (at) => signatory.sign(nothing(), plan.fees, at))
    if (tx === null) return
    log.warn({ nonce: hole, tx: tx.hash }, 'nonce.filled')
    await broadcast(tx)
  }

  function nothing(): Request {
    return { to: address, data: '0x', value: 0n, gas: CANCEL_GAS }
  }

  return { tend, isTaken }
}

/** Transactions by nonce, ascending, of each the newest last. */
function byNonce(pending: readonly TxRecord[]): TxRecord[][] {
  return [...Map.groupBy(pending, ({ nonce }) => nonce).values()]
}
