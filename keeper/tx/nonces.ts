import type { Acceptance } from './wire.ts'

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

/** What is known of a nonce that something of ours is signed with and that was open a moment ago. */
export type Sight = {
  nonce: number
  /** One of those signed with it is in a block. */
  hasReceipt: boolean
  /** How many nonces are used up in blocks. Asked for before the receipt was. */
  mined: number
  /** What the node said of the newest of them; null before it was asked. */
  acceptance: Acceptance | null
  /** It could have been mined for long enough. */
  isOld: boolean
}

/** `drop`: somebody else used it up. `supersede`: what is signed with it does not get through as it is. */
export type Need = 'settle' | 'drop' | 'supersede' | 'wait'

/** What a nonce needs. */
export function needOf({ nonce, hasReceipt, mined, acceptance, isOld }: Sight): Need {
  if (hasReceipt) return 'settle'
  if (mined > nonce) return 'drop'
  if (acceptance === 'underpriced') return 'supersede'
  // What waits for another is not made dearer: it is not its fee that holds it up.
  return isOld && nonce === mined ? 'supersede' : 'wait'
}
