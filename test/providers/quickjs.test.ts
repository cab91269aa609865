import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { createQuickjsProvider } from '../../providers/quickjs/provider.ts'
import { conformance, failure } from './conformance.ts'
import { javascript, javascriptWorlds } from './javascript.ts'
import { conformanceBy } from './transports.ts'

describe('quickjs', () => {
  conformanceBy(
    {
      'in process': {},
      'over a unix socket': {},
      'over TCP': {},
    },
    () => createQuickjsProvider(),
    { dialect: javascript },
  )
  describe('with one worker and one live world', () => {
    conformance({
      create: async () => createQuickjsProvider({ workers: 1, maxResidents: 1 }),
      dialect: javascript,
    })
  })
  describe('worlds', () => {
    javascriptWorlds(async () => createQuickjsProvider())
  })

  describe('alone', () => {
    let dataDir: string
    let provider: WorldRuntimeProvider
    const run = async (code: string) => {
      const { id } = await provider.create({ seed: 1n })
      return (await provider.execute(id, code)).value
    }
    beforeEach(async () => {
      dataDir = await mkdtemp(join(tmpdir(), 'quickjs-'))
      provider = createQuickjsProvider({ workers: 2 })
      await provider.init({ dataDir })
    })
    afterEach(async () => {
      await provider.shutdown()
      await rm(dataDir, { recursive: true })
    })

    it('computes the same in another process', async () => {
      const { id } = await provider.create({ seed: 99n })
      await provider.execute(id, SETUP)
      const snapshot = await provider.snapshot(id)
      const here = await provider.execute(id, PROGRAM)
      // Made again from its image, and on from a live instance, the world is the same too.
      const [child] = await provider.branch(snapshot.id, 1)
      expect(await provider.execute(child?.id ?? '', PROGRAM)).toMatchObject(comparable(here))
      const script = fileURLToPath(new URL('fixtures/another-process.ts', import.meta.url))
      const { stdout } = await promisify(execFile)(
        process.execPath,
        [script, dataDir, snapshot.id, SETUP, PROGRAM],
        { env: { TZ: 'Asia/Kolkata', LANG: 'de_DE.UTF-8' } },
      )
      expect(JSON.parse(stdout)).toEqual({
        snapshotId: snapshot.id,
        branched: comparable(here),
        rerun: comparable(here),
      })
    })

    it('replaces a worker stuck in one step of the engine, and loses no other world', async () => {
      const { id } = await provider.create({ seed: 1n })
      await provider.execute(id, javascript.add(1))
      const { id: snapshotId } = await provider.snapshot(id)
      const children = await provider.branch(snapshotId, 4)
      const [stuck, ...others] = children.map((child) => child.id)
      // Replaces in one native call, which polls nothing, for minutes.
      const step = '"x".repeat(2 ** 20).replaceAll("x", "x".repeat(2 ** 20))'
      const late = failure(provider.execute(stuck ?? '', step, { timeMs: 50 }))
      const runs = others.map((other) => provider.execute(other, javascript.add(1)))
      expect((await Promise.all(runs)).map((run) => run.value)).toEqual([2, 2, 2])
      expect(await late).toMatchObject({ code: 'EXECUTION_TIMEOUT' })
      for (const child of [id, ...children.map((each) => each.id)])
        await provider.execute(child, javascript.add(1))
      expect((await provider.execute(stuck ?? '', javascript.add(0))).value).toBe(2)
    })

    it('runs worlds side by side', async () => {
      const { id } = await provider.create({ seed: 1n })
      const { id: snapshotId } = await provider.snapshot(id)
      const pair = await provider.branch(snapshotId, 2)
      const [slow, quick] = pair.map((child) => child.id)
      const ended: string[] = []
      const controller = new AbortController()
      const options = { signal: controller.signal }
      const long = provider
        .execute(slow ?? '', javascript.neverEnds, options)
        .catch(() => ended.push('slow'))
      await provider.execute(quick ?? '', javascript.add(1))
      ended.push('quick')
      controller.abort()
      await long
      expect(ended).toEqual(['quick', 'slow'])
    })

    it('keeps the operator’s limits above the caller’s', async () => {
      const strict = createQuickjsProvider({ workers: 1 })
      await strict.init({ dataDir, limits: { timeMs: 50, memoryBytes: 4_194_304 } })
      const { id } = await strict.create({ seed: 1n })
      const generous = { timeMs: 60_000, memoryBytes: 2 ** 30 }
      await expect(strict.execute(id, javascript.neverEnds, generous)).rejects.toMatchObject({
        code: 'EXECUTION_TIMEOUT',
      })
      await expect(
        strict.execute(id, 'new ArrayBuffer(5_000_000); 1', generous),
      ).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' })
      await strict.shutdown()
    })

    it('lets a program that catches its lack of memory go on', async () => {
      const { id } = await provider.create({ seed: 1n })
      const code = `let all = []; try { for (;;) all.push({}) } catch (e) { all = null; e.message }`
      const { value } = await provider.execute(id, code, { memoryBytes: 2_097_152 })
      expect(value).toBe('out of memory')
      expect((await provider.execute(id, javascript.add(1))).value).toBe(1)
    })

    it('draws from xorshift64* seeded with SplitMix64', async () => {
      const { id } = await provider.create({ seed: 0n })
      const { value } = await provider.execute(id, '[Math.random(), Math.random()]')
      const mask = (1n << 64n) - 1n
      // The first output of SplitMix64 seeded with 0, from its authors' reference code.
      let state = 0xe220a8397b1dcdafn
      const draw = () => {
        state ^= state >> 12n
        state = (state ^ (state << 25n)) & mask
        state ^= state >> 27n
        const bits = (state * 0x2545f4914f6cdd1dn) & mask
        return Number(bits >> 12n) / 2 ** 52
      }
      expect(value).toEqual([draw(), draw()])
    })

    describe('a world reaches nothing outside', () => {
      it('has the language and console, no more', async () => {
        const names = (await run('Object.getOwnPropertyNames(globalThis)')) as string[]
        const foreign = names.filter((name) => !(name in globalThis))
        expect(foreign.filter((name) => !LANGUAGE.includes(name))).toEqual([])
        for (const name of HOST) expect(names).not.toContain(name)
        expect(await run('typeof process + typeof require + typeof fetch')).toBe(
          'undefined'.repeat(3),
        )
      })

      it('makes functions of its own kind only', async () => {
        const reach = `const seen = []
          for (const make of [Function, eval, (async () => {}).constructor, (function* () {}).constructor,
              console.log.constructor, [].constructor.constructor])
            try { seen.push(typeof make('return typeof process + typeof require')) } catch (e) { seen.push(e.name) }
          const g = Function('return this')()
          seen.push(g === globalThis, Function('return typeof process')())
          seen`
        expect(await run(reach)).toEqual([
          'function',
          'SyntaxError',
          'function',
          'function',
          'function',
          'function',
          true,
          'undefined',
        ])
      })

      it('pollutes no prototype but its own', async () => {
        const pollute = `Object.prototype.polluted = 1; Array.prototype.push = () => { throw 1 }
          JSON.stringify = () => '"forged"'; Promise.prototype.then = null; Function.prototype.call = null
          Object.prototype.toJSON = function () { return this.polluted === 1 && typeof this }
          ;({ a: 1 })`
        expect(await run(pollute)).toBe('object')
        expect('polluted' in {}).toBe(false)
        expect(await run('({}).polluted ?? null')).toBe(null)
        const { id } = await provider.create({ seed: 1n })
        await provider.execute(id, '({ ["__proto__"]: { polluted: 1 } })')
        expect('polluted' in {}).toBe(false)
      })

      it('survives a hostile end', async () => {
        const { id } = await provider.create({ seed: 1n })
        const hostile = `globalThis.Error = globalThis.TypeError = globalThis.ReferenceError = null
          delete globalThis.JSON; delete globalThis.console; Object.prototype.message = { toString: null }
          Object.defineProperty(Object.prototype, 'name', { get() { throw this } }); throw {}`
        await expect(provider.execute(id, hostile)).rejects.toMatchObject({ code: 'PROGRAM_ERROR' })
        expect((await provider.execute(id, '1')).value).toBe(1)
      })
    })
  })
})

const SETUP = 'const past = [Math.random(), new Date().toString()]; const m = new Map(); undefined'
const PROGRAM = `for (let i = 0; i < 20_000; i++) m.set(i, { r: Math.random(), s: 'k' + i })
  ;(async () => { await 0; return [past, [...m.values()].reduce((s, v) => s + v.r, 0), Date.now(),
    new Date(2024, 2, 31, 2).toString(), (1e21 + 0.1).toString(), Math.sin(1e6), [3, 1, 2].sort()] })()`

function comparable({ value, stateRoot }: { value: unknown; stateRoot: string }) {
  return { value, stateRoot }
}

/** Globals of the engine's language that Node may lack, or that vitest hides. */
const LANGUAGE = [
  'InternalError',
  'escape',
  'unescape',
  'Iterator',
  'Float16Array',
  'console',
  'host',
]
const HOST = [
  'process',
  'require',
  'module',
  'global',
  'Buffer',
  'fetch',
  'setTimeout',
  'WebAssembly',
  'performance',
  'std',
  'os',
  'print',
  'navigator',
  'Worker',
  'crypto',
]
