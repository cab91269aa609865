import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { createQuickjsProvider } from '../../providers/quickjs/provider.ts'
import { braess } from '../../providers/scenarios/braess.ts'
import { cournot } from '../../providers/scenarios/cournot.ts'
import { pigou } from '../../providers/scenarios/pigou.ts'
import { publicGoods } from '../../providers/scenarios/publicGoods.ts'
import { scenarioSpec, type Language, type Scenario } from '../../providers/scenarios/scenario.ts'
import { gf3 } from '../../sdk/gf3.ts'
import { parseSpec, programCode, type Spec } from '../../sdk/spec.ts'

/** What is known of a scenario without playing it: costs at equilibrium and at the optimum. */
type Known = { nash: number; optimum: number }

const CASES: [name: string, scenario: Scenario, known: Known][] = [
  ...[1, 2, 3, 4].map((d): [string, Scenario, Known] => [
    `pigou ${d}`,
    pigou(d),
    { nash: 1, optimum: 1 - d * (d + 1) ** (-(d + 1) / d) },
  ]),
  ['braess', braess(), { nash: 2, optimum: 3 / 2 }],
  ...[2, 3, 5].map((n): [string, Scenario, Known] => [
    `public goods of ${n}`,
    publicGoods({ players: n, needed: 4 }),
    { nash: (n * 16) / (n + 1) ** 2, optimum: (n * 16) / (2 * (n ** 2 + 1)) },
  ]),
  ...[1, 2, 3].map((n): [string, Scenario, Known] => [
    `cournot of ${n}`,
    cournot({ firms: n, choke: 10, unitCost: 2 }),
    { nash: 50 - (64 * n * (n + 2)) / (2 * (n + 1) ** 2), optimum: 50 - 32 },
  ]),
]

const hasPython = spawnSync('python3', ['--version']).status === 0

type Play = { cost: number }

/** The codes that a world of each verse runs. */
function codes(spec: Spec): { setup: string; programs: string[] } {
  const programs = spec.verses.map((verse, outcome) => programCode(spec, { ...verse, outcome }))
  return { setup: spec.setup, programs }
}

