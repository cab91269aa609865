import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { createProgram } from '../cli/program.ts'
import { pigou } from '../providers/scenarios/pigou.ts'
import { DEFAULT_SEED, scenarioSpec } from '../providers/scenarios/scenario.ts'
import { ROSTER } from '../providers/roster.ts'
import { closePlan, SEED_ROLES, selectMode, selectProviders } from '../providers/select.ts'
import { BUNDLES, judge } from '../providers/triads.ts'
import { gf3, mix64, residue, splitmix64 } from '../sdk/gf3.ts'
import { planOutput, providerOutput, sqlOutput } from '../sdk/output.ts'
import {
  branchOutput,
  pipelineOutput,
  snapshotOutput,
  verseOnOutput,
  worldOutput,
} from '../sdk/runtimeOutput.ts'
import { costWev, ramanujanGap, spectralWev, WAD, wevNominal } from '../sdk/wev.ts'
import { inProcess, lastJson } from './cli/harness.ts'
import { type House, openHouse } from './seeds/house.ts'
import { ITEMS, PENDING } from './seeds/items.ts'

// The seeds' checklist (reference: seed-digest, section 4), item by item: a test bears the ids that it asserts.

vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

let house: House
const asserted = new Set<string>()

beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

// A title begins with the items that the test asserts: `G1-G8 words` or `I1+I2 words`.
beforeEach(({ task }) => {
  const [ids = ''] = task.name.split(' ')
  for (const part of ids.split('+')) for (const id of expand(part)) asserted.add(id)
})

function expand(part: string): string[] {
  const [, letter, from, to] = /^([A-Z])(\d+)-[A-Z](\d+)$/.exec(part) ?? []
  if (letter === undefined) return [part]
  return Array.from(
    { length: Number(to) - Number(from) + 1 },
    (_, i) => `${letter}${Number(from) + i}`,
  )
}

const provider = (id: string) => {
  const found = ROSTER.find((row) => row.id === id)
  if (found === undefined) throw new Error(`no provider ${id}`)
  return found
}

const run = async (...args: string[]) => inProcess([...args, '--data', house.dataDir])

/** Runs a command that is to end well, and gives its JSON. */
async function json(...args: string[]): Promise<unknown> {
  const ran = await run(...args, '--json')
  expect([args.join(' '), ran.code, ran.code === 0 ? '' : ran.stderr]).toEqual([
    args.join(' '),
    0,
    '',
  ])
  return lastJson(ran)
}

async function rows(...args: string[]): Promise<Record<string, unknown>[]> {
  const { columns, rows: all } = sqlOutput.parse(await json(...args))
  return all.map((row) => Object.fromEntries(columns.map(({ name }, place) => [name, row[place]])))
}

/** Whether the database refuses a statement, and why. */
async function refusal(sql: string): Promise<string> {
  return house.database
    .write((tx) => tx.run(sql))
    .then(
      () => 'taken',
      (error: Error) => error.message,
    )
}

// Providers: their rows and what they declare

const REGISTRY = [
  ['modal', 1],
  ['morph', 1],
  ['primeintellect', 0],
  ['gensyn', -1],
  ['ritual', -1],
] as const

test('D1+D12+D22+D33+D46+B4+B5+B6+G28 every vendor has its row, and they sum to 0', async () => {
  const found = await house.sql('SELECT provider_id, trit FROM runtime_providers')
  expect(found).toEqual(expect.arrayContaining(REGISTRY.map((row) => [...row])))
  expect(gf3(REGISTRY.map(([, trit]) => trit))).toMatchObject({ sum: 0, conserved: true })
})

test('D2+D13+D23+D34+D47 names and lines', () => {
  const said = (id: string) => `${provider(id).name} ${provider(id).summary}`
  expect(said('modal')).toMatch(
    /Modal.*serverless GPU sandboxes: sub-second cold starts, massive scale/i,
  )
  expect(said('morph')).toMatch(
    /Infinibranch.*instant branching of complete computational environments/,
  )
  expect(said('primeintellect')).toMatch(
    /Distributed RL.*globally decentralized reinforcement learning/,
  )
  expect(said('gensyn')).toMatch(/Decentralized ML.*trustless verification of ML computation/)
  expect(said('ritual')).toMatch(/Ritual.*verifiable ML with ZKML proofs/)
})

