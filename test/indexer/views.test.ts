import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../indexer/analytics/database.ts'
import { createQuery } from '../../indexer/analytics/query.ts'
import { recordSupplies } from '../../indexer/analytics/supplies.ts'
import { BUNDLES } from '../../providers/triads.ts'
import { event, insertRows, MONDAY, NOWHERE, ROOT, ZERO } from './rows.ts'

// The views and macros beyond the seeds' own, on rows few enough to work every figure out by hand.

let folder: string
let database: Database

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multiverse-views-'))
  database = await openDatabase(folder, NOWHERE)
})

afterAll(async () => {
  await database.close()
  await rm(folder, { recursive: true, force: true })
})

const insert = (table: string, rows: readonly Record<string, unknown>[]) =>
  insertRows(database, table, rows)

async function ask(sql: string) {
  return (await createQuery(database)(sql)).rows
}

describe('64-bit words', () => {
  test.each([
    ['splitmix64(1069)', '0x97629500787d9c76'],
    ['chromatic_step(1069, -1)', '0xe2e74fe9f9fb3c16'],
    ['chromatic_step(1069, 0)', '0x03a242a1a7d34585'],
    ['chromatic_step(1069, 1)', '0x9e68213bcc3af878'],
    ['trace_seed(1069, -1)', '0xf92b1b46f9332061'],
    ['trace_seed(1069, 0)', '0x97629500787d9c76'],
    ['trace_seed(1069, 1)', '0x359a0eb9f7c8188b'],
    ...[
      [0, '0xf061ebbc2ca74d78'],
      [1, '0x34dc5aa0b7117465'],
      [2, '0x34370514cc4e9a8c'],
      [5, '0xb5222cb8ae6e1886'],
      [9, '0xd726fcf3f1d357d5'],
      [100, '0xd8113f2a2d028a37'],
      [1_000, '0xbfbeef187ed62ad5'],
    ].map(([k, value]) => [`splitmix64_at('0x0598F318E2B9E884'::UBIGINT, ${k})`, value]),
  ])('%s is %s', async (call, value) => {
    expect(await ask(`SELECT hex64(${call})`)).toEqual([[value]])
  })

  test('the agents of the genesis seed', async () => {
    expect(
      await ask('SELECT role, trit, hex64(seed) FROM chromatic_agents(1069) ORDER BY trit'),
    ).toEqual([
      ['validator', -1, '0x3c6ef372fe94fc07'],
      ['coordinator', 0, '0x9e3779b97f4a7838'],
      ['generator', 1, '0x000000000000042d'],
    ])
  })
})

describe('trits', () => {
  test.each([
    ['gf3_residue(-4)', 2],
    ['gf3_missing(0)', 0],
    ['gf3_missing(1)', -1],
    ['gf3_missing(-1)', 1],
    ['gf3_missing(-4)', 1],
    ['gf3_conserved([1, 1, 1])', true],
    ['gf3_balanced([1, 1, 1])', false],
    ['gf3_conserved([-1, -1, 1])', false],
    ['gf3_balanced([-1, -1, 1, 1, 0])', true],
    ["walk_commits([1, 0, -1], ['a', 'b', 'c'])", true],
    ["walk_commits([1, 0, -1], ['a', 'b', 'a'])", false],
    ["walk_commits([1, 0, 1], ['a', 'b', 'c'])", false],
    ['three_match(1, 10, 19, 2)', true],
    ['three_match(1, 10, 19, 3)', false],
    ['three_match(4, 4, 4, 9)', true],
    // Bits: 0b11 against 0; epochs 4 apart; nothing in common: 2² + 4² + 10².
    ["round(world_distance(3, 4, ['a'], 0, 0, ['b']), 6)", 10.954451],
    // Half of what is true in either: 10 × (1 - 1/3).
    ["round(world_distance(0, 0, ['a', 'b'], 0, 0, ['b', 'c']), 6)", 6.666667],
    ['world_distance(7, 1, [], 7, 1, [])', 0],
    ['valid_hop(1, 2, 3)', true],
    ['valid_hop(1, 2, 3.1)', false],
    ['hop_reaches(2.5, 1)', true],
    ['hop_reaches(2.5, 0)', false],
    ['hop_extractable(3, 0.5)::DOUBLE', 1.5],
    ['hop_detour([1, 2, 2], 3)::INT', 2],
  ])('%s is %s', async (call, value) => {
    expect(await ask(`SELECT ${call}`)).toEqual([[value]])
  })
})

