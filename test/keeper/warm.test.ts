import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createWarmWorlds } from '../../keeper/warm.ts'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { createQuickjsProvider } from '../../providers/quickjs/provider.ts'
import { MultiverseError } from '../../sdk/errors.ts'

// Worlds that are ready before they are asked for.

const component = 'keeper'
let folder: string
let raw: WorldRuntimeProvider

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warm-'))
  raw = createQuickjsProvider({ workers: 1 })
  await raw.init({ dataDir: folder })
  await raw.receiveLinkConfig({ source: component, target: raw.id, name: 'default', config: {} })
})
afterEach(async () => {
  await raw?.shutdown()
  await rm(folder, { recursive: true, force: true })
})

function warmed(size: number, provider = raw) {
  const starts: string[] = []
  const errors: unknown[] = []
  const pool = createWarmWorlds(provider, {
    size,
    component,
    onCreated: (start) => void starts.push(start),
    onError: (error) => void errors.push(error),
  })
  return { ...pool, starts, errors }
}

const count = async () => (await raw.list()).length

test('hands out what is ready, replaces it, and tells warm from cold', async () => {
  const { provider, keep, starts } = warmed(2)
  keep(7n)
  await expect.poll(count).toBe(2)
  // What nobody asked for yet is nobody's world.
  expect(await provider.list()).toEqual([])
  const first = await provider.create({ seed: 7n, component, key: 'a' })
  expect(first.isWarm).toBe(true)
  expect((await provider.create({ seed: 7n, component, key: 'a' })).id).toBe(first.id)
  await expect.poll(count).toBe(3)
  expect((await provider.list()).map(({ id }) => id)).toEqual([first.id])

  // A world is its seed: one of another cannot stand in for it. From then on those are kept.
  const other = await provider.create({ seed: 8n, component })
  expect(other.isWarm).toBeUndefined()
  const { value: drawn } = await provider.execute(other.id, 'Math.random()')
  const cold = await raw.create({ seed: 8n })
  expect((await raw.execute(cold.id, 'Math.random()')).value).toBe(drawn)
  await raw.destroy(cold.id)
  await expect.poll(count).toBe(4)
  const third = await provider.create({ seed: 8n, component })
  expect((await provider.execute(third.id, 'Math.random()')).value).toBe(drawn)
  expect(starts).toEqual(['warm', 'cold', 'warm'])

  // A key stands for its world only while that lives.
  await provider.destroy(first.id)
  expect((await provider.create({ seed: 8n, component, key: 'a' })).id).not.toBe(first.id)
})

test('keeps none with size 0, and none for others than its component', async () => {
  const none = warmed(0)
  none.keep(7n)
  await none.provider.create({ seed: 7n, component })
  expect(none.starts).toEqual(['cold'])
  expect(await count()).toBe(1)
  const one = warmed(1)
  one.keep(7n)
  await expect.poll(count).toBe(2)
  await one.provider.create({ seed: 7n })
  expect(one.starts).toEqual(['cold'])
})

test('does without where none can be made, and says so', async () => {
  let isBroken = true
  const create: typeof raw.create = async (options) => {
    if (isBroken) throw new MultiverseError('PROVIDER_FAILED', 'no machine')
    return raw.create(options)
  }
  const { provider, keep, errors, starts } = warmed(1, { ...raw, create })
  keep(7n)
  await expect.poll(() => errors).toMatchObject([{ code: 'PROVIDER_FAILED' }])
  await expect(provider.create({ seed: 7n, component })).rejects.toThrow('no machine')
  isBroken = false
  await provider.create({ seed: 7n, component })
  expect(starts).toEqual(['cold'])
  await expect.poll(count).toBe(2)
})
