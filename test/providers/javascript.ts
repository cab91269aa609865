import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import type { Dialect } from './conformance.ts'

export const javascript: Dialect = {
  add: (by) => `globalThis.count = (globalThis.count ?? 0) + ${by}`,
  random: 'Math.random()',
  time: 'Date.now()',
  print: 'console.log("out"); console.error("err")',
  fail: 'globalThis.count += 1000; throw new TypeError("broken\\nin two lines")',
  printsAndStays: 'console.log("out"); for (;;);',
  neverEnds: 'for (;;) globalThis.count++',
  eatsMemory: 'for (const all = []; ; ) all.push(new Array(1000).fill(1))',
  recurses: '(function f() { f() })()',
  neverAnswers: 'new Promise(() => {})',
  notJson: ['10n', '() => 1', 'Symbol("s")', '(() => { const a = []; a[0] = a; return a })()'],
  answersTooMuch: '"x".repeat(4_000_000)',
  printsTooMuch: 'for (let i = 0; i < 50; i++) console.log("x".repeat(100_000))',
}

/** What worlds of JavaScript carry through a branch, and what they answer. */
export function javascriptWorlds(create: () => Promise<WorldRuntimeProvider>): void {
  let dataDir: string
  let provider: WorldRuntimeProvider

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'worlds-'))
    provider = await create()
    await provider.init({ dataDir })
  })
  afterAll(async () => {
    await provider.shutdown()
    await rm(dataDir, { recursive: true })
  })

  const run = async (code: string) => {
    const { id } = await provider.create({ seed: 5n })
    try {
      return (await provider.execute(id, code)).value
    } finally {
      await provider.destroy(id)
    }
  }

  /** Runs `setup` in a new world, and then each of `programs` in a branch of its own. */
  async function inBranches(setup: string, programs: string[]): Promise<unknown[]> {
    const { id } = await provider.create({ seed: 5n })
    await provider.execute(id, `${setup}\n;undefined`)
    const { id: snapshotId } = await provider.snapshot(id)
    await provider.destroy(id)
    const children = await provider.branch(snapshotId, programs.length)
    const runs = children.map((child, i) => provider.execute(child.id, programs[i] ?? ''))
    return (await Promise.all(runs)).map((run) => run.value)
  }

  describe('a branch carries', () => {
    it('closures and private state', async () => {
      const setup = `const bump = (() => { let n = 40; return () => ++n })()
        class Purse { #cents = 7; spend(c) { this.#cents -= c; return this.#cents } }
        const purse = new Purse()`
      expect(
        await inBranches(setup, ['bump()', 'bump(); bump()', 'purse.spend(3)', 'purse.spend(1)']),
      ).toEqual([41, 42, 4, 6])
    })

    it('a generator in the middle of its loop', async () => {
      const setup = `const walk = (function* () { for (let i = 0; ; i++) yield i * i })()
        walk.next(); walk.next(); walk.next()`
      expect(
        await inBranches(setup, ['walk.next().value', 'walk.next(); walk.next().value']),
      ).toEqual([9, 16])
    })

    it('a pending promise, and a function that awaits it', async () => {
      const setup = `let settle
        const answer = new Promise((resolve, reject) => { settle = { resolve, reject } })
        const told = (async () => { try { return 'got ' + (await answer) } catch (e) { return 'lost ' + e } })()`
      expect(
        await inBranches(setup, [
          'settle.resolve("cut"); told',
          'settle.reject("hold"); told',
          'settle.resolve(Promise.resolve("raise")); told',
        ]),
      ).toEqual(['got cut', 'lost hold', 'got raise'])
    })

    it('maps, sets, big integers, typed arrays, dates, symbols, cycles', async () => {
      const setup = `const key = {}; const map = new Map([[key, 1n << 100n]]); const set = new Set([1])
        const floats = Float64Array.of(1.5, 2.5); const day = new Date(86400000)
        const tag = Symbol('tag'); const ring = { [tag]: 1 }; ring.self = ring; const weak = new WeakMap([[key, 'w']])`
      const look = `map.set(key, map.get(key) + 1n); set.add(2); floats[0] *= 2
        ;[String(map.get(key)), set.size, [...floats], day.toISOString(), ring.self.self[tag], weak.get(key)]`
      const seen = [
        '1267650600228229401496703205377',
        2,
        [3, 2.5],
        '1970-01-02T00:00:00.000Z',
        1,
        'w',
      ]
      expect(await inBranches(setup, [look, look])).toEqual([seen, seen])
    })

    it('a heap of many mebibytes', async () => {
      const setup = `const rows = Array.from({ length: 200_000 }, (_, i) => ({ i }))
        const bytes = new Uint8Array(8_000_000).fill(3)`
      const sum = `rows[0].i += 1; bytes[9] = 4; rows.reduce((s, r) => s + r.i, 0) + bytes.reduce((s, b) => s + b, 0)`
      expect(await inBranches(setup, [sum, sum])).toEqual([
        19_999_900_001 + 24_000_001,
        19_999_900_001 + 24_000_001,
      ])
    })

    it('the random stream and the clock, from where they were', async () => {
      const setup = 'const drawn = [Math.random(), Math.random()]'
      const look = '[Math.random(), Math.random(), Date.now(), new Date().getTime()]'
      const [one, other] = await inBranches(setup, [look, look])
      expect(other).toEqual(one)
      const [first, second, now, date] = one as number[]
      expect(first).not.toBe(second)
      expect(date).toBe(now)
    })
  })

  describe('a program', () => {
    it.each([
      ['1 + 1', 2],
      ['undefined', null],
      ['null', null],
      ['({ a: [1, "x", true, null], b: undefined })', { a: [1, 'x', true, null] }],
      ['"\\u0000é\\ud800 😀"', '\u0000é\ud800 😀'],
      [
        '(async () => { for (let i = 0; i < 1000; i++) await i; return { cost: 2.5 } })()',
        { cost: 2.5 },
      ],
      ['let late = 0; Promise.resolve().then(() => { late = 7 }); ({ toJSON: () => late })', 7],
      ['new Date(2024, 6, 1).toISOString()', '2024-07-01T00:00:00.000Z'],
      ['new Date(2024, 6, 1).toString()', 'Mon Jul 01 2024 00:00:00 GMT+0000'],
      ['({ __proto__: null, "__proto__x": 1 })', { __proto__x: 1 }],
    ])('%s gives its value', async (code, expected) => {
      expect(await run(code)).toEqual(expected)
    })

    it.each([
      ['throw null', /null/],
      ['throw { get message() { throw 1 } }', /nothing/],
      ['Promise.reject(new RangeError("no"))', /RangeError: no/],
      ['not javascript', /SyntaxError/],
      ['import("node:fs")', /could not load module/],
      ['import fs from "fs"', /SyntaxError/],
      ['JSON.parse("[".repeat(1e6))', /stack overflow/],
      ['eval("(".repeat(1e6))', /stack overflow/],
      ['(function f() { return Reflect.apply(f, null, []) })()', /stack overflow/],
    ])('%s is told', async (code, message) => {
      await expect(run(code)).rejects.toMatchObject({
        code: 'PROGRAM_ERROR',
        message: expect.stringMatching(message),
      })
    })

    it('is told with its stack and its output', async () => {
      const { id } = await provider.create({ seed: 1n })
      const code = 'console.log("so far"); (function deep() { throw new Error("bad") })()'
      await expect(provider.execute(id, code)).rejects.toMatchObject({
        cause: { stdout: 'so far\n', stack: expect.stringContaining('at deep (world.js') },
      })
      await provider.destroy(id)
    })

    it.each([
      'while (true) {}',
      '(async () => { for (;;) await 0 })()',
      '(function f() { return Promise.resolve().then(f) })()',
      '/(a+)+b/.test("a".repeat(50))',
      'throw { get message() { for (;;) {} } }',
      '({ toJSON() { for (;;) {} } })',
      'try { for (;;) {} } catch {} finally { for (;;) {} }',
    ])('%s is stopped', async (code) => {
      const { id } = await provider.create({ seed: 1n })
      await expect(provider.execute(id, code, { timeMs: 60 })).rejects.toMatchObject({
        code: 'EXECUTION_TIMEOUT',
      })
      await provider.destroy(id)
    })
  })
}