test('D3+D6+D16+D18+D27+D37+D39+D52 what they declare is stored, and says that nobody here measured it', async () => {
  const declared = Object.fromEntries(
    (await house.sql('SELECT provider_id, declared::VARCHAR FROM provider_declared')).map((row) => [
      row[0] as string,
      JSON.parse(row[1] as string) as Record<string, unknown>,
    ]),
  )
  expect(declared['modal']).toMatchObject({
    coldStartMs: '<1000',
    concurrency: '50,000+',
    gpus: ['H100', 'A100', 'L4'],
  })
  expect(declared['morph']).toMatchObject({ snapshotMs: '<250', branchOverhead: 'near-zero' })
  expect(declared['primeintellect']).toMatchObject({ maxParams: '100B+' })
  expect(declared['gensyn']).toMatchObject({ computeTypes: ['GPU', 'Apple Silicon'] })
  expect(provider('modal').capabilities).toMatchObject({ languages: ['python'], inference: true })
  expect(provider('morph').capabilities['languages']).toEqual(['python', 'js', 'rust', 'cpp'])
  expect(provider('primeintellect').capabilities['max_params']).toBe('100B+')
  // What each is for.
  const needs = { parallel: false, optimize: false, verify: false }
  expect(selectProviders({ ...needs, parallel: true }, SEED_ROLES).primary).toBe('morph')
  expect(selectProviders({ ...needs, verify: true }, SEED_ROLES).primary).toBe('gensyn')
  const inference = selectMode('inference').members.map(({ id }) => id)
  expect(inference).toEqual(['modal', 'primeintellect', 'ritual'])
})

test('G24-G26 the seeds’ three rows, word for word', async () => {
  const found = await house.sql(
    `SELECT provider_id, name, trit, capabilities::VARCHAR, api_endpoint, auth_method FROM runtime_providers
     WHERE provider_id IN ('morph', 'primeintellect', 'gensyn') ORDER BY provider_id`,
  )
  expect(found.map((row) => row.with(3, JSON.parse(row[3] as string)))).toEqual([
    [
      'gensyn',
      'Gensyn Decentralized ML',
      -1,
      { verification: true, trustless: true, protocol: 'ethereum_rollup' },
      'https://api.gensyn.ai/v1',
      'bearer',
    ],
    [
      'morph',
      'Morph Labs Infinibranch',
      1,
      { snapshot: true, branch: true, languages: ['python', 'js', 'rust', 'cpp'] },
      'https://api.cloud.morph.so/v1',
      'bearer',
    ],
    [
      'primeintellect',
      'PrimeIntellect Distributed RL',
      0,
      { training: true, rl: true, max_params: '100B+', async: true },
      'https://api.primeintellect.ai/v1',
      'bearer',
    ],
  ])
})

// Triads

const TRIADS: Record<string, [string, string]> = {
  E1: ['core-runtime', 'gensyn(-1) primeintellect(0) morph(+1)'],
  E2: ['inference', 'ritual(-1) primeintellect(0) modal(+1)'],
  E3: ['wev', 'gensyn(-1) world-extractable-value(0) morph(+1)'],
  E4: ['full', 'ritual(-1) gensyn(-1) modal(+1) morph(+1) primeintellect(0)'],
  P1: ['core', 'ramanujan-expander(-1) world-extractable-value(0) world-runtime(+1)'],
  P2: ['branching', 'three-match(-1) world-hopping(0) world-runtime(+1)'],
  P3: ['cobordism', 'polyglot-spi(-1) mdm-cobordism(0) world-runtime(+1)'],
  P4: ['tracing', 'shadow-goblin(-1) chromatic-walk(0) world-runtime(+1)'],
  P5: ['state', 'temporal-coalgebra(-1) acsets(0) world-runtime(+1)'],
}

for (const [id, [bundle, members]] of Object.entries(TRIADS))
  test(`${id} ${members} is conserved and balanced, in code and in SQL`, async () => {
    const found = BUNDLES.find((each) => each.id === bundle)!
    const signed = found.members.map(
      (each) => `${each.id}(${each.trit > 0 ? '+' : ''}${each.trit})`,
    )
    expect(signed.join(' ')).toBe(members)
    expect(judge(found)).toMatchObject({ conserved: true, balanced: true, triad: id !== 'E4' })
    const sql = `SELECT trit_sum::INT, conserved, balanced FROM v_triads WHERE triad_id = '${bundle}'`
    expect(await house.sql(sql)).toEqual([[0, true, true]])
  })

test('E5 what fails, and what is conserved without being balanced', () => {
  expect(gf3([-1, -1, 1]).conserved).toBe(false)
  expect(gf3([1]).conserved).toBe(false)
  expect(gf3([1, 1, 1])).toMatchObject({ conserved: true, balanced: false })
})

test('U3+U4 the skills’ trits stand on their memberships', async () => {
  const trits = await house.sql(
    "SELECT DISTINCT member, trit FROM triad_members WHERE member IN ('world-extractable-value', 'chromatic-walk') ORDER BY 1",
  )
  expect(trits).toEqual([
    ['chromatic-walk', 0],
    ['world-extractable-value', 0],
  ])
})

// Selection

const needsOf = (row: number) => ({
  parallel: (row & 4) > 0,
  optimize: (row & 2) > 0,
  verify: (row & 1) > 0,
})
const [NOTHING, VERIFY, OPTIMIZE, BOTH, PARALLEL, BRANCHED, TRAINED, ALL] = [0, 1, 2, 3, 4, 5, 6, 7]
const primary = (row: number) => {
  const { primary: id, trit } = selectProviders(needsOf(row), SEED_ROLES)
  return [id, trit]
}

