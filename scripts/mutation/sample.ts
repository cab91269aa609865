/** Chooses `count` of a list, the same for the same `seed`, in the list's order. */
export function sample<T>(list: readonly T[], count: number, seed: number): T[] {
  const next = generator(seed)
  const ranked = list.map((each, index) => ({ each, index, rank: next() }))
  return ranked
    .toSorted((a, b) => a.rank - b.rank)
    .slice(0, count)
    .toSorted((a, b) => a.index - b.index)
    .map(({ each }) => each)
}

/** mulberry32: numbers from 0 to 1. */
function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