describe('scenarios', () => {
  let dataDir: string
  let quickjs: WorldRuntimeProvider
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'scenarios-'))
    quickjs = createQuickjsProvider()
    await quickjs.init({ dataDir })
  })
  afterAll(async () => {
    await quickjs.shutdown()
    await rm(dataDir, { recursive: true })
  })

  const play: Record<string, (spec: Spec) => Promise<Play[]>> = {
    'javascript in quickjs': async (spec) => {
      const { setup, programs } = codes(spec)
      const { id } = await quickjs.create({ seed: 1n })
      await quickjs.execute(id, setup)
      const snapshot = await quickjs.snapshot(id)
      const worlds = await quickjs.branch(snapshot.id, programs.length)
      const runs = worlds.map((world, i) => quickjs.execute(world.id, programs[i] ?? ''))
      return (await Promise.all(runs)).map(({ value }) => value as Play)
    },
    'javascript in v8': async (spec) => {
      const { setup, programs } = codes(spec)
      const context = {}
      runInNewContext(setup, Object.assign(context, { globalThis: context }))
      return Promise.all(programs.map((code) => runInNewContext(code, context) as Promise<Play>))
    },
    python: async (spec) => {
      const { setup, programs } = codes(spec)
      return runPython([setup, ...programs]).slice(1) as Play[]
    },
  }

  describe.each(CASES)('%s', (_, scenario, { nash, optimum }) => {
    it('costs what is known of it, in every language and engine', async ({ skip }) => {
      const results: Play[][] = []
      for (const [engine, run] of Object.entries(play)) {
        const language: Language = engine === 'python' ? 'python' : 'javascript'
        if (language === 'python' && !hasPython) continue
        const { spec } = parseSpec(JSON.stringify(scenarioSpec(scenario, { language })))
        const plays = await run(spec)
        results.push(plays)
        const [selfish, cooperative, random] = plays.map(({ cost }) => cost)
        expect(selfish).toBeCloseTo(nash, 9)
        expect(cooperative).toBeCloseTo(optimum, 9)
        expect(selfish! / cooperative!).toBeCloseTo(nash / optimum, 9)
        expect(random).toBeGreaterThan(optimum)
      }
      for (const plays of results) expect(differences(plays, results[0])).toEqual([])
      if (!hasPython) skip('no python3 on this machine: its half of the scenarios was not run')
    })
  })

  it('have a price of anarchy that is known', () => {
    const prices = Object.fromEntries(CASES.map(([name, , k]) => [name, k.nash / k.optimum]))
    expect(prices['pigou 1']).toBeCloseTo(4 / 3, 12)
    expect(prices.braess).toBeCloseTo(4 / 3, 12)
    expect(prices['public goods of 3']).toBeCloseTo(5 / 4, 12)
    // The welfare of a Cournot oligopoly falls short of the best by (n + 1)² / (n (n + 2)).
    for (const n of [1, 2, 3]) {
      const { nash, optimum } = CASES.find(([name]) => name === `cournot of ${n}`)![2]
      expect((50 - optimum) / (50 - nash)).toBeCloseTo((n + 1) ** 2 / (n * (n + 2)), 12)
    }
  })

  it('take what an optimiser chose instead of a strategy', async () => {
    for (const [, scenario, { optimum }] of CASES) {
      const spec = scenarioSpec(scenario)
      const middle = spec.parameters!.map(({ low, high }) => (low + high) / 2)
      const { setup } = codes(spec)
      const verse = { name: 'nash', strategy: 'selfish', trit: -1, outcome: 0 }
      const { id } = await quickjs.create({ seed: 1n })
      await quickjs.execute(id, setup)
      // Once more, as for a second question in the same world.
      await quickjs.execute(id, setup)
      const { value } = await quickjs.execute(id, programCode(spec, verse, middle))
      expect((value as Play).cost).toBeGreaterThanOrEqual(optimum)
    }
  })

  it('refuse an unknown strategy', async () => {
    const spec = scenarioSpec(pigou(1))
    const code = programCode(spec, { name: 'nash', strategy: 'cheating', trit: -1, outcome: 0 })
    const { id } = await quickjs.create({ seed: 1n })
    await quickjs.execute(id, spec.setup)
    await expect(quickjs.execute(id, code)).rejects.toThrow('unknown strategy cheating')
  })

  it.skipIf(!hasPython)('refuse an unknown strategy in Python too', () => {
    const spec = scenarioSpec(pigou(1), { language: 'python' })
    const code = programCode(spec, { name: 'nash', strategy: 'cheating', trit: -1, outcome: 0 })
    expect(() => runPython([spec.setup, code])).toThrow('unknown strategy cheating')
  })

  it('are questions whose trits are conserved', () => {
    for (const [, scenario] of CASES)
      for (const language of ['javascript', 'python'] as const) {
        const { spec } = parseSpec(JSON.stringify(scenarioSpec(scenario, { language })))
        expect(gf3(spec.verses.map(({ trit }) => trit))).toMatchObject({ sum: 0, balanced: true })
      }
  })

  it('draw chance anew for each seed, and every seed there may be', async () => {
    const costs = [0, 1, 1069, 2 ** 32, 2 ** 53 - 1].map((seed) =>
      play['javascript in v8']!(scenarioSpec(braess(), { seed })).then((plays) => plays[2]!.cost),
    )
    expect(new Set(await Promise.all(costs)).size).toBe(5)
    if (!hasPython) return
    for (const seed of [0, 2 ** 32 + 5, 2 ** 53 - 1]) {
      const spec = { seed, language: 'python' } as const
      const there = await play.python!(scenarioSpec(cournot(), spec))
      const here = await play['javascript in v8']!(scenarioSpec(cournot(), { seed }))
      expect(differences(there, here)).toEqual([])
    }
  })
})

function runPython(programs: string[]): unknown[] {
  const script = fileURLToPath(new URL('fixtures/python.py', import.meta.url))
  const run = spawnSync('python3', [script], { input: JSON.stringify(programs), encoding: 'utf8' })
  if (run.status !== 0) throw new Error(run.stderr)
  return JSON.parse(run.stdout) as unknown[]
}

/** Where two values are not equal to 1e-9. */
function differences(actual: unknown, expected: unknown, at = ''): string[] {
  if (typeof expected === 'object' && expected !== null) {
    const [left, right] = [actual, expected] as Record<string, unknown>[]
    const names = new Set([...Object.keys(expected), ...Object.keys(actual ?? {})])
    return [...names].flatMap((name) => differences(left?.[name], right?.[name], `${at}.${name}`))
  }
  const isEqual =
    typeof expected === 'number' ? Math.abs(Number(actual) - expected) < 1e-9 : actual === expected
  return isEqual ? [] : [`${at}: ${String(actual)} is not ${String(expected)}`]
}
