import { hash } from 'node:crypto'
import type { Hex } from 'viem'
import { MultiverseError } from '../../sdk/errors.ts'
import { BUILD } from './build.ts'
import {
  HASH_BYTES,
  makeSegment,
  PAGE_BYTES,
  pageCount,
  pageHash,
  pageOffset,
  type Segment,
} from './segment.ts'

/** Where the objects that the host keeps hold of live in a world's heap: addresses. */
export type Anchors = {
  runtime: number
  context: number
  /** The guest functions of the prelude, see prelude.ts. */
  report: number
  describe: number
  /** Name under which programs are evaluated. */
  filename: number
  /** 16 bytes for arguments passed by reference. */
  scratch: number
  /** The 64-bit state of Math.random. */
  random: number
}

/** What is not in the heap itself. */
export type Head = {
  /** Length of the linear memory, bytes. */
  byteLength: number
  /** Virtual time, milliseconds since 1970. */
  now: number
  anchors: Anchors
}

/**
 * A world's whole state, immutable. Its bytes are shared between threads and between images: an image made from another
 * one adds a segment with the pages that differ.
 */
export type Image = {
  /** Hash of `index`: equal states have equal roots. */
  root: Hex
  /** The canonical encoding: the head, then position and hash of every non-zero page, ascending. */
  index: Uint8Array
  /** Where the bytes of each page of `index` are: segment and slot by turns. */
  places: Uint32Array
  segments: Segment[]
}

/** Pages from `first` up to, not including, `end`. */
export type Span = { first: number; end: number }

const MAGIC = Buffer.from('MVQJS\0\0\u0001', 'latin1')
const BUILD_AT = MAGIC.length
const LENGTH_AT = BUILD_AT + 32
const COUNT_AT = LENGTH_AT + 4
const NOW_AT = COUNT_AT + 4
const ANCHORS_AT = NOW_AT + 8
const ANCHORS = [
  'runtime',
  'context',
  'report',
  'describe',
  'filename',
  'scratch',
  'random',
] as const satisfies (keyof Anchors)[]
const HEAD_BYTES = ANCHORS_AT + ANCHORS.length * 4
const ENTRY_BYTES = 4 + HASH_BYTES

/** More segments than this, or more dead pages than live ones, and the pages are packed anew. */
const MAX_SEGMENTS = 8

const OWN_BUILD = Buffer.from(BUILD, 'hex')
const ZERO = Buffer.alloc(PAGE_BYTES)

type Page = { at: number; hash: Uint8Array; segment: number; slot: number }

/**
 * Captures the pages of `spans`. Pages equal to those of `previous` are neither copied nor hashed again.
 */
export function captureImage(
  heap: Buffer,
  spans: readonly Span[],
  head: Head,
  previous: Image | null,
): Image {
  const known = previous === null ? null : readPages(previous)
  const pages: Page[] = []
  const dirty: Page[] = []
  for (const { first, end } of spans)
    for (let at = first; at < end; at++) {
      const start = at * PAGE_BYTES
      const same = known?.equal(at, heap, start)
      if (same !== undefined) pages.push(same)
      else if (heap.compare(ZERO, 0, PAGE_BYTES, start, start + PAGE_BYTES) !== 0) {
        const page = {
          at,
          hash: hash('sha256', heap.subarray(start, start + PAGE_BYTES), 'buffer'),
          segment: -1,
          slot: dirty.length,
        }
        pages.push(page)
        dirty.push(page)
      }
    }
  const segments = placePages(heap, pages, dirty, previous?.segments ?? [])
  return { ...writeIndex(head, pages), segments }
}

/** Writes an image's pages into the zeroed memory of a new instance. */
export function restoreImage(image: Image, heap: Uint8Array): void {
  for (const run of pageRuns(image)) heap.set(run.bytes, run.at * PAGE_BYTES)
}

