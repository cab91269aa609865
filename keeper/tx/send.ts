import type { Address, Hex, LocalAccount } from 'viem'
import { MultiverseError } from '../../sdk/errors.ts'
import type { Rpc } from '../chain/rpc.ts'
import { errorFields, type Log } from '../log.ts'
import type { TxEnd, TxRecord, TxStore } from '../store/txs.ts'
import { createPause } from '../time.ts'
import { createBatches } from './batch.ts'
import { type Call, revertOf, type Simulated, simulate } from './call.ts'
import { type Conditions, createConditions } from './conditions.ts'
import { feesFor, gasLimit } from './fees.ts'
import type { Policy } from './policy.ts'
import { createSignatory } from './signatory.ts'
import { createUpkeep } from './upkeep.ts'
import { createWire, gwei } from './wire.ts'

export type { Call } from './call.ts'

/** Where a call was mined. */
export type Mined = { tx: Hex; block: number }

/** Makes calls exactly once each. */
export type Sender = {
  address: Address
  /**
   * Makes the call that `purpose` stands for, once and for all: whatever was signed for it before is sent again rather
   * than signed anew, and one that was mined is not repeated. It is simulated first. Calls of one contract that come
   * together go in one transaction where that is cheaper.
   * @throws the contract's own codes when it would revert; POLICY_REFUSED; TX_REVERTED; retryable: RPC_FAILED,
   * TX_PENDING, FEE_TOO_HIGH, SPEND_LIMIT, INSUFFICIENT_FUNDS
   */
  perform(purpose: string, call: Call): Promise<Mined>
  /** The call that was mined for a purpose before, if one was. */
  performed(purpose: string): Promise<Mined | null>
  /**
   * Sees to all that is signed and in no block: sends it again, makes it dearer, gives it up, fills holes among the nonces.
   * To be called every few seconds.
   */
  tend(): Promise<void>
  /** What keeps transactions waiting, and the account's balance in wei. */
  conditions: Conditions['view']
  stop(): void
}

/** What the keeper may spend. Amounts in wei, null for no limit. */
export type TxLimits = {
  /** The most that a unit of gas may cost. */
  maxFeePerGas: bigint | null
  /** The most that any 24 hours may take, gas and value. */
  spendPerDay: bigint | null
  /** Milliseconds after which a transaction that is not mined is made dearer. */
  stuckMs: number
  /** Balances below which an alarm is raised. */
  balanceAlarms: readonly bigint[]
}

export type SenderOptions = {
  rpc: Rpc
  txs: TxStore
  account: LocalAccount
  chainId: number
  policy: Policy
  limits: TxLimits
  pollMs: number
  onSettled(state: TxEnd['state']): void
  log: Log
}

/** A transaction that is not mined by then is left to come back to, milliseconds. */
const PATIENCE_MS = 30_000
/** A call that passed its simulation and reverted all the same is tried so often. */
const MAX_ATTEMPTS = 3
/** However often somebody else takes the nonces, a job comes to an end. */
const MAX_ROUNDS = 8

/** How a nonce was used up, and by which of the transactions signed with it. */
type Ended = {
  tx: TxRecord
  end: { state: 'mined' | 'reverted'; block: number } | { state: 'dropped' }
}

