import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createQuickjsProvider } from '../../providers/quickjs/provider.ts'
import { failure } from './conformance.ts'
import { javascript } from './javascript.ts'

const isDeep = process.env['DEEP'] === '1'
/** Each makes a world, snapshots it, branches it in two, runs both and lets everything go. */
const CYCLES = isDeep ? 10_000 : 400
/** By then, what is kept for good has been made. */
const SETTLED = CYCLES / 4
const MIB = 1_048_576

it(
  `quickjs leaves nothing behind after ${CYCLES} rounds`,
  { timeout: 60_000 + CYCLES * 100 },
  async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'quickjs-leaks-'))
    const provider = createQuickjsProvider({ workers: 2, maxResidents: 8 })
    const threads = async () => (await readdir('/proc/self/task')).length
    const files = async () => (await readdir('/proc/self/fd')).length
    const memory: number[] = []
    // Expectations keep something of their own: there is none in the loop.
    let failures = 0
    try {
      await provider.init({ dataDir })
      const begun = { threads: 0, files: 0 }
      for (let cycle = 0; cycle < CYCLES; cycle++) {
        const { id } = await provider.create({ seed: BigInt(cycle), key: `world ${cycle}` })
        await provider.execute(id, javascript.add(cycle))
        const snapshot = await provider.snapshot(id, { key: `snapshot ${cycle}` })
        const children = await provider.branch(snapshot.id, 2, { key: `children ${cycle}` })
        const [one, other] = children.map((child) => child.id)
        // One succeeds, one fails: neither is to leave anything.
        await provider.execute(one!, javascript.add(1))
        if ((await failure(provider.execute(other!, javascript.fail))) !== null) failures++
        await provider.merge([one!, other!], { winner: one! })
        for (const each of [id, one!]) await provider.destroy(each)
        await provider.forget(snapshot.id)
        if (cycle === SETTLED)
          Object.assign(begun, { threads: await threads(), files: await files() })
        if (cycle >= SETTLED) memory.push(process.memoryUsage().rss)
      }
      expect(failures).toBe(CYCLES)
      expect(await provider.list()).toEqual([])
      for (const folder of ['pages', 'snapshots'])
        expect(await readdir(join(dataDir, folder))).toEqual([])
      expect(await threads()).toBeLessThanOrEqual(begun.threads)
      expect(await files()).toBeLessThanOrEqual(begun.files)
      // Flat: what the last quarter takes at the least is about what the first one took at the most.
      const quarter = Math.floor(memory.length / 4)
      const growth = Math.min(...memory.slice(-quarter)) - Math.max(...memory.slice(0, quarter))
      expect(growth / MIB).toBeLessThan(32)
    } finally {
      await provider.shutdown()
      await rm(dataDir, { recursive: true })
    }
  },
)