/** What an image says beside its pages. */
export function imageHead(image: Image): Head {
  const index = Buffer.from(image.index.buffer, image.index.byteOffset, image.index.byteLength)
  const address = (name: keyof Anchors) =>
    index.readUInt32LE(ANCHORS_AT + ANCHORS.indexOf(name) * 4)
  return {
    byteLength: index.readUInt32LE(LENGTH_AT),
    now: index.readDoubleLE(NOW_AT),
    anchors: {
      runtime: address('runtime'),
      context: address('context'),
      report: address('report'),
      describe: address('describe'),
      filename: address('filename'),
      scratch: address('scratch'),
      random: address('random'),
    },
  }
}

/** What an image's index file says: which segments, where in them each page is, and the index itself. */
export function encodeImage({ index, places, segments }: Image): Uint8Array[] {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(segments.length, 0)
  head.writeUInt32LE(places.length / 2, 4)
  const ids = segments.map(({ id }) => Buffer.from(id, 'hex'))
  return [head, ...ids, new Uint8Array(places.buffer), index]
}

/**
 * Reads what {@link encodeImage} wrote, and checks that it is the image of that root.
 * @param load gives a segment that has been checked
 * @throws SNAPSHOT_CORRUPT
 */
export function decodeImage(file: Buffer, root: Hex, load: (id: string) => Segment): Image {
  const corrupt = (what: string) =>
    new MultiverseError('SNAPSHOT_CORRUPT', `snapshot ${root} is corrupt: ${what}`)
  if (file.length < 8) throw corrupt(`its index has ${file.length} bytes`)
  const [segmentCount, count] = [file.readUInt32LE(0), file.readUInt32LE(4)]
  const placesAt = 8 + segmentCount * HASH_BYTES
  const indexAt = placesAt + count * 8
  const written = file.subarray(indexAt)
  if (written.length !== HEAD_BYTES + count * ENTRY_BYTES || rootOf(written) !== root)
    throw corrupt('its index has another hash')
  if (!written.subarray(BUILD_AT, LENGTH_AT).equals(OWN_BUILD))
    throw corrupt('it was made by another build of the engine')
  const index = new Uint8Array(new SharedArrayBuffer(written.length))
  index.set(written)
  const places = new Uint32Array(new SharedArrayBuffer(count * 8))
  new Uint8Array(places.buffer).set(file.subarray(placesAt, indexAt))
  const segments = segmentIds(file).map(load)
  const image: Image = { root, index, places, segments }
  for (let i = 0; i < count; i++) {
    const [segment, slot] = placeAt(image, i)
    const pages = segments[segment]
    const entry = HEAD_BYTES + i * ENTRY_BYTES
    const isThere = pages !== undefined && slot < pageCount(pages)
    if (
      !isThere ||
      written.compare(pageHash(pages, slot), 0, HASH_BYTES, entry + 4, entry + ENTRY_BYTES) !== 0
    )
      throw corrupt(`page ${written.readUInt32LE(entry)} is not where it should be`)
  }
  return image
}

/** The segments that an index file names. */
export function segmentIds(file: Buffer): string[] {
  const count = Math.min(file.readUInt32LE(0), Math.floor((file.length - 8) / HASH_BYTES))
  return Array.from({ length: count }, (_, i) =>
    file.toString('hex', 8 + i * HASH_BYTES, 8 + (i + 1) * HASH_BYTES),
  )
}

/** Bytes of an image's pages and its index: what it takes that shares nothing with others. */
export function imageBytes(image: Image): number {
  return image.index.byteLength + (image.places.length / 2) * PAGE_BYTES
}

function rootOf(index: Uint8Array): Hex {
  return `0x${hash('sha256', index, 'hex')}`
}

function writeIndex(head: Head, pages: readonly Page[]): Omit<Image, 'segments'> {
  const index = Buffer.from(new SharedArrayBuffer(HEAD_BYTES + pages.length * ENTRY_BYTES))
  const places = new Uint32Array(new SharedArrayBuffer(pages.length * 8))
  index.set(MAGIC)
  index.set(OWN_BUILD, BUILD_AT)
  index.writeUInt32LE(head.byteLength, LENGTH_AT)
  index.writeUInt32LE(pages.length, COUNT_AT)
  index.writeDoubleLE(head.now, NOW_AT)
  ANCHORS.forEach((name, i) => index.writeUInt32LE(head.anchors[name], ANCHORS_AT + i * 4))
  pages.forEach((page, i) => {
    const entry = HEAD_BYTES + i * ENTRY_BYTES
    index.writeUInt32LE(page.at, entry)
    index.set(page.hash, entry + 4)
    places[2 * i] = page.segment
    places[2 * i + 1] = page.slot
  })
  return { root: rootOf(index), index: new Uint8Array(index.buffer), places }
}

