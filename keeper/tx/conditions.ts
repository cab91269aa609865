import { formatEther } from 'viem'
import type { Log } from '../log.ts'

/** Why nothing is sent, or nothing gets through, although all else is well. */
export type Reason = 'fee' | 'funds' | 'spend'

/** What keeps an account's transactions waiting, and what it has. */
export type Conditions = {
  /** `message` says what holds; null that it does not any more. Logged when it changes. */
  set(reason: Reason, message: string | null): void
  /** Takes the balance in, in wei, and raises or ends the alarms. */
  balance(wei: bigint): void
  view: () => { waiting: Partial<Record<Reason, string>>; balance: bigint | null }
}

/** `alarms` are balances in wei below which somebody should send ether. */
export function createConditions(alarms: readonly bigint[], log: Log): Conditions {
  const waiting = new Map<Reason, string>()
  let balance: bigint | null = null

  /** The lowest alarm that a balance is below. */
  const alarmAt = (wei: bigint | null) =>
    wei === null ? undefined : alarms.toSorted(ascending).find((alarm) => wei < alarm)

  return {
    set(reason, message) {
      const before = waiting.get(reason)
      if (message === null) {
        if (waiting.delete(reason)) log.info({ reason }, 'tx.unblocked')
        return
      }
      waiting.set(reason, message)
      if (before === undefined) log.warn({ reason, message }, 'tx.waiting')
    },
    balance(wei) {
      const [before, now] = [alarmAt(balance), alarmAt(wei)]
      balance = wei
      if (now === before) return
      const fields = { balance: formatEther(wei) }
      if (now === undefined) log.info(fields, 'balance.recovered')
      else log.warn({ ...fields, below: formatEther(now) }, 'balance.low')
    },
    view: () => ({ waiting: Object.fromEntries(waiting), balance }),
  }
}

function ascending(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}
