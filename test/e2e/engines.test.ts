import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { closedFormOptimum } from '../../cli/scenario/checks.ts'
import { pigouSpec } from '../../cli/scenario/spec.ts'
import type { Summary } from '../../cli/scenario/summary.ts'
import { createWarmWorlds } from '../../keeper/warm.ts'
import { createGvisorProvider } from '../../providers/gvisor/provider.ts'
import { createMicrovmProvider } from '../../providers/microvm/provider.ts'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { lastJson, multiverse } from '../cli/harness.ts'
import { describeWithEngine, findGvisor, findMicrovm } from '../helpers/engines.ts'
import { costsInQuickjs } from '../providers/verses.ts'

// The default scenario in worlds of the other engines: what comes out must be what comes out of QuickJS.

// A guest may have to be booted for the first time, under software emulation.
vi.setConfig({ testTimeout: 600_000 })

const DEGREE = 3

let place: string

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'multiverse-engines-'))
})
afterEach(async () => {
  await rm(place, { recursive: true, force: true })
})

async function demonstrate(provider: string): Promise<Summary> {
  const args = ['demo', '--json', '--degree', String(DEGREE), '--provider', provider]
  const ran = await multiverse(args, { TMPDIR: place })
  expect(ran.stderr).not.toContain('did NOT hold')
  expect(ran).toMatchObject({ code: 0, stderr: expect.any(String) })
  expect(await readdir(place)).toEqual([])
  return lastJson(ran) as Summary
}

/** What a run in a provider's worlds must come to, told by worlds of QuickJS. */
async function sameAsQuickjs(provider: string) {
  const spec = pigouSpec({ degree: DEGREE })
  const [costs = []] = await costsInQuickjs(spec)
  expect(costs[1]).toBeCloseTo(closedFormOptimum(DEGREE), 9)
  const verses = spec.verses.slice(0, costs.length)
  return {
    winner: verses[costs.indexOf(Math.min(...costs))]!.name,
    worlds: verses.map(({ name }, i) => ({ name, provider, cost: near(costs[i]!) })),
    lanes: verses.map(() => ({ providers: [provider, 'replay'], sum: 0, conserved: true })),
  }
}

const near = (cost: number) => expect.closeTo(cost, 9) as number

async function cameTo(provider: string) {
  const { winner, worlds, gf3 } = await demonstrate(provider)
  return {
    winner,
    worlds: worlds.map(({ name, provider: host, cost }) => ({
      name,
      provider: host,
      cost: Number(cost),
    })),
    lanes: gf3.lanes.map(({ providers, sum, conserved }) => ({ providers, sum, conserved })),
  }
}

/** Worlds that are made before they are asked for, and one that is made when it is. */
async function handsOutReadyWorlds(raw: WorldRuntimeProvider) {
  const starts: ['cold' | 'warm', number][] = []
  const pool = createWarmWorlds(raw, {
    size: 1,
    component: 'keeper',
    onCreated: (start, ms) => void starts.push([start, ms]),
    onError: (error) => expect.fail(String(error)),
  })
  const { provider } = pool
  await raw.init({ dataDir: place })
  await raw.receiveLinkConfig({ source: 'keeper', target: raw.id, name: 'default', config: {} })
  try {
    const create = () => provider.create({ seed: 7n, component: 'keeper' })
    const first = await create()
    // One more is made ready in the background.
    await expect.poll(async () => (await raw.list()).length, { timeout: 60_000 }).toBe(2)
    const second = await create()
    expect([first.isWarm, second.isWarm]).toEqual([undefined, true])
    const runs = [first, second].map(({ id }) => provider.execute(id, '#!/bin/sh\necho 7 >&3'))
    expect((await Promise.all(runs)).map((run) => run.value)).toEqual([7, 7])
    expect(starts.map(([start]) => start)).toEqual(['cold', 'warm'])
    return { cold: starts[0]![1], warm: starts[1]![1] }
  } finally {
    await provider.shutdown()
  }
}

describeWithEngine('gVisor', await findGvisor(), () => {
  test('a demo comes to the same costs and winner as in QuickJS', async () => {
    expect(await cameTo('gvisor')).toEqual(await sameAsQuickjs('gvisor'))
  })
  test('worlds are kept ready', async () => {
    const { cold, warm } = await handsOutReadyWorlds(createGvisorProvider())
    expect(warm).toBeLessThan(cold / 4)
  })
})

describeWithEngine('microVMs', await findMicrovm(), () => {
  test('a demo comes to the same costs and winner as in QuickJS', async () => {
    expect(await cameTo('microvm')).toEqual(await sameAsQuickjs('microvm'))
  })
  test('worlds are kept ready', async () => {
    const { cold, warm } = await handsOutReadyWorlds(createMicrovmProvider())
    expect(warm).toBeLessThan(cold / 4)
  })
})
