import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { array, assert, asyncProperty, boolean, integer, nat, tuple } from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { captureImage, decodeImage, type Image } from '../../providers/quickjs/image.ts'
import { createQuickjsProvider } from '../../providers/quickjs/provider.ts'
import { HASH_BYTES, PAGE_BYTES } from '../../providers/quickjs/segment.ts'
import { openSnapshotStore, readSnapshot } from '../../providers/quickjs/store.ts'
import { failure } from './conformance.ts'
import { canMakeDisks, makeDisk } from './disk.ts'
import { javascript } from './javascript.ts'

let dataDir: string
const pages = () => join(dataDir, 'pages')
const snapshots = () => join(dataDir, 'snapshots')
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'quickjs-store-'))
})
afterEach(() => rm(dataDir, { recursive: true }))

const HEAP_PAGES = 24
const anchors = {
  runtime: 1,
  context: 2,
  report: 3,
  describe: 4,
  filename: 5,
  scratch: 6,
  random: 7,
}

function capture(heap: Buffer, previous: Image | null): Image {
  const spans = [{ first: 0, end: HEAP_PAGES }]
  return captureImage(heap, spans, { byteLength: heap.length, now: 1, anchors }, previous)
}

describe('the page store', () => {
  it('keeps just the segments that its snapshots need, in any order of putting and letting go', async () => {
    const write = tuple(nat({ max: HEAP_PAGES - 1 }), integer({ min: 0, max: 200 }))
    const turn = tuple(array(write, { maxLength: 6 }), boolean(), nat({ max: 9 }))
    const holds = asyncProperty(array(turn, { minLength: 1, maxLength: 12 }), async (turns) => {
      const home = await mkdtemp(join(dataDir, 'turn-'))
      const [one, other] = [await openSnapshotStore(home), await openSnapshotStore(home)]
      const heap = Buffer.alloc(HEAP_PAGES * PAGE_BYTES)
      const kept = new Map<string, Image>()
      let image: Image | null = null
      for (const [i, [writes, isPut, which]] of turns.entries()) {
        // Two processes do it by turns.
        const store = i % 2 === 0 ? one : other
        for (const [page, byte] of writes)
          heap.fill(byte, page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
        image = capture(heap, image)
        const victim = [...kept.keys()][which]
        if (isPut || victim === undefined) {
          if (image.segments.length === 0) continue
          await store.put(image)
          // Equal states have one root, however their pages are packed: the first one stays.
          if (!kept.has(image.root)) kept.set(image.root, image)
        } else {
          await store.remove(victim)
          kept.delete(victim)
        }
        const needed = [...kept.values()].flatMap(({ segments }) => segments.map(({ id }) => id))
        expect(new Set(await readdir(join(home, 'pages')))).toEqual(new Set(needed))
        for (const each of kept.values()) {
          const read = readSnapshot(store.folder(each.root), each.root, decodeImage)
          expect(read.index).toEqual(each.index)
        }
      }
      for (const root of kept.keys()) await one.remove(root)
      expect(await readdir(join(home, 'pages'))).toEqual([])
      expect(await readdir(join(home, 'snapshots'))).toEqual([])
    })
    await assert(holds, { numRuns: 25, seed: 5 })
  })

  it('writes what has changed, and nothing twice', async () => {
    const store = await openSnapshotStore(dataDir)
    const heap = Buffer.alloc(HEAP_PAGES * PAGE_BYTES, 1)
    const first = capture(heap, null)
    heap[0] = 2
    const second = capture(heap, first)
    await store.put(first)
    await store.put(second)
    const sizes = await Promise.all(
      (await readdir(pages())).map(async (id) => (await stat(join(pages(), id))).size),
    )
    expect(sizes.toSorted((a, b) => a - b)).toEqual([
      PAGE_BYTES + HASH_BYTES,
      HEAP_PAGES * (PAGE_BYTES + HASH_BYTES),
    ])
    const shared = second.segments[0]!.id
    const { nlink } = await stat(join(pages(), shared))
    expect(nlink).toBe(3)
    const before = await stat(store.folder(first.root))
    await store.put(first)
    expect((await stat(store.folder(first.root))).ino).toBe(before.ino)
  })

  it('clears away what a crash left', async () => {
    const store = await openSnapshotStore(dataDir)
    const image = capture(Buffer.alloc(HEAP_PAGES * PAGE_BYTES, 1), null)
    await store.put(image)
    const orphan = join(pages(), 'ab'.repeat(32))
    await writeFile(orphan, 'of no one')
    const half = `${store.folder(`0x${'cd'.repeat(32)}`)}.1.x.unfinished`
    const recent = `${half}.2.unfinished`
    for (const folder of [half, recent]) await mkdir(folder)
    const longAgo = new Date(Date.now() - 3_600_000)
    await utimes(half, longAgo, longAgo)
    await openSnapshotStore(dataDir)
    expect(await readdir(pages())).toEqual([image.segments[0]!.id])
    // What is recent may be another process's, at work.
    expect((await readdir(snapshots())).toSorted()).toEqual(
      [image.root, recent.split('/').at(-1)!].toSorted(),
    )
  })
})

describe('quickjs snapshots on the disk', () => {
  let provider: WorldRuntimeProvider
  beforeEach(async () => {
    provider = createQuickjsProvider({ workers: 1 })
    await provider.init({ dataDir })
  })
  afterEach(() => provider.shutdown())

  /** Another process's view: it has no snapshot in memory. */
  async function elsewhere<result>(
    task: (other: WorldRuntimeProvider) => Promise<result>,
  ): Promise<result> {
    const other = createQuickjsProvider({ workers: 1 })
    await other.init({ dataDir })
    try {
      return await task(other)
    } finally {
      await other.shutdown()
    }
  }

  it('are named with what is wrong in them, not used, and can be made again', async () => {
    const { id } = await provider.create({ seed: 1n })
    await provider.execute(id, javascript.add(3))
    const { id: root } = await provider.snapshot(id)
    const folder = join(snapshots(), root)
    const [segment = ''] = (await readdir(folder)).filter((name) => name !== 'index')
    const flip = (at: number) => (content: Buffer) => {
      const where = at < 0 ? content.length + at : at
      content[where] = (content[where] ?? 0) ^ 1
      return content
    }
    const cases: [name: string, spoil: (content: Buffer) => Buffer | null, says: RegExp][] = [
      [segment, flip(-1), /page \d+ of \d+ has another hash/],
      [segment, flip(3), /list of pages has another hash/],
      [segment, (content) => content.subarray(0, -1), /it has \d+ bytes/],
      [segment, () => null, /segment \w+ is missing/],
      ['index', flip(-1), /its index has another hash/],
      ['index', flip(0), /its index has another hash|is missing/],
      ['index', flip(76), /page \d+ is not where it should be/],
      ['index', flip(8), /segment \w+ is missing/],
      ['index', (content) => content.subarray(0, 5), /its index has 5 bytes/],
    ]
    for (const [name, spoil, says] of cases) {
      const path = join(folder, name)
      const spoilt = spoil(await readFile(path))
      if (spoilt === null) await rm(path)
      else await writeFile(path, spoilt)
      await elsewhere(async (other) => {
        for (let attempt = 0; attempt < 2; attempt++)
          expect(await failure(other.branch(root, 2))).toMatchObject({
            code: 'SNAPSHOT_CORRUPT',
            message: expect.stringMatching(new RegExp(`^snapshot ${root} is corrupt: .*`)),
          })
        expect(String(await failure(other.branch(root, 1)))).toMatch(says)
        expect(await other.list()).toEqual([])
      })
      expect((await provider.snapshot(id)).id).toBe(root)
      await elsewhere(async (other) => {
        const [child] = await other.branch(root, 1)
        expect((await other.execute(child!.id, javascript.add(1))).value).toBe(4)
      })
    }
    await provider.forget(root)
    expect(await readdir(pages())).toEqual([])
  })

  it('live on when another process lets its own go', async () => {
    const { id } = await provider.create({ seed: 1n })
    const { id: first } = await provider.snapshot(id)
    await provider.execute(id, javascript.add(1))
    const { id: second } = await provider.snapshot(id)
    await elsewhere((other) => other.forget(first))
    await elsewhere(async (other) => {
      expect(await failure(other.branch(first, 1))).toMatchObject({ code: 'UNKNOWN_SNAPSHOT' })
      const [child] = await other.branch(second, 1)
      expect((await other.execute(child!.id, javascript.add(1))).value).toBe(2)
    })
  })

  it('are put once by worlds that put them at the same time', async () => {
    const worlds = await Promise.all(Array.from({ length: 8 }, () => provider.create({ seed: 9n })))
    const made = await Promise.all(worlds.map(({ id }) => provider.snapshot(id)))
    expect(new Set(made.map(({ id }) => id)).size).toBe(1)
    expect(await readdir(snapshots())).toEqual([made[0]!.id])
    await elsewhere(async (other) => expect(await other.branch(made[0]!.id, 2)).toHaveLength(2))
  })

  it('outlive a store that was moved', async () => {
    const { id } = await provider.create({ seed: 1n })
    const { id: root } = await provider.snapshot(id)
    const moved = `${dataDir}-moved`
    await rename(dataDir, moved)
    try {
      const other = createQuickjsProvider({ workers: 1 })
      await other.init({ dataDir: moved })
      expect(await other.branch(root, 1)).toHaveLength(1)
      await other.shutdown()
    } finally {
      await rename(moved, dataDir)
    }
  })
})

it.skipIf(!canMakeDisks)(
  'a full disk fails a quickjs snapshot and leaves nothing of it',
  async () => {
    const { folder: disk, fill, empty, remove } = await makeDisk(8)
    const provider = createQuickjsProvider({ workers: 1 })
    try {
      await provider.init({ dataDir: disk })
      const { id } = await provider.create({ seed: 1n })
      const { id: before } = await provider.snapshot(id)
      const kept = await readdir(join(disk, 'pages'))
      await provider.execute(id, 'const own = new Uint8Array(2_000_000).fill(7); own.length')
      await fill()
      expect(await failure(provider.snapshot(id))).toMatchObject({
        code: 'DISK_FULL',
        message: expect.stringContaining('disk is full'),
        isRetryable: true,
      })
      expect(await readdir(join(disk, 'snapshots'))).toEqual([before])
      expect(await readdir(join(disk, 'pages'))).toEqual(kept)
      await empty()
      const { id: after } = await provider.snapshot(id)
      const [child] = await provider.branch(after, 1)
      expect((await provider.execute(child!.id, 'own[9]')).value).toBe(7)
    } finally {
      await provider.shutdown()
      await remove()
    }
  },
)
