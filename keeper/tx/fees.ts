/** EIP-1559 fees in wei. */
export type Fees = { maxFeePerGas: bigint; maxPriorityFeePerGas: bigint }

/** What gas costs now, in wei. `tip` is what the node suggests. */
export type Market = { baseFee: bigint; tip: bigint }

export type FeePlan =
  | { kind: 'pay'; fees: Fees }
  /** Nothing can be mined below the cap now. */
  | { kind: 'wait'; baseFee: bigint; cap: bigint }

export type Replacement =
  | FeePlan
  /** It pays many times what others pay already: it is not the fee that holds it up. */
  | { kind: 'enough' }

/** A transaction is never made dearer than so many times what a new one would be given. */
const MAX_MULTIPLE = 4n

/**
 * Fees that stay good while the base fee rises: twice the present base fee and the tip on top, within `cap`. Six full blocks
 * in a row double it.
 */
export function feesFor(market: Market, cap: bigint | null): FeePlan {
  const { baseFee, tip } = market
  const wanted = 2n * baseFee + tip
  if (cap === null || wanted <= cap)
    return { kind: 'pay', fees: { maxFeePerGas: wanted, maxPriorityFeePerGas: tip } }
  if (baseFee >= cap) return { kind: 'wait', baseFee, cap }
  return { kind: 'pay', fees: { maxFeePerGas: cap, maxPriorityFeePerGas: least(tip, cap) } }
}

/**
 * Fees with which a node takes a transaction in the place of one with the same nonce: both at least a tenth higher; an eighth
 * where the cap leaves room, as some nodes ask for more than a tenth.
 */
export function replacementFees(previous: Fees, market: Market, cap: bigint | null): Replacement {
  const { baseFee, tip } = market
  const fresh = { maxFeePerGas: 2n * baseFee + tip, maxPriorityFeePerGas: tip }
  if (cap !== null && baseFee >= cap) return { kind: 'wait', baseFee, cap }
  const { maxFeePerGas: paid, maxPriorityFeePerGas: tipped } = previous
  if (
    paid >= MAX_MULTIPLE * fresh.maxFeePerGas &&
    tipped >= MAX_MULTIPLE * fresh.maxPriorityFeePerGas
  )
    return { kind: 'enough' }
  const wanted = most(fresh.maxFeePerGas, raised(paid, 8n))
  const maxFeePerGas = cap === null ? wanted : least(wanted, cap)
  const maxPriorityFeePerGas = least(most(tip, raised(tipped, 8n)), maxFeePerGas)
  const isTaken = maxFeePerGas >= raised(paid, 10n) && maxPriorityFeePerGas >= raised(tipped, 10n)
  if (isTaken) return { kind: 'pay', fees: { maxFeePerGas, maxPriorityFeePerGas } }
  return { kind: 'wait', baseFee, cap: cap ?? maxFeePerGas }
}

/** What three slots of storage cost that nothing was in before. */
const SPARE_GAS = 66_300n

/**
 * A gas limit with a quarter and some slots of storage to spare: state may change between the estimate and the block, and so does
 * time, of which a game stores what has passed.
 */
export function gasLimit(estimate: bigint): bigint {
  return (estimate * 5n) / 4n + SPARE_GAS
}

/** An amount made greater by one part in `parts`, rounded up, and by one wei at least. */
function raised(amount: bigint, parts: bigint): bigint {
  return amount + (amount + parts - 1n) / parts + (amount === 0n ? 1n : 0n)
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function most(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