test('F1+F3 every row of the truth table, branching first', () => {
  for (const row of [PARALLEL, BRANCHED, TRAINED]) expect(primary(row)).toEqual(['morph', 1])
})
test('F2 all three', () => {
  expect(selectProviders(needsOf(ALL), SEED_ROLES)).toMatchObject({
    primary: 'morph',
    optimizer: 'primeintellect',
    verifier: 'gensyn',
    gf3Sum: 0,
  })
})
test('F4 else training', () => {
  for (const row of [OPTIMIZE, BOTH]) expect(primary(row)).toEqual(['primeintellect', 0])
})
test('F5 else verification', () => expect(primary(VERIFY)).toEqual(['gensyn', -1]))
test('F6 else Morph', () => expect(primary(NOTHING)).toEqual(['morph', 1]))
test('F7 no need is dropped, and every plan can be closed', () => {
  for (let row = 0; row < 8; row++) {
    const needs = needsOf(row)
    const plan = selectProviders(needs, SEED_ROLES)
    const serving = [plan.primary, plan.optimizer, plan.verifier]
    const asked = [
      ...(needs.optimize ? ['primeintellect'] : []),
      ...(needs.verify ? ['gensyn'] : []),
    ]
    expect(serving).toEqual(expect.arrayContaining(asked))
    expect(residue(closePlan(plan, SEED_ROLES).gf3Sum)).toBe(0)
  }
})

// Schema: name, type, whether it may be null, key, default

type Column = [name: string, type: string, more?: 'key' | 'required' | `default ${string}`]

const NOW = 'default CURRENT_TIMESTAMP'
const SCHEMA: Record<string, [first: string, columns: Column[]]> = {
  runtime_providers: [
    'G1',
    [
      ['provider_id', 'VARCHAR', 'key'],
      ['name', 'VARCHAR', 'required'],
      ['trit', 'INTEGER'],
      ['capabilities', 'JSON'],
      ['api_endpoint', 'VARCHAR'],
      ['auth_method', 'VARCHAR'],
      ['status', 'VARCHAR', "default 'available'"],
      ['registered_at', 'TIMESTAMP', NOW],
    ],
  ],
  provider_invocations: [
    'G9',
    [
      ['invocation_id', 'VARCHAR', 'key'],
      ['provider_id', 'VARCHAR'],
      ['operation', 'VARCHAR'],
      ['verse_id', 'VARCHAR'],
      ['input_params', 'JSON'],
      ['output_result', 'JSON'],
      ['latency_ms', 'FLOAT'],
      ['cost_units', 'FLOAT'],
      ['invoked_at', 'TIMESTAMP', NOW],
    ],
  ],
  provider_links: [
    'G19',
    [
      ['link_id', 'VARCHAR', 'key'],
      ['source_component', 'VARCHAR'],
      ['target_provider', 'VARCHAR'],
      ['link_config', 'JSON'],
      ['created_at', 'TIMESTAMP', NOW],
    ],
  ],
  world_runtime_entities: [
    'R1',
    [
      ['entity_id', 'VARCHAR', 'key'],
      ['entity_type', 'VARCHAR', 'required'],
      ['parent_id', 'VARCHAR'],
      ['snapshot_id', 'VARCHAR'],
      ['trit', 'INTEGER'],
      ['state', 'VARCHAR', "default 'running'"],
      ['memory_mib', 'INTEGER'],
      ['vcpu_count', 'INTEGER'],
      ['boot_time_ms', 'FLOAT'],
      ['created_at', 'TIMESTAMP', NOW],
      ['resolved_at', 'TIMESTAMP'],
    ],
  ],
  world_branches: [
    'R12',
    [
      ['branch_id', 'VARCHAR', 'key'],
      ['parent_entity_id', 'VARCHAR'],
      ['child_entity_ids', 'VARCHAR[]'],
      ['branch_type', 'VARCHAR'],
      ['snapshot_time_ms', 'FLOAT'],
      ['gf3_sum', 'INTEGER'],
      ['branched_at', 'TIMESTAMP', NOW],
    ],
  ],
  verse_resolutions: [
    'R19',
    [
      ['resolution_id', 'VARCHAR', 'key'],
      ['verses', 'VARCHAR[]'],
      ['winning_verse', 'VARCHAR'],
      ['oracle_source', 'VARCHAR'],
      ['wev_extracted', 'FLOAT'],
      ['pull_up_time_ms', 'FLOAT'],
      ['resolved_at', 'TIMESTAMP', NOW],
    ],
  ],
  runtime_metrics: [
    'R26',
    [
      ['metric_id', 'VARCHAR', 'key'],
      ['entity_id', 'VARCHAR'],
      ['boot_time_ms', 'FLOAT'],
      ['snapshot_time_ms', 'FLOAT'],
      ['branch_time_ms', 'FLOAT'],
      ['memory_overhead_mb', 'FLOAT'],
      ['measured_at', 'TIMESTAMP', NOW],
    ],
  ],
}

