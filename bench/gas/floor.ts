import { type Address, type Hex, hexToBytes, size } from 'viem'
import type { Chain, Cost, Receipt, State, Touched } from './chain.ts'

/** What a transaction would cost if computing were free, by cause, in gas. `refund` is what cleared slots give back. */
export type Floor = {
  intrinsic: number
  calldata: number
  /** The collateral's part: its account, its slots and its events. */
  token: number
  /** The system's own slots. */
  slots: number
  /** The system's own events. */
  events: number
  refund: number
  total: number
}

// Prices of Cancun (EIP-2028, 2929, 2200, 3529).
const TRANSACTION = 21_000
const CALLDATA = { zero: 4, other: 16 }
const COLD_ACCOUNT = 2_600
const COLD_SLOT = 2_100
const FILL_SLOT = 20_000
const CHANGE_SLOT = 2_900
const CLEAR_REFUND = 4_800
const LOG = { base: 375, topic: 375, byte: 8 }

const isZero = (word: Hex | undefined) => word === undefined || BigInt(word) === 0n

/** Gas of calldata, byte by byte. */
export function calldataGas(data: Hex): number {
  let gas = 0
  for (const byte of hexToBytes(data)) gas += byte === 0 ? CALLDATA.zero : CALLDATA.other
  return gas
}

/** Gas of the events that `emitter` wrote. */
export function eventGas(logs: Receipt['logs'], emitter: Address): number {
  return logs
    .filter(({ address }) => address.toLowerCase() === emitter.toLowerCase())
    .reduce(
      (gas, { topics, data }) => gas + LOG.base + topics.length * LOG.topic + size(data) * LOG.byte,
      0,
    )
}

/** Gas of the slots of one account: each touched once while cold, and written once where it changed. */
export function slotGas(state: Touched, account: Address): { gas: number; refund: number } {
  const slots = (side: State) => side[account.toLowerCase() as Address]?.storage ?? {}
  const before = slots(state.before)
  const after = slots(state.after)
  const changed = new Set([...Object.keys(before), ...Object.keys(after)]) as Set<Hex>
  let gas = new Set([...Object.keys(slots(state.touched)), ...changed]).size * COLD_SLOT
  let refund = 0
  for (const slot of changed) {
    gas += isZero(before[slot]) ? FILL_SLOT : CHANGE_SLOT
    if (isZero(after[slot])) refund += CLEAR_REFUND
  }
  return { gas, refund }
}

/** The floor of an operation, of all its transactions together. */
export async function floorOf(
  chain: Chain,
  cost: Cost,
  system: Address,
  collateral: Address,
): Promise<Floor> {
  const total: Floor = {
    intrinsic: 0,
    calldata: 0,
    token: 0,
    slots: 0,
    events: 0,
    refund: 0,
    total: 0,
  }
  for (const transaction of cost.transactions) {
    const { logs } = await chain.receipt(transaction)
    const state = await chain.touched(transaction)
    const own = slotGas(state, system)
    const foreign = slotGas(state, collateral)
    const called = state.touched[collateral.toLowerCase() as Address] !== undefined
    const parts = {
      intrinsic: TRANSACTION,
      calldata: calldataGas(await chain.input(transaction)),
      token: (called ? COLD_ACCOUNT : 0) + foreign.gas + eventGas(logs, collateral),
      slots: own.gas,
      events: eventGas(logs, system),
    }
    const sum = Object.values(parts).reduce((a, b) => a + b, 0)
    // A transaction gets back at most a fifth of what it used.
    const refund = Math.min(own.refund + foreign.refund, Math.floor(sum / 5))
    for (const [name, gas] of Object.entries({ ...parts, refund, total: sum - refund }))
      total[name as keyof Floor] += gas
  }
  return total
}
