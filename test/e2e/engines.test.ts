import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { closedFormOptimum } from '../../cli/scenario/checks.ts'
import type { Summary } from '../../cli/scenario/summary.ts'
import { detectMicrovm } from '../../providers/microvm/detect.ts'
import { lastJson, multiverse } from '../cli/harness.ts'
import { describeWithEngine, findGvisor } from '../helpers/engines.ts'

// The default scenario in worlds of the other engines: what comes out must be what came out of QuickJS.

// A guest may have to be booted for the first time, under software emulation.
vi.setConfig({ testTimeout: 600_000 })

let place: string

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'multiverse-engines-'))
})
afterEach(async () => {
  await rm(place, { recursive: true, force: true })
})

async function demonstrate(provider: string): Promise<Summary> {
  const args = ['demo', '--json', '--degree', '3', '--provider', provider]
  const ran = await multiverse(args, { TMPDIR: place })
  expect(ran.stderr).not.toContain('did NOT hold')
  expect(ran.code).toBe(0)
  expect(await readdir(place)).toEqual([])
  return lastJson(ran) as Summary
}

/** What a run in worlds of QuickJS came to, told as a claim about another's. */
async function sameAsQuickjs(provider: string) {
  const { winner, worlds } = await demonstrate('quickjs')
  expect(Number(worlds[1]!.cost)).toBeCloseTo(closedFormOptimum(3), 9)
  return {
    winner,
    worlds: worlds.map(({ name, cost }) => ({ name, provider, cost: near(Number(cost)) })),
    lanes: worlds.map(() => ({ providers: [provider, 'replay'], sum: 0, conserved: true })),
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

describeWithEngine('demo in gVisor', await findGvisor(), () => {
  test('comes to the same costs and winner as in QuickJS', async () => {
    expect(await cameTo('gvisor')).toEqual(await sameAsQuickjs('gvisor'))
  })
})

describeWithEngine('demo in microVMs', await detectMicrovm(), () => {
  test('comes to the same costs and winner as in QuickJS', async () => {
    expect(await cameTo('microvm')).toEqual(await sameAsQuickjs('microvm'))
  })
})