for (const [table, [first, columns]] of Object.entries(SCHEMA))
  for (const [place, [name, type, more]] of columns.entries())
    test(`${first[0]}${Number(first.slice(1)) + place} ${table}.${name} ${type} ${more ?? ''}`, async () => {
      const found = await house.sql(`SELECT * FROM (DESCRIBE ${table})`)
      expect(found).toHaveLength(columns.length)
      const [column, is, nullable, key, fallback] = found[place]!
      expect([column, is]).toEqual([name, type])
      expect(key === 'PRI').toBe(more === 'key')
      expect(nullable).toBe(more === 'key' || more === 'required' ? 'NO' : 'YES')
      const wanted = more?.startsWith('default') ? more.slice(8) : null
      const told = /current_timestamp|now\(\)/i.test(JSON.stringify(fallback))
        ? 'CURRENT_TIMESTAMP'
        : fallback
      expect(told).toBe(wanted)
    })

test('keys, checks and defaults hold', async () => {
  const insert = (values: string) =>
    refusal(`INSERT INTO runtime_providers (provider_id, name, trit) VALUES (${values})`)
  expect(await insert("'morph', 'again', 1")).toMatch(/Duplicate key/i)
  expect(await insert("'x', NULL, 1")).toMatch(/NOT NULL/i)
  expect(await insert("'x', 'X', 2")).toMatch(/CHECK/i)
  expect(await insert("'x', 'X', NULL")).toBe('taken')
  expect(
    await house.sql(
      "SELECT status, registered_at IS NOT NULL FROM runtime_providers WHERE provider_id = 'x'",
    ),
  ).toEqual([['available', true]])
  expect(await refusal("DELETE FROM runtime_providers WHERE provider_id = 'x'")).toBe('taken')
  expect(
    await refusal(
      "INSERT INTO provider_invocations (invocation_id, provider_id) VALUES ('i', 'nobody')",
    ),
  ).toMatch(/foreign key/i)
  expect(
    await refusal("INSERT INTO provider_links (link_id, target_provider) VALUES ('l', 'nobody')"),
  ).toMatch(/foreign key/i)
  expect(
    await refusal(
      "INSERT INTO world_runtime_entities (entity_id, entity_type, trit) VALUES ('e', 'verse', 3)",
    ),
  ).toMatch(/CHECK/i)
  expect(
    await refusal(
      "INSERT INTO world_branches (branch_id, parent_entity_id) VALUES ('b', 'nobody')",
    ),
  ).toMatch(/foreign key/i)
  expect(
    await refusal("INSERT INTO runtime_metrics (metric_id, entity_id) VALUES ('m', 'nobody')"),
  ).toMatch(/foreign key/i)
})

test('G27 a status that was changed here survives until the keeper says otherwise', async () => {
  const count = () => house.sql('SELECT count(*)::INT FROM runtime_providers')
  const before = await count()
  expect(
    await refusal(
      `INSERT INTO runtime_providers (provider_id, name, trit, status) VALUES ('morph', 'twice', 1, 'new') ON CONFLICT DO NOTHING`,
    ),
  ).toBe('taken')
  expect(await count()).toEqual(before)
  expect(await house.sql("SELECT name FROM runtime_providers WHERE provider_id = 'morph'")).toEqual(
    [['Morph Labs Infinibranch']],
  )
})

// Commands, in an order in which each finds what it needs

const LANES = [
  ['nash', -1],
  ['optimal', 0],
  ['chaos', 1],
]

test('I17 the seed is decimal or hexadecimal, and decides verses, states and costs', async () => {
  const of = async (seed: string) => verseOnOutput.parse(await json('verse-on-quickjs', seed))
  const [decimal, hex, other] = [await of('1069'), await of('0x42D'), await of('7')]
  const essence = ({ lanes, question }: typeof decimal) => ({
    question,
    lanes: lanes.map(({ verse, stateRoot, cost }) => ({ verse, stateRoot, cost })),
  })
  expect(decimal.seed).toBe(DEFAULT_SEED)
  expect(essence(hex)).toEqual(essence(decimal))
  expect(other.question).not.toBe(decimal.question)
  expect(decimal.lanes.map(({ name, trit }) => [name, trit])).toEqual(LANES)
  // A lane of one generator wants a validator: it is open, and no violation.
  for (const lane of decimal.lanes) expect([lane.sum, lane.debt]).toEqual([1, -1])
})

