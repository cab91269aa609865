/** EIP-1559 fees in wei. */
export type Fees = { maxFeePerGas: bigint; maxPriorityFeePerGas: bigint }

/**
 * Fees that stay good while the base fee rises: twice the present base fee and the tip on top. Six full blocks in a row
 * double it.
 */
export function feesFor(baseFee: bigint, tip: bigint): Fees {
  return { maxFeePerGas: 2n * baseFee + tip, maxPriorityFeePerGas: tip }
}

/** A gas limit with a quarter to spare: state may change between the estimate and the block. */
export function gasLimit(estimate: bigint): bigint {
  return (estimate * 5n) / 4n
}
