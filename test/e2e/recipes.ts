import { execFileSync, spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { listProviders } from '../../providers/registry.ts'
import { planOutput, providerOutput, sqlOutput } from '../../sdk/output.ts'
import {
  branchOutput,
  orchestrateOutput,
  pipelineOutput,
  pulledOutput,
  pushedOutput,
  snapshotOutput,
  verseOnOutput,
  worldOutput,
} from '../../sdk/runtimeOutput.ts'
import { harnessEnv, inProcess, lastJson, type Ran } from '../cli/harness.ts'

// The justfile's recipes, each run by `just` itself on a stack that has played the default scenario: the seeds' commands print
// rows of that very run.

const root = fileURLToPath(new URL('../..', import.meta.url))
const just = join(root, 'node_modules/.bin/just')

type Case = {
  recipe: string
  args?: string[]
  /** What it exits with; 0 unless said. */
  code?: number
  check?: (ran: Ran) => void
}

type Row = Record<string, unknown>

/** The rows of a view by their columns' names; there is at least one. */
function rows(ran: Ran): Row[] {
  const answer = sqlOutput.parse(lastJson(ran))
  expect(answer.rows.length).toBeGreaterThan(0)
  return answer.rows.map((row) =>
    Object.fromEntries(answer.columns.map(({ name }, place) => [name, row[place]])),
  )
}

const VENDORS = {
  modal: 'MODAL_TOKEN_ID and MODAL_TOKEN_SECRET',
  morph: 'MORPH_API_KEY',
  primeintellect: 'PRIME_API_KEY',
  gensyn: 'GENSYN_PRIVATE_KEY',
  ritual: 'RITUAL_PRIVATE_KEY',
}

/** It says which variables to set, and does nothing. */
function lacksAccount(id: string, variables: string) {
  return ({ stderr }: Ran) => {
    expect(stderr).toContain(`error NO_CREDENTIALS: no credentials are set for ${id} (`)
    expect(stderr).toContain(`): set ${variables}
`)
  }
}

/** It says what the machine lacks. */
function lacksEngine({ stderr }: Ran) {
  expect(stderr).toMatch(/^error PROVIDER_UNAVAILABLE: /m)
}

const onVendors = Object.entries(VENDORS).map(([id, variables]) => ({
  recipe: `verse-on-${id}`,
  args: ['1069'],
  code: 1,
  check: lacksAccount(id, variables),
}))

/** Three lanes that ran, and who is in each of them. */
const lanes = (providers: string[], isVerified: boolean) => (ran: Ran) => {
  const { lanes: shown, seed } = verseOnOutput.parse(lastJson(ran))
  expect(seed).toBe(1069)
  expect(shown.map(({ name, trit }) => [name, trit])).toEqual([
    ['nash', -1],
    ['optimal', 0],
    ['chaos', 1],
  ])
  for (const lane of shown) {
    expect(lane.error).toBeNull()
    expect(lane.providers).toEqual(expect.arrayContaining(providers))
    expect(lane.verified).toBe(isVerified)
    expect((lane.sum + lane.debt) % 3).toBe(0)
  }
  expect(new Set(shown.map(({ stateRoot }) => stateRoot)).size).toBe(3)
}

/** Commands that act, in an order in which each finds what it needs. */
const ACTING: Case[] = [
  { recipe: 'verse-on-quickjs', args: ['1069'], check: lanes(['quickjs'], false) },
  { recipe: 'verse-on-replay', args: ['0x42D'], check: lanes(['quickjs', 'replay'], true) },
  { recipe: 'verse-on-grpo', args: ['1069'], check: lanes(['grpo', 'quickjs'], false) },
  { recipe: 'verse-on-evm', args: ['1069'], check: lanes(['evm'], false) },
  {
    recipe: 'verse-pipeline',
    args: ['1069'],
    check(ran) {
      const { winner, wev, gf3, lanes: shown } = pipelineOutput.parse(lastJson(ran))
      expect(winner).toBe('optimal')
      // The known price of anarchy of Pigou's network.
      expect(Number(wev?.ratio)).toBeCloseTo(1 / 3, 6)
      expect(gf3).toEqual({ sum: 0, conserved: true })
      for (const { providers } of shown) expect(providers).toEqual(['grpo', 'quickjs', 'replay'])
    },
  },
  {
    recipe: 'verse-orchestrate',
    args: ['1069', 'chaos', '--no-optimize', '--amount', '2.5'],
    check(ran) {
      const told = orchestrateOutput.parse(lastJson(ran))
      expect(told).toMatchObject({
        seed: 1069,
        gf3Sum: 0,
        conserved: true,
        oracle: 'chaos',
        advised: 'optimal',
        collapsed: ['nash', 'optimal', 'void'],
        redeemed: '2.5',
      })
      expect(told.verses.map(({ balance }) => balance)).toEqual(['2.5', '2.5', '2.5', '2.5'])
      // Who keeps a complete set is moved nothing from: 5.1 of the digest.
      expect(told.wev).toMatchObject({ nominal: '7.5', realized: '0' })
      expect(Number(told.wev.ratio)).toBeCloseTo(1 / 3, 6)
    },
  },
  {
    recipe: 'world-runtime-create',
    check: (ran) => expect(worldOutput.parse(lastJson(ran)).name).toBe('world-1069'),
  },
  {
    recipe: 'world-runtime-snapshot',
    check: (ran) => expect(snapshotOutput.parse(lastJson(ran)).bytes).toBeGreaterThan(0),
  },
  {
    recipe: 'world-runtime-branch',
    check(ran) {
      const { children, gf3Sum } = branchOutput.parse(lastJson(ran))
      expect(children.map(({ trit }) => trit)).toEqual([-1, 0, 1])
      expect(gf3Sum).toBe(0)
    },
  },
  {
    recipe: 'world-runtime-push-down',
    args: ['7', '--owner', 'bob'],
    check(ran) {
      const { verses, conserved, amount } = pushedOutput.parse(lastJson(ran))
      expect([amount, conserved]).toEqual(['100', true])
      expect(verses.map(({ balance }) => balance)).toEqual(['100', '100', '100', '100'])
      expect(verses.slice(0, 3).every(({ verified }) => verified)).toBe(true)
    },
  },
  {
    recipe: 'world-runtime-pull-up',
    args: ['nash', '--owner', 'bob'],
    check: (ran) =>
      expect(pulledOutput.parse(lastJson(ran))).toMatchObject({ winner: 'nash', redeemed: '100' }),
  },
]

/** Commands that look, at what the scenario and those above have left. */
const LOOKING: Case[] = [
  {
    recipe: 'providers-list',
    check(ran) {
      const listed = rows(ran)
      expect(listed).toHaveLength(11)
      for (const id of Object.keys(VENDORS))
        expect(listed.find((row) => row['provider_id'] === id)?.['status']).toBe('no-credentials')
    },
  },
  {
    recipe: 'provider-status',
    args: ['quickjs'],
    check(ran) {
      const { status, calls, links, p95 } = providerOutput.parse(lastJson(ran))
      expect([status, links]).toEqual(['available', ['keeper']])
      expect(calls).toBeGreaterThan(10)
      expect(p95).toBeGreaterThan(0)
    },
  },
  {
    recipe: 'verse-select',
    args: ['full'],
    check: (ran) => expect(planOutput.parse(lastJson(ran)).members).toHaveLength(5),
  },
  {
    recipe: 'wev-analytics',
    check(ran) {
      const last = rows(ran).at(-1)!
      expect(Number(last['resolutions'])).toBeGreaterThanOrEqual(1)
      // The scenario's own nominal figure, and what came after it.
      expect(Number(last['cumulative'])).toBeGreaterThanOrEqual(2827.5)
    },
  },
  {
    recipe: 'provider-efficiency',
    check(ran) {
      const spent = rows(ran).filter((row) => Number(row['calls']) > 0)
      expect(spent.map((row) => row['provider_id'])).toEqual(
        expect.arrayContaining(['quickjs', 'replay', 'grpo']),
      )
      for (const row of spent) expect(Number(row['total_cost'])).toBeGreaterThan(0)
    },
  },
  {
    recipe: 'provider-benchmark',
    check(ran) {
      const operations = rows(ran).map((row) => row['operation'])
      expect(operations).toEqual(
        expect.arrayContaining(['snapshot', 'branch', 'execute', 'merge', 'optimize', 'verify']),
      )
    },
  },
  {
    recipe: 'gf3-audit',
    check(ran) {
      const audited = rows(ran)
      expect(audited.filter((row) => row['violated'])).toEqual([])
      expect(new Set(audited.map((row) => row['scope']))).toEqual(
        new Set(['registry', 'pipeline', 'branch']),
      )
    },
  },
  {
    recipe: 'world-runtime-metrics',
    check: (ran) =>
      expect(rows(ran).map((row) => row['entity_type'])).toEqual(
        expect.arrayContaining(['sandbox', 'verse']),
      ),
  },
  {
    recipe: 'world-runtime-entities',
    check(ran) {
      const states = new Set(rows(ran).map((row) => row['state']))
      expect([...states]).toEqual(expect.arrayContaining(['running', 'snapshotted', 'collapsed']))
    },
  },
  {
    recipe: 'world-runtime-branches',
    check(ran) {
      const branches = rows(ran)
      const types = new Set(branches.map((row) => row['branch_type']))
      expect([...types]).toEqual(expect.arrayContaining(['push_down', 'fork', 'snapshot']))
      for (const row of branches) expect(row['gf3_sum']).toBe(0)
    },
  },
  {
    recipe: 'world-runtime-resolutions',
    check(ran) {
      const resolutions = rows(ran)
      expect(resolutions.length).toBeGreaterThanOrEqual(1)
      for (const row of resolutions) expect(Number(row['wev_extracted'])).toBeGreaterThan(0)
    },
  },
]

/** Engines that a machine may lack: then the command says so and how to get them. */
const ENGINES = ['gvisor', 'microvm']

async function onEngines(): Promise<Case[]> {
  const found = await listProviders({}, ENGINES, 'glance')
  return found.map(({ id, status }) => ({
    recipe: `verse-on-${id}`,
    args: ['1069'],
    ...(status === 'unavailable' ? { code: 1, check: lacksEngine } : { check: lanes([id], false) }),
  }))
}

async function run({ recipe, args = [] }: Case, dataDir: string): Promise<Ran> {
  const child = spawn(just, [recipe, ...args, '--json', '--data', dataDir], {
    cwd: root,
    env: harnessEnv(),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  return { code, stdout, stderr }
}

/** Runs a case, checks what it printed, and gives what it exited with, and what it said if that is wrong. */
async function outcome(
  each: Case,
  dataDir: string,
  runner = run,
): Promise<[string, number | null, string?]> {
  const ran = await runner(each, dataDir)
  if (ran.code !== (each.code ?? 0)) return [each.recipe, ran.code, ran.stderr]
  each.check?.(ran)
  return [each.recipe, ran.code]
}

const expected = ({ recipe, code = 0 }: Case) => [recipe, code]

/** The commands that look, of a folder on which nothing runs: without `just`, which was seen to pass on what it is given. */
export async function lookWhereNothingRuns(dataDir: string): Promise<void> {
  const here = ({ recipe, args = [] }: Case) =>
    inProcess([recipe, ...args, '--json', '--data', dataDir])
  // One after another: one process at a time has the database.
  for (const each of LOOKING) expect(await outcome(each, dataDir, here)).toEqual(expected(each))
}

/** Registers the tests, in order, on the running stack of a data folder. */
export function testRecipes(dataDir: () => string): void {
  test('every recipe of the justfile has a case here', async () => {
    const dump = execFileSync(just, ['--dump', '--dump-format', 'json'], { cwd: root })
    const { recipes } = JSON.parse(dump.toString()) as {
      recipes: Record<string, { private: boolean }>
    }
    const named = Object.keys(recipes).filter((name) => !recipes[name]!.private)
    const cases = [...ACTING, ...onVendors, ...LOOKING, ...(await onEngines())].map(
      ({ recipe }) => recipe,
    )
    expect(named.toSorted()).toEqual(cases.toSorted())
  })

  test('those that act do, one after another; those without an account say so', async () => {
    const inOrder = async () => {
      for (const each of [...ACTING, ...(await onEngines())])
        expect(await outcome(each, dataDir())).toEqual(expected(each))
    }
    // Those that do nothing for want of an account are in nobody's way.
    const beside = onVendors.map(async (each) =>
      expect(await outcome(each, dataDir())).toEqual(expected(each)),
    )
    await Promise.all([inOrder(), ...beside])
  })

  test('those that look see rows of this very run', async () => {
    const outcomes = await Promise.all(LOOKING.map((each) => outcome(each, dataDir())))
    expect(outcomes).toEqual(LOOKING.map(expected))
  })
}