/** Signs, stores, sends and waits, with one account. */
export function createSender(options: SenderOptions): Sender {
  const { rpc, txs, account, limits, log } = options
  const { address } = account
  const wire = createWire(rpc, address)
  const conditions = createConditions(limits.balanceAlarms, log)
  const signatory = createSignatory({ ...options, ...limits, conditions })
  const upkeep = createUpkeep({ ...options, wire, conditions, signatory, settle })
  const batches = createBatches({ simulate: simulated, sign })
  /** Nonces that somebody waits for. */
  const followed = new Map<number, Promise<Ended>>()
  /** The highest that the chain said the next nonce is at least: an endpoint may be behind. */
  let floor = 0
  let tending: Promise<void> | null = null
  let isStopped = false

  async function simulated(call: Call): Promise<Simulated> {
    try {
      return await simulate(rpc, address, call)
    } catch (error) {
      if (error instanceof MultiverseError && !error.isRetryable)
        log.warn(
          { to: call.to, function: call.functionName, code: error.code, error: error.message },
          'call.reverts',
        )
      throw error
    }
  }

  async function sign(purposes: readonly string[], { call, data, gas }: Simulated) {
    const [{ headBlock, ...market }, counts] = await Promise.all([wire.market(), wire.counts()])
    const plan = feesFor(market, limits.maxFeePerGas)
    if (plan.kind === 'wait') {
      const message = `the base fee is ${gwei(plan.baseFee)}, KEEPER_MAX_FEE_GWEI is ${gwei(plan.cap)}`
      conditions.set('fee', message)
      throw new MultiverseError('FEE_TOO_HIGH', message, { isRetryable: true })
    }
    conditions.set('fee', null)
    const request = { to: call.to, data, value: call.value ?? 0n, gas: gasLimit(gas) }
    await signatory.check(request, plan.fees)
    floor = Math.max(floor, counts.pooled)
    const signing = { sender: address, purposes, kind: 'call' as const, headBlock }
    const tx = await txs.sign(signing, floor, (nonce) => signatory.sign(request, plan.fees, nonce))
    log.info({ purposes: tx.purposes, tx: tx.hash, nonce: tx.nonce }, 'tx.signed')
    return tx
  }

  async function settle(tx: TxRecord, end: TxEnd): Promise<boolean> {
    if (!(await txs.settle(tx, end))) return false
    options.onSettled(end.state)
    if (end.state !== 'dropped')
      for (const reason of ['funds', 'fee'] as const) conditions.set(reason, null)
    const fields = { purposes: tx.purposes, kind: tx.kind, nonce: tx.nonce, tx: tx.hash, ...end }
    if (end.state === 'reverted') {
      const reason = await revertOf(rpc, { ...tx, block: end.block })
      log.warn({ ...fields, ...(reason && errorFields(reason)) }, 'tx.reverted')
    } else log.info(fields, `tx.${end.state}`)
    return true
  }

  /** Waits until a nonce is used up. Whoever waits for the same one waits together. */
  function follow(tx: TxRecord): Promise<Ended> {
    const present = followed.get(tx.nonce)
    if (present) return present
    const following = wait(tx).finally(() => followed.delete(tx.nonce))
    followed.set(tx.nonce, following)
    return following
  }

  async function wait(tx: TxRecord): Promise<Ended> {
    const pause = createPause()
    const deadline = performance.now() + PATIENCE_MS
    let signed: readonly TxRecord[] = [tx]
    const acceptance = await wire.broadcast(tx).catch((error: unknown) => {
      if (error instanceof MultiverseError && error.code === 'INSUFFICIENT_FUNDS')
        conditions.set('funds', error.message)
      throw error
    })
    for (let waitMs = 2; ; waitMs = Math.min(options.pollMs, waitMs * 2)) {
      for (const each of signed) {
        const end = await wire.endOf(each)
        if (end && (await settle(each, end))) return { tx: each, end }
      }
      if (acceptance === 'nonceUsed') {
        if (await upkeep.isTaken(signed)) return { tx, end: { state: 'dropped' } }
      }
      if (isStopped || performance.now() > deadline)
        throw new MultiverseError('TX_PENDING', `transaction ${tx.hash} is not mined yet`, {
          isRetryable: true,
        })
      await pause.wait(waitMs)
      if (waitMs < options.pollMs) continue
      // It may have been replaced, or have been seen to end, by the upkeep or by another process.
      const all = await txs.ofNonce(address, tx.nonce)
      const ended = all.find(hasBlock)
      if (ended) return { tx: ended, end: { state: ended.state, block: ended.block! } }
      signed = all.filter(({ state }) => state === 'signed')
      if (signed.length === 0) return { tx, end: { state: 'dropped' } }
    }
  }

  return {
    address,
    conditions: conditions.view,
    async performed(purpose) {
      const tx = await txs.latest(purpose)
      if (tx?.state === 'mined') return { tx: tx.hash, block: tx.block! }
      if (tx?.state !== 'signed') return null
      // It, or one that was signed in its place, may have been sent just before the process was killed.
      for (const each of await txs.ofNonce(address, tx.nonce)) {
        const end = each.kind === 'call' ? await wire.endOf(each) : null
        if (end?.state === 'mined' && (await settle(each, end)))
          return { tx: each.hash, block: end.block }
      }
      return null
    },
    async perform(purpose, call) {
      let reverts = 0
      for (let round = 1; ; round++) {
        const latest = await txs.latest(purpose)
        if (latest?.state === 'mined') return { tx: latest.hash, block: latest.block! }
        const tx =
          latest?.state === 'signed' ? latest : await batches.sign(purpose, call, round > 1)
        // Another process on the same books signed for another of the batch meanwhile.
        if (!tx.purposes.includes(purpose)) continue
        const { tx: ended, end } = await follow(tx)
        if (end.state === 'mined' && ended.kind === 'call')
          return { tx: ended.hash, block: end.block }
        if (end.state === 'reverted' && ++reverts >= MAX_ATTEMPTS)
          throw new MultiverseError('TX_REVERTED', `transaction ${ended.hash} reverted`)
        if (round >= MAX_ROUNDS)
          throw new MultiverseError(
            'TX_PENDING',
            `the nonces of ${address} are taken by somebody else again and again`,
            { isRetryable: true },
          )
      }
    },
    tend() {
      tending ??= upkeep.tend(() => isStopped).finally(() => (tending = null))
      return tending
    },
    stop() {
      isStopped = true
    },
  }
}

function hasBlock(tx: TxRecord): tx is TxRecord & { state: 'mined' | 'reverted' } {
  return tx.state === 'mined' || tx.state === 'reverted'
}