test("the triads are the providers' own, each conserved and balanced", async () => {
  const stored = await ask(
    `SELECT t.triad_id, t.name, list(m.member ORDER BY m.place), list(m.trit ORDER BY m.place)
     FROM triads t JOIN triad_members m USING (triad_id) GROUP BY t.triad_id, t.name ORDER BY t.triad_id`,
  )
  const known = BUNDLES.map(({ id, name, members }) => [
    id,
    name,
    members.map((member) => member.id),
    members.map(({ trit }) => trit),
  ])
  expect(stored).toEqual(known.toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1)))
  expect(await ask('SELECT DISTINCT conserved, balanced FROM v_triads')).toEqual([[true, true]])
  expect(
    await ask("SELECT members, is_triad FROM v_triads WHERE triad_id IN ('core', 'full')"),
  ).toEqual([
    ['ramanujan-expander(-1) ⊗ world-extractable-value(0) ⊗ world-runtime(+1)', true],
    ['ritual(-1) ⊗ gensyn(-1) ⊗ modal(+1) ⊗ morph(+1) ⊗ primeintellect(0)', false],
  ])
})

describe('a small multiverse', () => {
  // Question a (two answers) is asked at the root; b is asked in a=0. Alice has 100 in both of a's verses and pushes 40 of
  // those in a=0 down into b; she gives bob 10 in a=0 & b=1. Then b is answered 1, and a 0.
  const token = '0xtt'
  const verses = { a0: '0xaa00000000000000', a1: '0xaa11', b0: '0xbb00', b1: '0xbb11' }
  const [alice, bob, keeper] = ['0xa11ce', '0xb0b', '0xcafe']

  beforeAll(async () => {
    const question = (block: number, id: string, deadline: number) => ({
      ...event(block),
      question: id,
      oracle: '0x0c',
      outcomes: 2,
      deadline,
      spec_hash: '0x5c',
      terms_hash: '0x7e',
      survivors: [0, 1],
    })
    await insert('questions', [question(1, 'a', MONDAY + 3_600), question(2, 'b', MONDAY + 7_200)])
    const verse = (id: string, block: number, parent: string, asked: string, outcome: number) => ({
      ...event(block),
      verse: id,
      parent,
      question: asked,
      outcome,
      depth: parent === ROOT ? 1 : 2,
      path: '[]',
    })
    await insert('verses', [
      verse(verses.a0, 3, ROOT, 'a', 0),
      verse(verses.a1, 3, ROOT, 'a', 1),
      verse(verses.b0, 4, verses.a0, 'b', 0),
      verse(verses.b1, 4, verses.a0, 'b', 1),
    ])
    const step = (id: string, n: number, asked: string, outcome: number) => ({
      block_number: 3,
      verse: id,
      step: n,
      question: asked,
      outcome,
    })
    await insert('verse_answers', [
      step(verses.a0, 1, 'a', 0),
      step(verses.a1, 1, 'a', 1),
      step(verses.b0, 1, 'a', 0),
      step(verses.b0, 2, 'b', 0),
      step(verses.b1, 1, 'a', 0),
      step(verses.b1, 2, 'b', 1),
    ])
    await insert(
      'positions',
      Object.entries(verses).map(([name, id]) => ({
        ...event(3),
        position: name,
        verse: id,
        token,
      })),
    )
    const push = (block: number, parent: string, asked: string, amount: number) => ({
      ...event(block),
      parent,
      question: asked,
      owner: alice,
      token,
      receiver: alice,
      amount,
      survivors: [0, 1],
      path: '[]',
    })
    await insert('push_downs', [push(3, ROOT, 'a', 100), push(4, verses.a0, 'b', 40)])
    const transfer = (
      block: number,
      log: number,
      position: string,
      sender: string,
      receiver: string,
      amount: number,
    ) => ({ ...event(block, log), operator: alice, sender, receiver, position, amount })
    await insert('transfers', [
      transfer(3, 1, 'a0', ZERO, alice, 100),
      transfer(3, 2, 'a1', ZERO, alice, 100),
      transfer(4, 1, 'a0', alice, ZERO, 40),
      transfer(4, 2, 'b0', ZERO, alice, 40),
      transfer(4, 3, 'b1', ZERO, alice, 40),
      transfer(5, 0, 'b1', alice, bob, 10),
    ])
    await database.write((tx) => recordSupplies(tx, 3n, 5n))
    await insert('balances', [
      { owner: alice, position: 'a0', amount: 60 },
      { owner: alice, position: 'a1', amount: 100 },
      { owner: alice, position: 'b0', amount: 40 },
      { owner: alice, position: 'b1', amount: 30 },
      { owner: bob, position: 'b1', amount: 10 },
    ])
    const world = (id: string, outcome: number, probability: string) => ({
      ...event(6),
      keeper,
      parent: ROOT,
      question: 'a',
      outcome,
      verse: id,
      state_root: `0x${'0'.repeat(15)}${outcome}`,
      cost: 1,
      probability,
      trit: 0,
      verdict: 1,
    })
    await insert('report_worlds', [
      world(verses.a0, 0, '600000000000000000'),
      world(verses.a1, 1, '400000000000000000'),
    ])
    const update = (outcome: number, probability: string) => ({
      ...event(7),
      keeper,
      parent: ROOT,
      question: 'a',
      outcome,
      probability,
    })
    await insert('probability_updates', [
      update(0, '750000000000000000'),
      update(1, '250000000000000000'),
    ])
  })

  test('probabilities over time', async () => {
    const sql = `SELECT block_number::INT, probability::VARCHAR FROM probability_history WHERE verse = '${verses.a0}'`
    expect(await ask(sql)).toEqual([
      [6, '600000000000000000'],
      [7, '750000000000000000'],
    ])
  })

  test('the supply of a verse over time', async () => {
    const of = (id: string) =>
      ask(`SELECT block_number::INT, supply::VARCHAR FROM supply_history WHERE verse = '${id}'`)
    expect(await of(verses.a0)).toEqual([
      [3, '100'],
      [4, '60'],
    ])
    // A transfer moves it, and leaves as much as there was.
    expect(await of(verses.b1)).toEqual([[4, '40']])
  })

  test('who holds which future', async () => {
    const of = (owner: string) =>
      ask(`SELECT future['a'] AS a, future['b'] AS b, amount::VARCHAR, combinations::INT
           FROM exposure('${owner}', '${token}') ORDER BY a, b`)
    // With a = 1, b does not matter: 100 either way. With a = 0: 60 and what she has in b's answer.
    expect(await of(alice)).toEqual([
      [0, 0, '100', 4],
      [0, 1, '90', 4],
      [1, 0, '100', 4],
      [1, 1, '100', 4],
    ])
    expect(await of(bob)).toEqual([
      [0, 0, '0', 4],
      [0, 1, '10', 4],
      [1, 0, '0', 4],
      [1, 1, '0', 4],
    ])
  })

  test('after the answers', async () => {
    const answer = (block: number, question: string, outcome: number) => ({
      ...event(block),
      question,
      outcome,
      expired: false,
    })
    await insert('answers', [answer(8, 'b', 1), answer(9, 'a', 0)])
    await database.write(async (tx) => {
      await tx.run(
        "UPDATE questions SET status = 'resolved', survivors = [1], winner = 1 WHERE question = 'b'",
      )
      await tx.run(
        "UPDATE questions SET status = 'resolved', survivors = [0], winner = 0 WHERE question = 'a'",
      )
    })

    expect(
      await ask(
        `SELECT future['a'], future['b'], amount::VARCHAR FROM exposure('${alice}', '${token}')`,
      ),
    ).toEqual([[0, 1, '90']])

    expect(
      await ask('SELECT question, seconds_to_answer, seconds_to_spare::INT FROM oracle_timeliness'),
    ).toEqual([
      ['a', '480', 3_060],
      ['b', '360', 6_720],
    ])

    expect(await ask('SELECT verse, is_alive, redeemable FROM v_positions ORDER BY verse')).toEqual(
      [
        [verses.a0, true, true],
        [verses.a1, false, false],
        [verses.b0, false, false],
        [verses.b1, true, true],
      ],
    )
    expect(
      await ask('SELECT owner, verse, amount::VARCHAR FROM redeemable ORDER BY owner, verse'),
    ).toEqual([
      [alice, verses.a0, '60'],
      [alice, verses.b1, '30'],
      [bob, verses.b1, '10'],
    ])

    const lived = await ask('SELECT verse, source, target, composes FROM verse_lifecycle')
    expect(lived).toEqual([
      [verses.a0, 'unopened', 'open', true],
      [verses.a0, 'open', 'reported', true],
      [verses.a0, 'reported', 'happened', true],
      [verses.a1, 'unopened', 'open', true],
      [verses.a1, 'open', 'reported', true],
      [verses.a1, 'reported', 'collapsed', true],
      [verses.b0, 'unopened', 'open', true],
      [verses.b0, 'open', 'collapsed', true],
      [verses.b1, 'unopened', 'open', true],
      [verses.b1, 'open', 'happened', true],
    ])
  })

  test('extractable value in its four forms', async () => {
    await insert('wev_exact', [
      {
        question: 'a',
        token,
        block_number: 9,
        winner: 0,
        wev_nominal: 100,
        wev_realized: 30,
        total: 100,
      },
      {
        question: 'b',
        token,
        block_number: 8,
        winner: 1,
        wev_nominal: 40,
        wev_realized: 5,
        total: 100,
      },
    ])
    await insert('journal', [
      {
        keeper_id: 'w',
        epoch: 0,
        seq: 1,
        written_at: '2026-01-05',
        kind: 'wev.measured',
        event: JSON.stringify({
          question: 'a',
          wevRatio: '333000000000000000',
          wevAbs: '250000000000000000',
        }),
      },
    ])
    expect(
      await ask(
        'SELECT question, ratio, absolute, nominal::VARCHAR, realized::VARCHAR, nominal_so_far::VARCHAR FROM wev_history',
      ),
    ).toEqual([
      ['b', null, null, '40', '5', '40'],
      ['a', 0.333, 0.25, '100', '30', '140'],
    ])
  })
})

