import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
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
import { INITIAL_BYTES, STACK_TOP, STATIC_END } from '../../providers/quickjs/build.ts'
import { createEngine, type World } from '../../providers/quickjs/engine.ts'
import { createGuest, readText, writeText } from '../../providers/quickjs/guest.ts'
import {
  captureImage,
  decodeImage,
  encodeImage,
  imageBytes,
  imageHead,
  restoreImage,
  type Image,
} from '../../providers/quickjs/image.ts'
import { PAGE_BYTES, pageCount } from '../../providers/quickjs/segment.ts'
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

const wasm = createRequire(import.meta.url).resolve('@jitl/quickjs-wasmfile-release-sync/wasm')
const module = await WebAssembly.compile(readFileSync(wasm))

function run(world: World, program: string): string {
  const stop = new Int32Array(new SharedArrayBuffer(4))
  return world.run(program, { timeMs: 10_000, memoryBytes: 67_108_864, stop }).json
}

describe('engine', () => {
  it('boots into one state', () => {
    const roots = [1, 2, 3].map(() => createEngine(module).boot().capture(null).root)
    expect(new Set(roots).size).toBe(1)
  })

  it('leaves nothing of a world in the instance that another one gets', () => {
    const grow = 'globalThis.all = Array.from({ length: 40_000 }, (_, i) => "s" + i); all.length'
    const [engine, clean] = [createEngine(module), createEngine(module)]
    const empty = engine.boot().capture(null)
    const first = engine.restore(empty)
    run(first, 'globalThis.all = Array.from({ length: 40_000 }, () => ({ secret: 1 })); undefined')
    const filled = first.capture(null)
    expect(imageHead(filled).byteLength).toBe(imageHead(empty).byteLength)
    first.release()
    const [second, fresh] = [engine.restore(empty), clean.restore(empty)]
    expect(second.capture(null).root).toBe(empty.root)
    for (const world of [second, fresh]) expect(run(world, grow)).toBe('40000')
    expect(second.capture(null).root).toBe(fresh.capture(null).root)
    expect(run(clean.restore(filled), 'all[39_999].secret')).toBe('1')
  })

  it('throws in the guest when a host function has no link', () => {
    const guest = createGuest(module, INITIAL_BYTES)
    const { api, bytes } = guest
    api.initialise()
    const context = api.newContext(api.newRuntime(), 0)
    const name = writeText(guest, 'ask').at
    const taken: string[] = []
    const take = (text: string) => {
      taken.push(text)
      return null
    }
    guest.host.links = new Map([[7, { take, maxBytes: 3 }]])
    const outcomes = [7, 99].map((id) => {
      const fn = api.newFunction(context, name, 1, 0, id)
      const args = api.malloc(4)
      bytes().writeUInt32LE(fn, args)
      return api.takeException(context, api.call(context, fn, fn, 1, args))
    })
    const [none, thrown = 0] = outcomes
    expect(none).toBe(0)
    expect(taken).toEqual(['fun'])
    const { text } = readText(guest, api.toText(context, thrown), 100)
    expect(text).toBe('ReferenceError: host function 99 has no link')
  })

  it('keeps the stack out of the state', () => {
    const world = createEngine(module).boot()
    run(world, '(function f(n) { return n === 0 ? 0 : 1 + f(n - 1) })(300)')
    const image = world.capture(null)
    const memory = Buffer.alloc(imageHead(image).byteLength)
    restoreImage(image, memory)
    expect(memory.subarray(STATIC_END, STACK_TOP).every((byte) => byte === 0)).toBe(true)
    expect(memory.subarray(0, STATIC_END).some((byte) => byte !== 0)).toBe(true)
  })

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
  const spans = [
    { first: 0, end: 3 },
    { first: 5, end: 40 },
  ]
  const captured = (heap: Buffer, previous: Image | null) =>
    captureImage(heap, spans, { byteLength: heap.length, now: 12.5, anchors }, previous)

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
          expect(image.index).toEqual(anew.index)
          const { segments } = image
          const load = (id: string) => segments.find((segment) => segment.id === id)!
          expect(decodeImage(Buffer.concat(encodeImage(image)), image.root, load)).toEqual(image)
          const restored = Buffer.alloc(heap.length)
          restoreImage(image, restored)
          expect(restored.equals(heap)).toBe(true)
          expect(image.segments.length).toBeLessThanOrEqual(8)
          const stored = segments.reduce((sum, segment) => sum + pageCount(segment), 0)
          expect(stored * PAGE_BYTES).toBeLessThanOrEqual(2 * imageBytes(image))
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
    expect(pageCount(second.segments[1]!)).toBe(1)
    expect(imageHead(second)).toEqual({ byteLength: heap.length, now: 12.5, anchors })
    expect(captured(heap, second).segments).toEqual(second.segments)
  })
})