/** Gives every page its place, copying the dirty ones out of the heap, and returns the segments. */
function placePages(
  heap: Buffer,
  pages: readonly Page[],
  dirty: readonly Page[],
  before: readonly Segment[],
): Segment[] {
  const used = [...new Set(pages.map((page) => page.segment))].filter((segment) => segment >= 0)
  const kept = used.flatMap((segment) => before[segment] ?? [])
  const stored = kept.reduce((sum, segment) => sum + pageCount(segment), 0)
  const isSpread = used.length >= MAX_SEGMENTS || stored + dirty.length > 2 * pages.length
  const moved = isSpread ? pages : dirty
  const segments = isSpread ? [] : kept
  if (!isSpread) {
    const renumbered = new Map(used.map((segment, i) => [segment, i]))
    for (const page of pages) page.segment = renumbered.get(page.segment) ?? page.segment
  }
  if (moved.length === 0) return segments
  const made = makeSegment(heap, moved)
  moved.forEach((page, slot) => {
    page.segment = segments.length
    page.slot = slot
  })
  return [...segments, made]
}

/** Looks pages up in ascending order of position. */
function readPages(image: Image) {
  const index = Buffer.from(image.index.buffer, image.index.byteOffset, image.index.byteLength)
  const segments = image.segments.map(({ bytes }) => Buffer.from(bytes))
  const offsets = image.segments.map((segment) => pageOffset(segment, 0))
  const count = image.places.length / 2
  let next = 0
  return {
    /** The page at `at` when the heap's page at `start` equals it. */
    equal(at: number, heap: Buffer, start: number): Page | undefined {
      while (next < count && index.readUInt32LE(HEAD_BYTES + next * ENTRY_BYTES) < at) next++
      const entry = HEAD_BYTES + next * ENTRY_BYTES
      if (next >= count || index.readUInt32LE(entry) !== at) return undefined
      const [segment, slot] = placeAt(image, next)
      const from = (offsets[segment] ?? 0) + slot * PAGE_BYTES
      const bytes = segments[segment]
      if (bytes?.compare(heap, start, start + PAGE_BYTES, from, from + PAGE_BYTES) !== 0)
        return undefined
      return { at, hash: index.subarray(entry + 4, entry + ENTRY_BYTES), segment, slot }
    },
  }
}

/** An image's pages in order, neighbours in memory and in their segment joined. */
function pageRuns(image: Image): { at: number; bytes: Uint8Array }[] {
  const index = Buffer.from(image.index.buffer, image.index.byteOffset, image.index.byteLength)
  const runs: { at: number; segment: number; slot: number; length: number }[] = []
  for (let i = 0; i < image.places.length / 2; i++) {
    const at = index.readUInt32LE(HEAD_BYTES + i * ENTRY_BYTES)
    const [segment, slot] = placeAt(image, i)
    const last = runs.at(-1)
    const continues =
      last !== undefined &&
      last.segment === segment &&
      last.at + last.length === at &&
      last.slot + last.length === slot
    if (continues) last.length++
    else runs.push({ at, segment, slot, length: 1 })
  }
  return runs.map(({ at, segment, slot, length }) => {
    const pages = image.segments[segment]
    if (pages === undefined) throw new RangeError(`image ${image.root} has no segment ${segment}`)
    const bytes = new Uint8Array(pages.bytes, pageOffset(pages, slot), length * PAGE_BYTES)
    return { at, bytes }
  })
}

function placeAt(image: Image, i: number): [segment: number, slot: number] {
  return [image.places[2 * i] ?? 0, image.places[2 * i + 1] ?? 0]
}