describe('worlds', () => {
  const entities = ['base', 'w0', 'w1', 'w2']

  beforeAll(async () => {
    await insert('runtime_providers', [
      { provider_id: 'maker', name: 'maker', trit: 1 },
      { provider_id: 'tuner', name: 'tuner', trit: 0 },
      { provider_id: 'judge', name: 'judge', trit: -1 },
    ])
    await insert(
      'world_runtime_entities',
      entities.map((id, i) => ({
        entity_id: id,
        entity_type: i === 0 ? 'sandbox' : 'verse',
        parent_id: i === 0 ? null : 'base',
        trit: i === 0 ? null : i - 2,
      })),
    )
    const branch = (id: string, parent: string, children: string[]) => ({
      branch_id: id,
      parent_entity_id: parent,
      child_entity_ids: children,
      branch_type: 'push_down',
      gf3_sum: 0,
    })
    await insert('world_branches', [
      branch('whole', 'base', ['w0', 'w1', 'w2']),
      branch('twice', 'base', ['w0', 'w1', 'w1']),
      branch('back', 'w0', ['base', 'w1', 'w2']),
      branch('short', 'base', ['w0', 'w2']),
    ])
  })

  test('which push-downs match', async () => {
    // The worlds' trits are -1, 0 and 1; the base is in no bundle.
    expect(
      await ask(
        'SELECT branch_id, distinct_worlds, revisited::INT, matches FROM push_down_matches',
      ),
    ).toEqual([
      ['back', true, 1, false],
      ['short', true, 0, false],
      ['twice', false, 0, false],
      ['whole', true, 0, true],
    ])
  })

  test('traces follow each other along a lane, and are checked from its root', async () => {
    const call = (id: string, provider: string, verse: string, second: number, ok = true) => ({
      invocation_id: id,
      provider_id: provider,
      operation: 'execute',
      verse_id: verse,
      input_params: '{}',
      output_result: ok ? '{}' : '{"error":{"code":"X","message":"x"}}',
      latency_ms: 2,
      cost_units: 0.5,
      invoked_at: `2026-01-05 00:00:0${second}`,
    })
    await insert('provider_invocations', [
      call('i1', 'maker', '0x000000000000042d', 1),
      call('i2', 'maker', '0x000000000000042d', 2),
      call('i3', 'tuner', '0x000000000000042d', 3),
      call('i4', 'judge', '0x000000000000042d', 4),
      call('i5', 'maker', '0x0000000000000002', 1),
      call('i6', 'judge', '0x0000000000000002', 2, false),
    ])
    const traces = await ask(
      `SELECT environment_key, seed_hex, gf3_running_sum, parent_trace_id, causality_ms FROM stigmergy_traces
       WHERE root_trace_id = '0x000000000000042d/1'`,
    )
    expect(traces).toEqual([
      ['maker', '0x359a0eb9f7c8188b', 1, null, 4],
      ['tuner', expect.stringMatching(/^0x[0-9a-f]{16}$/), 1, '0x000000000000042d/1', 2],
      ['judge', expect.stringMatching(/^0x[0-9a-f]{16}$/), 0, '0x000000000000042d/2', 2],
    ])
    expect(
      await ask('SELECT root_trace_id, trace_count::INT, gf3_conserved FROM stigmergy_gf3_check'),
    ).toEqual([
      ['0x0000000000000002/1', 1, false],
      ['0x000000000000042d/1', 3, true],
    ])
    expect(
      await ask(
        "SELECT calls::INT, failed::INT, p50_ms FROM provider_latency WHERE provider_id = 'judge'",
      ),
    ).toEqual([[2, 1, 2]])
    expect(
      await ask(
        "SELECT provider_id, cost_units FROM verse_costs WHERE verse = '0x000000000000042d'",
      ),
    ).toEqual([
      ['judge', 0.5],
      ['maker', 1],
      ['tuner', 0.5],
    ])
  })

  test('two journals are bisimilar when they saw the same, and part where they did not', async () => {
    const entry = (keeper: string, seq: number, kind: string, seen: object) => ({
      keeper_id: keeper,
      epoch: 1,
      seq,
      written_at: '2026-01-05',
      kind,
      event: JSON.stringify(seen),
    })
    const run = (keeper: string, root: string) => [
      entry(keeper, 1, 'world.created', { entityId: keeper }),
      entry(keeper, 2, 'world.executed', {
        entityId: keeper,
        verseId: '0xaa',
        stateRoot: '0x01',
        executeTimeMs: Math.random(),
      }),
      entry(keeper, 3, 'world.executed', { entityId: keeper, verseId: '0xbb', stateRoot: root }),
    ]
    await insert('journal', [...run('k1', '0x02'), ...run('k2', '0x02'), ...run('k3', '0x03')])
    const compare = (one: string, other: string) =>
      ask(`SELECT bisimilar, parts_at::INT, seen1 ->> 'stateRoot', seen2 ->> 'stateRoot'
           FROM journal_bisimilarity('${one}', 1, '${other}', 1)`)
    expect(await compare('k1', 'k2')).toEqual([[true, null, null, null]])
    expect(await compare('k1', 'k3')).toEqual([[false, 2, '0x02', '0x03']])
    // One that ends early is not the same either.
    expect(await compare('k1', 'nobody')).toEqual([[false, 1, '0x01', null]])
  })

  test('the graph of worlds as a document', async () => {
    const [[document]] = (await ask('SELECT document FROM branch_graph')) as [[string]]
    const graph = JSON.parse(document) as {
      directed: boolean
      nodes: { id: string }[]
      links: { source: string; target: string; branch: string }[]
    }
    expect(graph.directed).toBe(true)
    expect(graph.nodes.map(({ id }) => id)).toEqual(entities)
    expect(graph.links.filter(({ branch }) => branch === 'whole')).toEqual([
      { source: 'base', target: 'w0', branch: 'whole', type: 'push_down' },
      { source: 'base', target: 'w1', branch: 'whole', type: 'push_down' },
      { source: 'base', target: 'w2', branch: 'whole', type: 'push_down' },
    ])
  })

  test('how far apart worlds are', async () => {
    await insert('verses', [
      { verse: '0xd0', parent: ROOT, question: 'd', outcome: 0, depth: 1, path: '[]' },
      { verse: '0xd1', parent: ROOT, question: 'd', outcome: 1, depth: 1, path: '[]' },
    ])
    await insert('verse_answers', [
      { block_number: 1, verse: '0xd0', step: 1, question: 'd', outcome: 0 },
      { block_number: 1, verse: '0xd1', step: 1, question: 'd', outcome: 1 },
    ])
    await insert('worlds', [
      { entity_id: 'w0', keeper_id: 'k', verse: '0xd0', state_root: `0x${'00'.repeat(32)}` },
      {
        entity_id: 'w1',
        keeper_id: 'k',
        verse: '0xd1',
        state_root: `0x000000000000000f${'00'.repeat(24)}`,
      },
    ])
    // Four bits, the same depth, nothing in common.
    expect(
      await ask('SELECT world_from, world_to, round(distance, 6) FROM world_distances'),
    ).toEqual([['w0', 'w1', 10.77033]])
  })
})
