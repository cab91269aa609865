import { isTooMuch } from './faults.ts'

/** Blocks asked for at once. */
export type RangeSize = { size: number; max: number }

/** After a range was answered: half as large again, up to the most. */
export function grown({ size, max }: RangeSize): RangeSize {
  return { size: Math.min(max, Math.ceil(size * 1.5)), max }
}

/** After a range was refused as too much: half as large. Null when it was one block. */
export function shrunk({ size, max }: RangeSize): RangeSize | null {
  return size <= 1 ? null : { size: Math.floor(size / 2), max }
}

/**
 * Reads the blocks from `first` to `last`, both included, in ranges as large as the endpoint bears; a fault that is not of the
 * size is thrown. `take` is told each range once, ascending. Gives the size that it came to.
 */
export async function readRanges<T>(
  range: { first: number; last: number; size: RangeSize },
  read: (from: number, to: number) => Promise<T>,
  take: (found: T, from: number, to: number) => Promise<void>,
): Promise<RangeSize> {
  let { size } = range
  for (let from = range.first; from <= range.last;) {
    const to = Math.min(range.last, from + size.size - 1)
    try {
      const found = await read(from, to)
      await take(found, from, to)
      from = to + 1
      size = grown(size)
    } catch (error) {
      // The last range may be smaller than the size: what was refused is what counts.
      const smaller = isTooMuch(error) ? shrunk({ ...size, size: to - from + 1 }) : null
      if (smaller === null) throw error
      size = smaller
    }
  }
  return size
}