for (const [id, vendor, variable] of [
  ['I6', 'morph', 'MORPH_API_KEY'],
  ['I7', 'modal', 'MODAL_TOKEN_ID and MODAL_TOKEN_SECRET'],
  ['I8', 'primeintellect', 'PRIME_API_KEY'],
  ['I9', 'gensyn', 'GENSYN_PRIVATE_KEY'],
  ['I10', 'ritual', 'RITUAL_PRIVATE_KEY'],
] as const)
  test(`${id} verse-on-${vendor} without an account says what to set, and calls nobody`, async () => {
    for (const name of provider(vendor).credentials) vi.stubEnv(name, '')
    try {
      const ran = await run(`verse-on-${vendor}`, '1069')
      expect(ran.code).toBe(1)
      expect(ran.stderr).toContain(`error NO_CREDENTIALS: no credentials are set for ${vendor} (`)
      expect(ran.stderr).toContain(`: set ${variable}\n`)
      expect(ran.stdout).toBe('')
    } finally {
      vi.unstubAllEnvs()
    }
    expect(
      await house.sql(`SELECT * FROM provider_invocations WHERE provider_id = '${vendor}'`),
    ).toEqual([])
  })

test('I11+H1-H8 verse-pipeline: branch, optimise, verify, choose; the same again', async () => {
  const once = pipelineOutput.parse(await json('verse-pipeline', '1069'))
  const again = pipelineOutput.parse(await json('verse-pipeline', '1069'))
  const essence = ({ lanes, winner, wev, gf3: sums }: typeof once) => ({
    winner,
    wev,
    sums,
    lanes: lanes.map(({ name, cost, stateRoot }) => ({ name, cost, stateRoot })),
  })
  expect(essence(again)).toEqual(essence(once))
  expect(once.lanes.map(({ name, trit }) => [name, trit])).toEqual(LANES)
  expect(once.winner).toBe('optimal')
  for (const { verified, providers, sum, conserved } of once.lanes) {
    expect([verified, providers]).toEqual([true, ['grpo', 'quickjs', 'replay']])
    expect([sum, conserved]).toEqual([0, true])
  }
  expect(once.gf3).toEqual({ sum: 0, conserved: true })
  // Formulas of 1.4 on the costs that were measured: selfish players cost 1, the optimum 3/4.
  const nash = once.lanes[0]!.optimized?.ownCost ?? once.lanes[0]!.cost
  expect(Number(once.wev?.ratio)).toBeCloseTo(Number(nash) / Number(once.lanes[1]!.cost) - 1, 12)
  const lanes = once.lanes.map(({ verse }) => `'${verse}'`).join()
  const calls = await house.sql(
    `SELECT operation, count(*)::INT FROM provider_invocations
     WHERE verse_id IN (${lanes}) AND operation IN ('optimize', 'verify') GROUP BY ALL ORDER BY 1`,
  )
  expect(calls).toEqual([
    ['optimize', 3],
    ['verify', 3],
  ])
})

test('G18 snapshot, branch, execute and merge all occur', async () => {
  const found = (await house.sql('SELECT DISTINCT operation FROM provider_invocations')).flat()
  expect(found).toEqual(expect.arrayContaining(['snapshot', 'branch', 'execute', 'merge']))
})

test('V1 world-runtime-create', async () => {
  const { world, bootMs } = worldOutput.parse(await json('world-runtime-create'))
  const [row] = await house.sql(
    `SELECT entity_type, boot_time_ms FROM world_runtime_entities WHERE entity_id = '${world}'`,
  )
  expect(row?.[0]).toBe('sandbox')
  expect(Number(row?.[1])).toBeCloseTo(bootMs, 2)
  expect(
    await house.sql(
      `SELECT count(*)::INT FROM runtime_metrics WHERE entity_id = '${world}' AND boot_time_ms > 0`,
    ),
  ).toEqual([[1]])
})

test('V2 world-runtime-snapshot', async () => {
  const { world, snapshot } = snapshotOutput.parse(await json('world-runtime-snapshot'))
  const found = await house.sql(
    `SELECT branch_type FROM world_branches WHERE parent_entity_id = '${world}'`,
  )
  expect(found).toEqual([['snapshot']])
  // Content-addressed: the same state has the same name.
  expect(snapshotOutput.parse(await json('world-runtime-snapshot')).snapshot).toBe(snapshot)
})

test('V3 world-runtime-branch into the three verses', async () => {
  const { children, branch, gf3Sum } = branchOutput.parse(await json('world-runtime-branch'))
  expect(children.map(({ name, trit }) => [name.split('/')[1], trit])).toEqual(LANES)
  expect(gf3Sum).toBe(0)
  expect(
    await house.sql(
      `SELECT branch_type, gf3_sum FROM world_branches WHERE branch_id = '${branch}'`,
    ),
  ).toEqual([['fork', 0]])
})

test('a world that nobody made is a usage error', async () => {
  const ran = await run('world-runtime-snapshot', '--world', 'world-0')
  expect([ran.code, ran.stderr]).toEqual([2, 'error UNKNOWN_WORLD: there is no world world-0\n'])
})

