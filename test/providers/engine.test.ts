import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  array,
  assert,
  asyncProperty,
  constantFrom,
  integer,
  nat,
  property,
  tuple,
} from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  captureImage,
  encodeImage,
  imageBytes,
  imageHead,
  PAGE_BYTES,
  restoreImage,
  type Image,
} from '../../providers/quickjs/image.ts'
import { createQuickjsProvider } from '../../providers/quickjs/provider.ts'

const PROGRAMS = [
  'globalThis.n = (globalThis.n ?? 0) + 1',
  'globalThis.all = Array.from({ length: 3000 }, () => ({ r: Math.random() })); undefined',
  'globalThis.all = undefined',
  'globalThis.map ??= new Map(); for (let i = 0; i < 500; i++) map.set(i + n, String(i)); map.size',
  'let deep = 0; try { (function f() { deep++; f() })() } catch {}; deep',
  'globalThis.text = (globalThis.text ?? "x").repeat(3).slice(0, 100_000); text.length',
  '[...Array(2000).keys()].sort((a, b) => (a * 7919) % 2003 - (b * 7919) % 2003)[5]',
  '(async () => { for (let i = 0; i < 50; i++) await i; return Date.now() })()',
  'JSON.stringify(globalThis.all ?? []).replace(/[0-9]/g, "").length',
  'try { JSON.parse("[".repeat(1e5)) } catch (e) { e.message }',
].map((program) => `{ ${program} }`)

describe('engine', () => {
  it('gives one world one history, whether it stays live or is restored for every run', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'engine-'))
    const live = createQuickjsProvider({ workers: 1 })
    const restored = createQuickjsProvider({ workers: 1, maxResidents: 0 })
    await Promise.all([live.init({ dataDir }), restored.init({ dataDir })])
    try {
      const histories = array(constantFrom(...PROGRAMS), { maxLength: 8 })
      const sameHistory = asyncProperty(histories, async (programs) => {
        const [one, other] = [await live.create({ seed: 1n }), await restored.create({ seed: 1n })]
        for (const program of ['globalThis.n = 0', ...programs]) {
          const { value, stateRoot } = await live.execute(one.id, program)
          expect(await restored.execute(other.id, program)).toMatchObject({ value, stateRoot })
        }
        await Promise.all([live.destroy(one.id), restored.destroy(other.id)])
      })
      await assert(sameHistory, { numRuns: 25, seed: 2 })
    } finally {
      await Promise.all([live.shutdown(), restored.shutdown()])
      await rm(dataDir, { recursive: true })
    }
  })
})

describe('image', () => {
  const addresses = { runtime: 1, context: 2, report: 3, describe: 4 }
  const anchors = { ...addresses, filename: 5, scratch: 6, random: 7 }
  const build = new Uint8Array(32).fill(9)
  const spans = [
    { first: 0, end: 3 },
    { first: 5, end: 40 },
  ]
  const captured = (heap: Buffer, previous: Image | null) =>
    captureImage(heap, spans, { byteLength: heap.length, now: 12.5, anchors }, build, previous)

  it('grown from an earlier one equals one taken anew, whatever was written between', () => {
    const write = tuple(nat({ max: 39 }), integer({ min: 0, max: 3 }))
    assert(
      property(array(array(write, { maxLength: 40 }), { maxLength: 30 }), (turns) => {
        const heap = Buffer.alloc(64 * PAGE_BYTES)
        let image: Image | null = null
        for (const writes of turns) {
          for (const [page, byte] of writes)
            heap.fill(byte, page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
          heap.fill(0, 3 * PAGE_BYTES, 5 * PAGE_BYTES)
          image = captured(heap, image)
          const anew = captured(heap, null)
          expect(image.root).toBe(anew.root)
          expect(Buffer.concat(encodeImage(image))).toEqual(Buffer.concat(encodeImage(anew)))
          const restored = Buffer.alloc(heap.length)
          restoreImage(image, restored)
          expect(restored.equals(heap)).toBe(true)
          expect(image.segments.length).toBeLessThanOrEqual(8)
          const stored = image.segments.reduce((sum, segment) => sum + segment.byteLength, 0)
          expect(stored).toBeLessThanOrEqual(2 * imageBytes(image))
        }
      }),
      { numRuns: 40, seed: 3 },
    )
  })

  it('shares the pages that did not change', () => {
    const heap = Buffer.alloc(64 * PAGE_BYTES, 1)
    const first = captured(heap, null)
    heap[7 * PAGE_BYTES] = 2
    const second = captured(heap, first)
    expect(second.segments[0]).toBe(first.segments[0])
    expect(second.segments[1]?.byteLength).toBe(PAGE_BYTES)
    expect(imageHead(second)).toEqual({ byteLength: heap.length, now: 12.5, anchors })
    expect(captured(heap, second).segments).toEqual(second.segments)
  })
})
