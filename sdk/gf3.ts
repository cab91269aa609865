/** An element of the field with three elements: -1 validator, 0 coordinator, +1 generator. */
export type Trit = -1 | 0 | 1

/** A verdict on a bundle of trits. `sum` is the plain integer sum. */
export type Gf3 = { sum: number; conserved: boolean; balanced: boolean; triad: boolean }

/** Whether `value` is a trit. */
export function isTrit(value: number): value is Trit {
  return value === -1 || value === 0 || value === 1
}

/** The residue of a sum in {0, 1, 2}; `%` alone truncates towards zero. */
export function residue(sum: number): 0 | 1 | 2 {
  return (((sum % 3) + 3) % 3) as 0 | 1 | 2
}

/**
 * Judges a bundle: conserved when its sum is 0 mod 3, balanced when it has as many +1 as -1 and at least one 0, a triad
 * when it has three members. An empty bundle is conserved and not balanced.
 */
export function gf3(trits: readonly Trit[]): Gf3 {
  const sum = trits.reduce<number>((total, trit) => total + trit, 0)
  const count = (trit: Trit) => trits.filter((each) => each === trit).length
  return {
    sum,
    conserved: residue(sum) === 0,
    balanced: count(1) === count(-1) && count(0) >= 1,
    triad: trits.length === 3,
  }
}

/** The trit that closes an open bundle: residue 0 needs 0, 1 needs -1, 2 needs +1. */
export function completion(trits: readonly Trit[]): Trit {
  return completionOf(gf3(trits).sum)
}

/** The trit that closes a bundle of this sum. */
export function completionOf(sum: number): Trit {
  const r = residue(sum)
  return r === 0 ? 0 : r === 1 ? -1 : 1
}

const MASK_64 = (1n << 64n) - 1n
/** SplitMix64's increment, the odd integer nearest to 2^64 / golden ratio. */
export const GAMMA = 0x9e3779b97f4a7c15n

/** SplitMix64's finaliser (Steele, Lea, Flood 2014), without the increment. Unsigned 64-bit. */
export function mix64(value: bigint): bigint {
  let z = value & MASK_64
  z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK_64
  z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK_64
  return z ^ (z >> 31n)
}

/** The first output of a SplitMix64 stream seeded with `seed`. */
export function splitmix64(seed: bigint): bigint {
  return mix64((seed + GAMMA) & MASK_64)
}

/** A SplitMix64 stream; each call gives the next unsigned 64-bit output. */
export function splitmix64Stream(seed: bigint): () => bigint {
  let state = seed & MASK_64
  return () => {
    state = (state + GAMMA) & MASK_64
    return mix64(state)
  }
}

/** A trit drawn from an unsigned 64-bit output: u mod 3, minus 1. */
export function tritOf(u64: bigint): Trit {
  return (Number(u64 % 3n) - 1) as Trit
}

/**
 * A triad made to conserve: minus and plus are drawn, the middle one closes. Streams are those of the seeds' tripartite
 * generator: seed, seed xor 0xdf900294d8f554a5, seed xor 0x170865df4b3201fc.
 */
export function forcedTriplets(seed: bigint, count: number): [Trit, Trit, Trit][] {
  const minus = splitmix64Stream(seed)
  const plus = splitmix64Stream(seed ^ 0x170865df4b3201fcn)
  return Array.from({ length: count }, () => {
    const m = tritOf(minus())
    const p = tritOf(plus())
    return [m, completion([m, p]), p]
  })
}