test('I1 providers-list', async () => {
  expect(await rows('providers-list')).toHaveLength(ROSTER.length)
  const ran = await run('providers-list')
  // Five vendors and six here: the generators of this machine are three more than its validators want.
  expect(ran.stdout.trimEnd().split('\n').at(-1)).toBe('GF(3): Σ = 3 ≡ 0 (mod 3) ✓')
})

test('I2 provider-status', async () => {
  vi.stubEnv('MORPH_API_KEY', '')
  const morph = await run('provider-status', 'morph', '--json')
  vi.unstubAllEnvs()
  expect(morph.code).toBe(1)
  expect(providerOutput.parse(lastJson(morph))).toMatchObject({
    status: 'no-credentials',
    calls: 0,
  })
  // The keeper looks again: what is wrong in the row is put right.
  await house.database.write((tx) =>
    tx.run("UPDATE runtime_providers SET status = 'unknown' WHERE provider_id = 'replay'"),
  )
  expect(await json('provider-status', 'replay')).toMatchObject({ status: 'available' })
  const quickjs = providerOutput.parse(await json('provider-status', 'quickjs'))
  expect(quickjs).toMatchObject({ status: 'available', links: ['keeper'] })
  expect(quickjs.calls).toBeGreaterThan(0)
  expect((await run('provider-status', 'nobody')).code).toBe(2)
})

for (const [id, mode, plan] of [
  ['I3', 'full', 'morph modal primeintellect gensyn ritual'],
  ['I4', 'branch', 'morph gensyn'],
  ['I5', 'inference', 'modal primeintellect ritual'],
] as const)
  test(`${id} verse-select ${mode}`, async () => {
    const { members, sum } = planOutput.parse(await json('verse-select', mode))
    expect([members.map((each) => each.id).join(' '), sum]).toEqual([plan, 0])
    expect((await run('verse-select', 'other')).code).toBe(2)
  })

test('I14 provider-efficiency', async () => {
  const spent = (await rows('provider-efficiency')).filter((row) => Number(row['calls']) > 0)
  expect(spent.map((row) => row['provider_id'])).toEqual(
    expect.arrayContaining(['quickjs', 'grpo', 'replay']),
  )
})

test('I15 provider-benchmark', async () => {
  const found = await rows('provider-benchmark')
  const of = (operation: string) =>
    found.find((row) => row['provider_id'] === 'quickjs' && row['operation'] === operation)
  for (const operation of ['snapshot', 'branch', 'execute'])
    expect(of(operation)).toMatchObject({
      within: expect.any(Boolean) as boolean,
      calls: expect.stringMatching(/^[1-9]/) as string,
    })
})

test('I16 gf3-audit, and 1 after a row that is unbalanced on purpose', async () => {
  const before = await rows('gf3-audit')
  expect(before.filter((row) => row['violated'])).toEqual([])
  expect(before.some((row) => row['open'])).toBe(true)
  await house.database.write((tx) =>
    tx.run(
      "INSERT INTO runtime_providers (provider_id, name, trit) VALUES ('odd', 'One too many', 1)",
    ),
  )
  const ran = await run('gf3-audit')
  await house.database.write((tx) =>
    tx.run("DELETE FROM runtime_providers WHERE provider_id = 'odd'"),
  )
  expect(ran.code).toBe(1)
  expect(ran.stdout).toContain('GF(3) is violated in 1 of')
  expect((await run('gf3-audit')).code).toBe(0)
})

test('V6 world-runtime-metrics', async () => {
  const [sandbox] = (await rows('world-runtime-metrics')).filter(
    (row) => row['entity_type'] === 'sandbox',
  )
  expect(Number(sandbox?.['boot_ms'])).toBeGreaterThan(0)
  expect(Number(sandbox?.['snapshot_ms'])).toBeGreaterThan(0)
})
test('V7 world-runtime-entities', async () => {
  const found = await rows('world-runtime-entities')
  // One that was made, the three of its branch, and those of the pipelines.
  expect(found.length).toBeGreaterThanOrEqual(1 + 3 + 2 * 4)
  expect(new Set(found.map((row) => row['entity_type']))).toEqual(new Set(['sandbox', 'verse']))
  for (const row of found.filter((each) => each['state'] === 'collapsed'))
    expect(row['resolved_at']).not.toBeNull()
})
test('V8 world-runtime-branches', async () => {
  const found = await rows('world-runtime-branches')
  expect(new Set(found.map((row) => row['branch_type']))).toEqual(new Set(['snapshot', 'fork']))
  const summed = await house.sql(
    `SELECT b.branch_id FROM (SELECT branch_id, gf3_sum, unnest(child_entity_ids) AS child FROM world_branches) b
     JOIN world_runtime_entities e ON e.entity_id = b.child GROUP BY ALL HAVING sum(e.trit) <> any_value(b.gf3_sum)`,
  )
  expect(summed).toEqual([])
})

