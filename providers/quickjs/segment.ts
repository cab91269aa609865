import { hash } from 'node:crypto'
import { MultiverseError } from '../../sdk/errors.ts'

/** A heap is captured in pages of this many bytes. */
export const PAGE_BYTES = 4096
export const HASH_BYTES = 32

/**
 * Pages that were captured together, immutable and shared between threads, images and files. Its bytes are the hash of every
 * page, then the pages; its id is the hash of those hashes, so a segment says by itself whether it is what it should be.
 */
export type Segment = { id: string; bytes: SharedArrayBuffer }

/** Takes pages out of a heap into a new segment, in their order. `at` is a page's place in the heap. */
export function makeSegment(
  heap: Uint8Array,
  pages: readonly { at: number; hash: Uint8Array }[],
): Segment {
  const bytes = new Uint8Array(new SharedArrayBuffer(pages.length * (HASH_BYTES + PAGE_BYTES)))
  const from = pages.length * HASH_BYTES
  pages.forEach((page, slot) => {
    bytes.set(page.hash, slot * HASH_BYTES)
    const start = page.at * PAGE_BYTES
    bytes.set(heap.subarray(start, start + PAGE_BYTES), from + slot * PAGE_BYTES)
  })
  return { id: idOf(bytes.subarray(0, from)), bytes: bytes.buffer }
}

/** Pages in a segment. */
export function pageCount({ bytes }: Segment): number {
  return bytes.byteLength / (HASH_BYTES + PAGE_BYTES)
}

/** Where a page's bytes begin. */
export function pageOffset(segment: Segment, slot: number): number {
  return pageCount(segment) * HASH_BYTES + slot * PAGE_BYTES
}

/** The hash that a segment has for a page. */
export function pageHash({ bytes }: Segment, slot: number): Uint8Array {
  return new Uint8Array(bytes, slot * HASH_BYTES, HASH_BYTES)
}

/**
 * Takes a segment's bytes as read from a file, and checks every one of them.
 * @throws SNAPSHOT_CORRUPT naming the page
 */
export function readSegment(id: string, file: Uint8Array): Segment {
  const corrupt = (what: string) =>
    new MultiverseError('SNAPSHOT_CORRUPT', `segment ${id} is corrupt: ${what}`)
  const count = file.length / (HASH_BYTES + PAGE_BYTES)
  if (!Number.isInteger(count) || count === 0) throw corrupt(`it has ${file.length} bytes`)
  const from = count * HASH_BYTES
  if (idOf(file.subarray(0, from)) !== id) throw corrupt('its list of pages has another hash')
  for (let slot = 0; slot < count; slot++) {
    const start = from + slot * PAGE_BYTES
    const digest = hash('sha256', file.subarray(start, start + PAGE_BYTES), 'buffer')
    if (!digest.equals(file.subarray(slot * HASH_BYTES, (slot + 1) * HASH_BYTES)))
      throw corrupt(`page ${slot} of ${count} has another hash`)
  }
  const bytes = new Uint8Array(new SharedArrayBuffer(file.length))
  bytes.set(file)
  return { id, bytes: bytes.buffer }
}

function idOf(hashes: Uint8Array): string {
  return hash('sha256', hashes, 'hex')
}
