import { beforeAll, describe, expect, test } from 'vitest'
import { ROOT } from './rows.ts'
import { useScratch } from './scratch.ts'

// The views about worlds, providers and keepers' journals, and what the seeds' commands print of them, on rows few enough to work
// every figure out by hand.

const { ask, insert } = useScratch()

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

  test('what was spent, and by whom', async () => {
    expect(await ask('SELECT provider_id, trit, role, status FROM providers_list')).toEqual([
      ['maker', 1, 'Generator', 'available'],
      ['tuner', 0, 'Coordinator', 'available'],
      ['judge', -1, 'Validator', 'available'],
    ])
    // Six calls at a half: the maker's three in two verses.
    expect(await ask('SELECT * REPLACE (calls::INT AS calls) FROM provider_efficiency')).toEqual([
      ['maker', 1, 3, 1.5, 0.5, 0.75],
      ['judge', -1, 2, 1, 0.5, 0.5],
      ['tuner', 0, 1, 0.5, 0.5, 0.5],
    ])
  })

  test('which bundles sum to 0, and which were claimed to', async () => {
    const audit = () =>
      ask(
        'SELECT scope, id, s::INT, residue::INT, n::INT, conserved, balanced, open, violated FROM gf3_audit',
      )
    const [back, short, twice, whole] = [
      ['branch', 'back', 1, 1, 3, false, false, false, true],
      ['branch', 'short', 0, 0, 2, true, false, false, false],
      ['branch', 'twice', -1, 2, 3, false, false, false, true],
      ['branch', 'whole', 0, 0, 3, true, true, false, false],
    ]
    const closed = ['pipeline', '0x000000000000042d', 0, 0, 3, true, true, false, false]
    const registry = ['registry', 'runtime_providers', 0, 0, 3, true, true, false, false]
    const lone = (open: boolean) => [
      'pipeline',
      '0x0000000000000002',
      1,
      1,
      1,
      false,
      false,
      open,
      !open,
    ]
    expect(await ask('FROM complete_lanes')).toEqual([])
    expect(await audit()).toEqual([back, short, twice, whole, lone(true), closed, registry])
    // Somebody says that it is whole: then it is not as it should be.
    await insert('journal', [
      {
        keeper_id: 'pipe',
        epoch: 0,
        seq: 1,
        written_at: '2026-01-05',
        kind: 'pipeline.completed',
        event: JSON.stringify({ verses: ['0x0000000000000002'] }),
      },
    ])
    expect(await ask('FROM complete_lanes')).toEqual([['0x0000000000000002']])
    expect(await audit()).toEqual([back, short, twice, whole, lone(false), closed, registry])
  })

  test('how long calls take, against a quarter of a second', async () => {
    const call = (latency: number) => ({
      invocation_id: `b${latency}`,
      provider_id: 'maker',
      operation: 'branch',
      input_params: '{}',
      output_result: '{}',
      latency_ms: latency,
    })
    await insert('provider_invocations', [call(100), call(200), call(600)])
    // Between the two longest, nine tenths of the way.
    expect(
      await ask(
        "SELECT * REPLACE (calls::INT AS calls) FROM provider_benchmark WHERE provider_id = 'maker'",
      ),
    ).toEqual([
      ['maker', 'branch', 3, 100, 300, 200, 560, 600, false],
      ['maker', 'execute', 3, 2, 2, 2, 2, 2, true],
    ])
  })

  test('times and memory by kind of world, branches and resolutions', async () => {
    await insert('runtime_metrics', [
      { metric_id: 'm0', entity_id: 'base', boot_time_ms: 50, memory_overhead_mb: 64 },
      { metric_id: 'm1', entity_id: 'w0', snapshot_time_ms: 10, branch_time_ms: 20 },
      { metric_id: 'm2', entity_id: 'w1', snapshot_time_ms: 30, branch_time_ms: 300 },
    ])
    expect(
      await ask('SELECT * REPLACE (measured::INT AS measured) FROM world_runtime_metrics'),
    ).toEqual([
      ['sandbox', 1, 50, null, null, 64, null, null],
      ['verse', 2, null, 20, 160, null, true, false],
    ])
    expect(
      await ask(
        'SELECT branch_id, parent_entity_id, child_entity_ids FROM world_runtime_branches LIMIT 2',
      ),
    ).toEqual([
      ['back', 'w0', ['base', 'w1', 'w2']],
      ['short', 'base', ['w0', 'w2']],
    ])
    const resolution = (id: string, day: number, wev: number) => ({
      resolution_id: id,
      verses: ['v0', 'v1', 'v2'].slice(0, day),
      winning_verse: 'v0',
      oracle_source: 'manual',
      wev_extracted: wev,
      pull_up_time_ms: 1,
      resolved_at: `2026-01-0${day} 12:00:00`,
    })
    await insert('verse_resolutions', [
      resolution('one', 2, 18),
      resolution('two', 2, 2),
      resolution('three', 3, 5),
    ])
    expect(
      await ask(
        'SELECT resolution_id, verses::INT, winning_verse, wev_extracted FROM world_runtime_resolutions',
      ),
    ).toEqual([
      ['three', 3, 'v0', 5],
      ['one', 2, 'v0', 18],
      ['two', 2, 'v0', 2],
    ])
    expect(
      await ask(
        'SELECT day::DATE::VARCHAR, resolutions::INT, wev, avg_wev, cumulative FROM wev_analytics',
      ),
    ).toEqual([
      ['2026-01-02', 2, 20, 10, 20],
      ['2026-01-03', 1, 5, 5, 25],
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
    // Names and times are left out of what is observed, and what is no observation.
    expect(
      await ask("SELECT step::INT, kind, seen::VARCHAR FROM observations WHERE keeper_id = 'k1'"),
    ).toEqual([
      [1, 'world.executed', '{"verseId":"0xaa","stateRoot":"0x01"}'],
      [2, 'world.executed', '{"verseId":"0xbb","stateRoot":"0x02"}'],
    ])
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