/** What needs a chain is run in test/e2e/recipes.ts, on a whole stack: here, that it is there, and what it says on its own. */
test('I12+V4+V5 verse-orchestrate, push-down and pull-up have their commands and recipes', async () => {
  const cases = await readFile(new URL('e2e/recipes.ts', import.meta.url), 'utf8')
  for (const name of ['verse-orchestrate', 'world-runtime-push-down', 'world-runtime-pull-up'])
    expect(cases).toContain(`recipe: '${name}'`)
  const ran = await run('verse-orchestrate', '1069', 'maybe')
  expect([ran.code, ran.stderr]).toEqual([
    2,
    expect.stringContaining('nash, optimal, chaos, void') as string,
  ])
})
test('I18 another word than an outcome is a usage error', async () => {
  for (const name of ['verse-orchestrate', 'world-runtime-pull-up'])
    expect(
      (await run(name, ...(name === 'verse-orchestrate' ? ['7'] : []), 'sometimes')).code,
    ).toBe(2)
})

test('I13+V9 wev-analytics and world-runtime-resolutions, on what an oracle has decided', async () => {
  await house.database.write((tx) =>
    tx.run(`INSERT INTO verse_resolutions VALUES
      ('r1', ['a', 'b', 'c'], 'b', 'manual', 65, 2, '2026-01-02 03:00:00'), ('r2', ['a', 'b'], 'a', 'manual', 35, 4, '2026-01-03 03:00:00')`),
  )
  const [first, second] = await rows('wev-analytics')
  expect(first).toMatchObject({ resolutions: '1', wev: 65, cumulative: 65 })
  expect(second).toMatchObject({ wev: 35, cumulative: 100 })
  const found = await rows('world-runtime-resolutions')
  expect(found.map((row) => [row['resolution_id'], row['verses'], row['winning_verse']])).toEqual([
    ['r2', '2', 'a'],
    ['r1', '3', 'b'],
  ])
})

test('every command of the seeds is a verb and a recipe', () => {
  const program = createProgram({
    progress: { say: () => {}, begin: () => {}, end: () => {} },
    finish: async () => {},
    signal: () => new AbortController().signal,
  })
  const verbs = program.commands.map((each) => each.name())
  const root = fileURLToPath(new URL('..', import.meta.url))
  const recipes = execFileSync(join(root, 'node_modules/.bin/just'), ['--summary'], { cwd: root })
    .toString()
    .trim()
    .split(' ')
  const named = [
    'providers-list',
    'provider-status',
    'verse-select',
    'verse-on-morph',
    'verse-on-modal',
    'verse-on-primeintellect',
    'verse-on-gensyn',
    'verse-on-ritual',
    'verse-pipeline',
    'verse-orchestrate',
    'wev-analytics',
    'provider-efficiency',
    'provider-benchmark',
    'gf3-audit',
    ...[
      'create',
      'snapshot',
      'branch',
      'push-down',
      'pull-up',
      'metrics',
      'entities',
      'branches',
      'resolutions',
    ].map((name) => `world-runtime-${name}`),
  ]
  expect(verbs).toEqual(expect.arrayContaining(named))
  expect(recipes).toEqual(expect.arrayContaining(named))
})

// Numbers

test('L11-L13 three verses: trits -1, 0, +1 and probabilities that sum to one', () => {
  const { verses, seed } = scenarioSpec(pigou(1))
  expect(verses.map(({ name, trit, probability }) => [name, trit, probability])).toEqual([
    ['nash', -1, '0.45'],
    ['optimal', 0, '0.35'],
    ['chaos', 1, '0.2'],
  ])
  expect(seed).toBe(1069)
  expect(gf3(verses.map(({ trit }) => trit)).sum).toBe(0)
})

test('L14+L15 WEV = PoA - 1, and the pull-up of 45/35/20', () => {
  expect(costWev(150n * WAD, 100n * WAD).wevRatio).toBe(WAD / 2n)
  expect(costWev(WAD, 0n).wevRatio).toBeNull()
  expect(costWev(1n, 2n)).toMatchObject({ wevRatio: 0n, isInverted: true })
  const question = `0x${'01'.repeat(32)}` as const
  const holdings = [45n, 35n, 20n].map((amount, outcome) => ({
    owner: 'alice',
    amount,
    path: [{ question, outcome }],
  }))
  expect(wevNominal(holdings, question, 1)).toBe(65n)
})

const declares = (id: string, figure: string) => provider(id).declared[figure]

