import { setTimeout } from 'node:timers/promises'
import { isMultiverseError } from '../../sdk/errors.ts'
import type { TxRecord } from '../store/txs.ts'
import { type Call, combined, type Simulated } from './call.ts'

/** Signs calls, together where that is cheaper. */
export type Batches = {
  /**
   * Signs a call for a purpose. Those that come while another is being signed are signed together.
   * @throws what simulating the call throws
   */
  sign(purpose: string, call: Call, isAlone: boolean): Promise<TxRecord>
}

export type BatchesOptions = {
  simulate: (call: Call) => Promise<Simulated>
  sign: (purposes: readonly string[], simulated: Simulated) => Promise<TxRecord>
}

type Item = {
  purpose: string
  simulated: Simulated
  isAlone: boolean
  done: PromiseWithResolvers<TxRecord>
}

const MAX_CALLS = 32
/** From one transaction to the next, milliseconds: what comes meanwhile goes together. Whoever comes alone does not wait. */
const GAP_MS = 150
/** A transaction may take 16,777,216, and a quarter is left to spare. */
const MAX_GAS = 12_000_000n

export function createBatches({ simulate, sign }: BatchesOptions): Batches {
  const waiting: Item[] = []
  let isSigning = false
  /** When the newest was signed, by the clock that is never set. */
  let signedAt = -Infinity

  async function drain(): Promise<void> {
    if (isSigning) return
    isSigning = true
    while (waiting.length > 0) {
      const gap = signedAt + GAP_MS - performance.now()
      if (gap > 0 && waiting.length < MAX_CALLS && !waiting[0]!.isAlone) await setTimeout(gap)
      const items = takeTogether(waiting)
      try {
        const tx = await signTogether(items)
        signedAt = performance.now()
        for (const { done } of items) done.resolve(tx)
      } catch (error) {
        if (items.length > 1 && isMultiverseError(error) && !error.isRetryable)
          // One of them spoils the others: each shows by itself what it is.
          waiting.unshift(...items.map((item) => ({ ...item, isAlone: true })))
        else for (const { done } of items) done.reject(error)
      }
    }
    isSigning = false
  }

  async function signTogether(items: Item[]): Promise<TxRecord> {
    const [first, ...others] = items
    if (others.length === 0) return sign([first!.purpose], first!.simulated)
    const together = await simulate(combined(items.map(({ simulated }) => simulated))!)
    const apart = items.reduce((sum, { simulated }) => sum + simulated.gas, 0n)
    if (together.gas < apart)
      return sign(
        items.map(({ purpose }) => purpose),
        together,
      )
    waiting.unshift(...others.map((item) => ({ ...item, isAlone: true })))
    items.splice(1)
    return sign([first!.purpose], first!.simulated)
  }

  return {
    async sign(purpose, call, isAlone) {
      const simulated = await simulate(call)
      const done = Promise.withResolvers<TxRecord>()
      waiting.push({ purpose, simulated, isAlone, done })
      void drain()
      return done.promise
    },
  }
}

/** Takes the first, and from the rest what can be made with it in one transaction. */
function takeTogether(waiting: Item[]): Item[] {
  const items = [waiting.shift()!]
  let gas = items[0]!.simulated.gas
  for (let at = 0; at < waiting.length && items.length < MAX_CALLS;) {
    const next = waiting[at]!
    const canJoin =
      !items[0]!.isAlone &&
      !next.isAlone &&
      gas + next.simulated.gas <= MAX_GAS &&
      combined([items[0]!.simulated, next.simulated]) !== null
    if (canJoin) {
      items.push(next)
      gas += next.simulated.gas
      waiting.splice(at, 1)
    } else at++
  }
  return items
}
