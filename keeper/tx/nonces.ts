/** The lowest nonce from `floor` on that nothing of ours stands at. `floor` is what the chain says comes next at least. */
export function nextNonce(floor: number, taken: ReadonlySet<number>): number {
  let nonce = floor
  while (taken.has(nonce)) nonce++
  return nonce
}

/**
 * A nonce that keeps what is signed above it from ever being mined, as nobody has sent anything with it; null when there
 * is none. `pooled` is how many nonces the node knows of without a gap, blocks and pool together.
 */
export function holeBelow(pooled: number, signed: readonly number[]): number | null {
  const isBlocked = !signed.includes(pooled) && signed.some((nonce) => nonce > pooled)
  return isBlocked ? pooled : null
}