test('J1-J5 Morph', () => {
  expect([
    declares('morph', 'snapshotMs'),
    declares('morph', 'branch3Ms'),
    declares('morph', 'cost'),
  ]).toEqual(['<250', '<250', '$$'])
  expect(declares('morph', 'executeMs')).toBeUndefined()
  expect(provider('morph').capabilities).not.toHaveProperty('verification')
})
test('J6-J10 Prime Intellect', () => {
  for (const operation of ['snapshot', 'branch', 'verification'])
    expect(provider('primeintellect').capabilities).not.toHaveProperty(operation)
  expect([declares('primeintellect', 'execute'), declares('primeintellect', 'cost')]).toEqual([
    'async',
    '$$$',
  ])
})
test('J11-J15 Gensyn', () => {
  for (const operation of ['snapshot', 'branch', 'execute'])
    expect(provider('gensyn').capabilities).not.toHaveProperty(operation)
  expect([declares('gensyn', 'verify'), declares('gensyn', 'cost')]).toEqual(['probabilistic', '$'])
})
test('J16-J20 combined: for each operation the provider of the triad that has it', async () => {
  const triad = ['morph', 'primeintellect', 'gensyn'].map(provider)
  const best = (figure: string) =>
    triad.map((row) => row.declared[figure]).find((value) => value !== undefined)
  expect([best('snapshotMs'), best('branch3Ms'), best('execute')]).toEqual([
    '<250',
    '<250',
    'async',
  ])
  expect(provider('gensyn').capabilities['trustless']).toBe(true)
  // A label, and not the sum of the three tiers.
  const tiers = triad.map((row) => (row.declared['cost'] as string).length)
  expect(tiers.reduce((sum, tier) => sum + tier, 0)).toBe(6)
  expect(await readFile(new URL('../docs/seeds.md', import.meta.url), 'utf8')).toContain('`$$$$`')
})

test('M2+M3+M6+S1+S10+S13 Firecracker’s own figures are declared', () => {
  expect(provider('microvm').declared).toMatchObject({
    bootMs: '~125',
    overheadMb: '~5',
    vcpus: '1-32',
    isolation: 'KVM + seccomp',
  })
})
test('S2+S5+S8+S14 Infinibranch’s own figures are declared', () => {
  expect(provider('morph').declared).toMatchObject({
    createMs: '~250',
    snapshotMs: '<250',
    branch3Ms: '<250',
    isolation: 'Full VM',
  })
})

test('spectra and vectors: d = 5, 10, 17, 26 have whole gaps, and SplitMix64 has the digest’s words', () => {
  const found = [5, 10, 17, 26].map((degree) => spectralWev(ramanujanGap(degree)).gap)
  for (const [place, gap] of [1, 4, 9, 16].entries()) expect(found[place]).toBeCloseTo(gap, 12)
  expect(spectralWev(ramanujanGap(4)).priceOfAnarchy).toBeCloseTo(2.866025, 6)
  expect(mix64(0x0598f318e2b9e884n)).toBe(0xf061ebbc2ca74d78n)
  expect(splitmix64(1069n)).toBe(0x97629500787d9c76n)
})

test('X11 the graph of worlds as node-link JSON', async () => {
  const [[document] = []] = await house.sql('SELECT document::VARCHAR FROM branch_graph')
  const graph = JSON.parse(document as string) as {
    nodes: { id: string }[]
    links: { source: string; target: string }[]
  }
  const ids = new Set(graph.nodes.map(({ id }) => id))
  expect(graph.links.length).toBeGreaterThan(0)
  for (const { source, target } of graph.links)
    expect([ids.has(source), ids.has(target)]).toEqual([true, true])
})

test('X18 the coordinator’s colour', async () => {
  expect(await house.sql('SELECT gf3_colour(-1), gf3_colour(0), gf3_colour(1)')).toEqual([
    ['#2626D8', '#26D826', '#D82626'],
  ])
})

test('Y every number of the seeds stands in one place', async () => {
  const declared = JSON.stringify(ROSTER)
  for (const number of [
    '<250',
    '~125',
    '~250',
    '~5',
    '1-32',
    '<1000',
    '50,000+',
    '100B+',
    'intellect-3',
    'llama-3.3-70b',
    'H100',
    'A100',
    'L4',
    'morphvm-minimal',
    'debian_slim',
    'verse-runner',
    'verse-optimization',
    'verify_verse_result',
    'ethereum',
    'base',
  ])
    expect(declared).toContain(number)
  expect([
    declares('primeintellect', 'workers'),
    declares('gensyn', 'reward'),
    declares('morph', 'branches'),
  ]).toEqual([100, 100, 3])
  expect(DEFAULT_SEED).toBe(0x42d)
  const page = await readFile(new URL('../docs/seeds.md', import.meta.url), 'utf8')
  for (const words of ['734', '2-3 minutes', 'pre-event', 'pre-split'])
    expect(page).toContain(words)
})

// The walk itself

test('every item is asserted or pending, and pending are calls of vendors alone', () => {
  const pending = Object.keys(PENDING)
  console.log(`pending until the vendors' adapters: ${pending.join(' ')}`)
  for (const id of pending) expect(id).toMatch(/^[DEF]\d+$/)
  const missing = ITEMS.filter((id) => !asserted.has(id) && !pending.includes(id))
  expect(missing).toEqual([])
  expect([...asserted].filter((id) => pending.includes(id))).toEqual([])
  const named = [...asserted].filter((id) => /^[A-Z]\d*$/.test(id))
  expect(named.filter((id) => !ITEMS.includes(id))).toEqual([])
})
