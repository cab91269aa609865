import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEther } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { closedFormOptimum } from '../../cli/scenario/checks.ts'
import { ACTORS, type Books, expectedAfter, total } from '../../cli/scenario/run.ts'
import { OUTCOMES, pigouSpec } from '../../cli/scenario/spec.ts'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { createProvider } from '../../providers/registry.ts'
import { gf3 } from '../../sdk/gf3.ts'
import { parseSpec, programCode } from '../../sdk/spec.ts'

let folder: string
let provider: WorldRuntimeProvider

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multiverse-scenario-'))
  provider = await createProvider('quickjs')
  await provider.init({ dataDir: folder })
})

afterAll(async () => {
  await provider.shutdown()
  await rm(folder, { recursive: true, force: true })
})

/** What each verse's program reports in a world of its own. */
async function play(degree: number): Promise<Map<string, { cost: number; flow: number }>> {
  const { spec } = parseSpec(JSON.stringify(pigouSpec({ degree })))
  const base = await provider.create({ seed: BigInt(spec.seed) })
  await provider.execute(base.id, spec.setup)
  const { id } = await provider.snapshot(base.id)
  const branches = await provider.branch(id, spec.verses.length)
  const results = await Promise.all(
    spec.verses.map(async (verse, outcome) => {
      const run = await provider.execute(
        branches[outcome]!.id,
        programCode(spec, { ...verse, outcome }),
      )
      return [verse.name, run.value as { cost: number; flow: number }] as const
    }),
  )
  return new Map(results)
}

test.each([1, 2, 3, 4])('the worlds find the closed form of degree %i', async (degree) => {
  const worlds = await play(degree)
  const optimum = closedFormOptimum(degree)
  expect(worlds.get('nash')).toMatchObject({ cost: 1, flow: 1 })
  expect(worlds.get('optimal')!.cost).toBeCloseTo(optimum, 9)
  expect(worlds.get('optimal')!.flow).toBeCloseTo((1 / (degree + 1)) ** (1 / degree), 6)
  const chaos = worlds.get('chaos')!
  expect(chaos.cost).toBeGreaterThanOrEqual(optimum)
  expect(chaos.cost).toBeLessThanOrEqual(1)
})

test('on the affine network the price of anarchy is 4/3', async () => {
  const worlds = await play(1)
  expect(worlds.get('nash')!.cost / worlds.get('optimal')!.cost).toBeCloseTo(4 / 3, 9)
})

test('the spec is a valid one whose trits are conserved', () => {
  const { spec, labels } = parseSpec(JSON.stringify(pigouSpec({ degree: 3 })))
  expect(labels).toEqual([...OUTCOMES])
  expect(gf3(spec.verses.map(({ trit }) => trit))).toEqual({
    sum: 0,
    conserved: true,
    balanced: true,
    triad: true,
  })
})

// By hand: 1000, 500 and 250 minted; 600, 300 + 1 wei and 42.5 pushed down. Traded: nash alice → bob 150, carol → bob 42.5;
// optimal bob → alice 75.25; chaos bob → carol 300 + 1 wei; void carol → alice 1 wei.
const WEI = 1n
const finals = {
  nash: [parseEther('850'), parseEther('692.5'), parseEther('207.5')],
  optimal: [parseEther('1075.25'), parseEther('424.75'), parseEther('250')],
  chaos: [parseEther('1000'), parseEther('200') - WEI, parseEther('550') + WEI],
  void: [parseEther('1000') + WEI, parseEther('500'), parseEther('250') - WEI],
}

test.each(OUTCOMES)(
  'everyone ends with what was worked out by hand when %s comes true',
  (outcome) => {
    const before = Object.fromEntries(
      ACTORS.map(({ name, minted }) => [name, { root: minted, verses: [0n, 0n, 0n, 0n] }]),
    ) as Books
    const after = expectedAfter(before, outcome)
    expect(ACTORS.map(({ name }) => after[name].root)).toEqual(finals[outcome])
    const winner = OUTCOMES.indexOf(outcome)
    expect(total(after, winner)).toBe(parseEther('1750'))
    for (const { name } of ACTORS)
      for (const amount of after[name].verses) expect(amount).toBeGreaterThanOrEqual(0n)
  },
)
