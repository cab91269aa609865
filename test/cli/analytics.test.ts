import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parquetReadObjects } from 'hyparquet'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDatabase } from '../../indexer/analytics/database.ts'
import { acquireLock } from '../../sdk/node/lock.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import type { Deployment } from '../../sdk/deployment.ts'
import { removeStack, writeStack } from '../../cli/stack/record.ts'
import { exportOutput, planOutput, providerOutput, sqlOutput } from '../../sdk/output.ts'
import { alone, lastJson, multiverse } from './harness.ts'

// The seeds' commands that look, on what an earlier run has left: nothing runs meanwhile.

const deployment: Deployment = {
  version: 1,
  chainId: 31_337,
  addresses: { multiverse: `0x${'11'.repeat(20)}`, worlds: `0x${'22'.repeat(20)}` },
  startBlock: 1,
  startBlockHash: `0x${'33'.repeat(32)}`,
}

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multiverse-analytics-'))
  const { deployment: record, analytics } = dataPaths(folder)
  await writeFile(record, JSON.stringify(deployment))
  const database = await openDatabase(analytics, deployment)
  await database.write((tx) =>
    tx.run(`
      INSERT INTO runtime_providers (provider_id, name, trit, status) VALUES
        ('maker', 'Maker', 1, 'available'), ('judge', 'Judge', -1, 'no credentials: set JUDGE_KEY');
      INSERT INTO provider_invocations (invocation_id, provider_id, operation, verse_id, output_result, latency_ms, cost_units)
      VALUES ('a', 'maker', 'branch', '0x01', '{}', 10, 2), ('b', 'maker', 'branch', '0x02', '{}', 300, 4),
             ('c', 'judge', 'verify', '0x01', '{}', 5, 1), ('d', 'judge', 'verify', '0x03', '{}', 5, 1);
      INSERT INTO journal VALUES ('keeper', 1, 1, '2026-01-02', 'pipeline.completed', '{"verses": ["0x01", "0x02"]}');
      INSERT INTO world_runtime_entities (entity_id, entity_type, trit) VALUES
        ('base', 'sandbox', NULL), ('x', 'verse', 1), ('y', 'verse', 0), ('z', 'verse', -1);
      INSERT INTO world_branches (branch_id, parent_entity_id, child_entity_ids, branch_type, gf3_sum)
      VALUES ('push', 'base', ['x', 'y', 'z'], 'push_down', 0);
      INSERT INTO verse_resolutions (resolution_id, verses, winning_verse, wev_extracted, resolved_at)
      VALUES ('r1', ['x', 'y'], 'x', 2.5, '2026-01-02 03:00:00'), ('r2', ['x', 'y'], 'y', 1.5, '2026-01-02 04:00:00')`),
  )
  await database.close()
})

afterAll(() => rm(folder, { recursive: true, force: true }))

const ask = (...args: string[]) => alone([...args, '--data', folder])

describe('what the seeds name', () => {
  test('providers-list shows the balance, and fails without it', async () => {
    const held = await ask('providers-list')
    expect(held.stdout.trimEnd().split('\n').at(-1)).toBe('GF(3): Σ = 0 ≡ 0 (mod 3) ✓')
    expect(held.code).toBe(0)
    expect(held.stdout).toMatch(/maker +Maker +1 +Generator +available/)
  })

  test('wev-analytics sums by day', async () => {
    const ran = await ask('wev-analytics', '--json')
    const { rows } = sqlOutput.parse(lastJson(ran))
    expect(rows).toEqual([['2026-01-02 00:00:00', '2', 4, 2, 4]])
  })

  test('provider-efficiency and provider-benchmark', async () => {
    const [costs, times] = await Promise.all([
      ask('provider-efficiency', '--csv'),
      ask('provider-benchmark', '--json'),
    ])
    expect(costs.stdout.split(/\r?\n/).slice(1, 3)).toEqual(['maker,1,2,6,3,3', 'judge,-1,2,2,1,1'])
    const { rows } = sqlOutput.parse(lastJson(times))
    expect(rows.map((row) => [row[0], row[1], row.at(-1)])).toEqual([
      ['judge', 'verify', true],
      ['maker', 'branch', false],
    ])
  })

  test('a Parquet file that another reader understands', async () => {
    const file = join(folder, 'branches.parquet')
    const ran = await ask('world-runtime-branches', '--parquet', file)
    expect(ran.stdout).toBe(`1 rows in ${file}\n`)
    const bytes = await readFile(file)
    const rows = await parquetReadObjects({
      file: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength),
    })
    expect(rows).toMatchObject([
      { branch_id: 'push', child_entity_ids: ['x', 'y', 'z'], gf3_sum: 0 },
    ])
    const nowhere = await ask('world-runtime-branches', '--parquet', join(folder, 'no', 'such.dir'))
    expect(nowhere.stderr).toMatch(/^error FILE_UNWRITABLE: ENOENT: .+no.such\.dir/)
    expect(nowhere.code).toBe(2)
  })

  test('gf3-audit tells which bundles do not come to 0', async () => {
    const [all, branches] = await Promise.all([ask('gf3-audit'), ask('gf3-audit', 'branch')])
    // The lane of 0x02 is said to be complete, and was never verified; that of 0x03 may still be given a generator.
    expect(all.stdout).toContain('GF(3) is violated in 1 of 4 bundles ✗; 1 are open')
    expect(all.code).toBe(1)
    expect(branches.stdout).toContain('GF(3) is conserved in 1 of 1 bundles ✓')
    expect(branches.code).toBe(0)
  })

  test('provider-status tells one, and exits 1 when it cannot be used', async () => {
    const [maker, judge, nobody] = await Promise.all([
      ask('provider-status', 'maker', '--json'),
      ask('provider-status', 'judge'),
      ask('provider-status', 'nobody'),
    ])
    expect(providerOutput.parse(lastJson(maker))).toMatchObject({
      id: 'maker',
      calls: 2,
      failed: 0,
    })
    expect(maker.code).toBe(0)
    expect(judge.stdout).toContain('no credentials: set JUDGE_KEY')
    expect(judge.code).toBe(1)
    expect(nobody.stderr).toMatch(/^error UNKNOWN_PROVIDER: no provider nobody/)
    expect(nobody.code).toBe(2)
  })

  test.each([
    ['full', ['morph', 'modal', 'primeintellect', 'gensyn', 'ritual']],
    ['branch', ['morph', 'gensyn']],
    ['inference', ['modal', 'primeintellect', 'ritual']],
    ['local', ['quickjs', 'grpo', 'replay']],
  ])('verse-select %s', async (mode, ids) => {
    const ran = await ask('verse-select', mode, '--json')
    const { members, sum } = planOutput.parse(lastJson(ran))
    expect([members.map(({ id }) => id), sum, ran.code]).toEqual([ids, 0, 0])
  })

  test('an unknown mode is a usage error', async () => {
    expect(await ask('verse-select', 'nowhere')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('full, branch, inference, local') as string,
    })
  })
})

// What looks is answered by what an earlier run has left; what acts needs what is not there, says so and changes nothing. The record
// that a killed supervisor leaves behind makes no difference.
describe.each(['stopped', 'killed'])('on a folder whose stack was %s, what acts', (how) => {
  beforeAll(async () => {
    if (how === 'stopped') return
    // No process of today started then.
    const supervisor = { name: 'supervisor', pid: process.pid, startedAt: '1' }
    const nowhere = 'http://127.0.0.1:9'
    await writeStack(folder, {
      version: 1,
      supervisor,
      chainId: deployment.chainId,
      keeper: null,
      urls: { rpc: nowhere, graphql: nowhere, analytics: nowhere, keeper: nowhere },
      processes: [],
    })
  })
  afterAll(() => removeStack(folder))

  const id = `0x${'44'.repeat(32)}`
  test.each([
    'analytics check',
    'analytics rebuild',
    `push-down --question ${id} --amount 1 --as alice`,
    `pull-up --question ${id} --amount 1 --as alice`,
    `transfer --verse ${id}=nash --to bob --amount 1 --as alice`,
    `resolve --question ${id} --outcome nash --as bob`,
    'redeemer set keeper --as alice',
    `narrow --question ${id} --survivors nash,void --as bob`,
  ])('%s: says that nothing runs', async (line) => {
    const before = await readFile(join(dataPaths(folder).analytics, 'multiverse.duckdb'))
    const ran = await ask(...line.split(' '), '--json')
    expect(ran.stderr).toBe(
      `error NO_STACK: no stack runs on ${folder}: start one with \`npm start\`, or name another with --data\n`,
    )
    expect(lastJson(ran)).toMatchObject({ error: { code: 'NO_STACK' } })
    expect(ran.code).toBe(4)
    const after = await readFile(join(dataPaths(folder).analytics, 'multiverse.duckdb'))
    expect(after.equals(before)).toBe(true)
  })

  // The ROOT verse is in every block's history.
  test('an export needs nothing that runs', async () => {
    const lake = join(folder, `lake-${how}`)
    const ran = await ask('analytics', 'export', '--to', lake, '--json')
    expect([ran.code, ran.stderr]).toEqual([0, ''])
    expect(exportOutput.parse(lastJson(ran))).toMatchObject({ settled: 0, rows: 1 })
  })
})

test('two formats at once, a folder without analytics, and one that another process holds', async () => {
  const empty = await mkdtemp(join(tmpdir(), 'multiverse-empty-'))
  const lock = await acquireLock(join(dataPaths(folder).analytics, 'lock'))
  try {
    const [both, none, taken] = await Promise.all([
      ask('wev-analytics', '--json', '--csv'),
      multiverse(['wev-analytics', '--data', empty]),
      ask('wev-analytics'),
    ])
    expect(both).toMatchObject({
      code: 2,
      stderr: 'error USAGE: one of --json, --csv and --parquet\n',
    })
    expect(none.stderr).toMatch(/^error NO_STACK: /)
    expect(none.code).toBe(4)
    expect(taken.stderr).toMatch(/^error LOCKED: /)
    expect(taken.code).toBe(1)
  } finally {
    await lock.release()
    await rm(empty, { recursive: true, force: true })
  }
})
