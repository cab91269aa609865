import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../indexer/analytics/database.ts'
import { createJournalReader, readCursors } from '../../indexer/analytics/journal.ts'
import type { Deployment } from '../../sdk/deployment.ts'
import { type JournalEntry, type JournalEvent, journalEntrySchema } from '../../sdk/journal.ts'
import { type ServedJournal, serveJournal } from './services.ts'

// What a real keeper wrote in one run, served page by page as a keeper serves it, must fill the seeds' tables, once.

const SEED_TABLES = [
  'runtime_providers',
  'provider_invocations',
  'provider_links',
  'world_runtime_entities',
  'world_branches',
  'verse_resolutions',
  'runtime_metrics',
  'world_extractable_value',
]

const deployment: Deployment = {
  version: 1,
  chainId: 31_337,
  addresses: {
    multiverse: `0x${'11'.repeat(20)}`,
    worlds: `0x${'22'.repeat(20)}`,
  },
  startBlock: 1,
  startBlockHash: `0x${'33'.repeat(32)}`,
}

let folder: string
let database: Database
let keepers: ServedJournal[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multiverse-journal-'))
  database = await openDatabase(folder, deployment)
})

afterEach(async () => {
  await Promise.all(keepers.map((keeper) => keeper.close()))
  keepers = []
  await database.close()
  await rm(folder, { recursive: true, force: true })
})

test.each([7, 500])(
  'fills the eight tables by pages of %i, re-reading changes nothing',
  async (size) => {
    const entries = await recorded()
    const url = await serve(() => entries, size)
    const reader = createJournalReader({ url, database })
    expect(await reader.poll()).toBe(entries.length)
    const first = await contents()
    for (const [table, rows] of Object.entries(first))
      expect([table, rows.length > 0]).toEqual([table, true])
    expect(await reader.poll()).toBe(0)

    await database.write((tx) => tx.run('DELETE FROM keepers'))
    expect(await createJournalReader({ url, database }).poll()).toBe(entries.length)
    expect(await contents()).toEqual(first)
    const { keeperId, epoch, seq } = entries.at(-1)!
    expect(await readCursors(database)).toEqual([{ keeperId, epoch, seq }])
  },
)

test('maps entries as the seeds name things', async () => {
  const entries = await recorded()
  await createJournalReader({ url: await serve(() => entries), database }).poll()
  expect(await rows('SELECT provider_id, trit, role, status FROM providers_list')).toEqual([
    { provider_id: 'quickjs', trit: 1, role: 'Generator', status: 'available' },
    { provider_id: 'grpo', trit: 0, role: 'Coordinator', status: 'available' },
    { provider_id: 'replay', trit: -1, role: 'Validator', status: 'available' },
  ])
  // Lanes that were verified are closed, however many calls they took; one whose program failed is not.
  expect(
    await rows(
      `SELECT s::INT AS s, n::INT AS n, conserved, count(*)::INT AS lanes FROM gf3_audit
       WHERE scope = 'pipeline' GROUP BY ALL ORDER BY conserved`,
    ),
  ).toEqual([
    { s: 1, n: 1, conserved: false, lanes: 1 },
    { s: 0, n: 2, conserved: true, lanes: 5 },
  ])
  const [branch] = await rows(
    "SELECT b.gf3_sum, sum(e.trit)::INT AS recomputed, count(*)::INT AS children FROM (SELECT *, unnest(child_entity_ids) AS child FROM world_branches WHERE branch_type = 'push_down' ORDER BY branched_at LIMIT 3) b JOIN world_runtime_entities e ON e.entity_id = b.child GROUP BY b.gf3_sum",
  )
  expect(branch).toEqual({ gf3_sum: 0, recomputed: 0, children: 3 })
  // A world and its three verses, each one hop from each: K4, with the eigenvalues 3 and -1.
  const spectra = await rows(
    'SELECT worlds, hops, round(spectral_gap, 9) AS gap, round(price_of_anarchy, 9) AS price FROM branch_spectra',
  )
  expect(spectra).toEqual([1, 2].map(() => ({ worlds: 4, hops: 6, gap: 4, price: 1.25 })))
  const [resolution] = await rows(
    'SELECT list_contains(verses, winning_verse) AS won, len(verses)::INT AS n, wev_extracted FROM verse_resolutions',
  )
  // Its answer is not mirrored in this test, so what it was worth is not known.
  expect(resolution).toEqual({ won: true, n: 4, wev_extracted: null })
  expect(
    await rows('SELECT DISTINCT operation FROM provider_invocations ORDER BY operation'),
  ).toEqual(
    ['branch', 'create', 'destroy', 'execute', 'merge', 'snapshot', 'verify'].map((operation) => ({
      operation,
    })),
  )
  expect(
    await rows(
      'SELECT DISTINCT state, resolved_at IS NOT NULL AS resolved FROM world_runtime_entities ORDER BY state, resolved',
    ),
  ).toEqual(
    expect.arrayContaining([
      { state: 'collapsed', resolved: true },
      { state: 'running', resolved: true },
      { state: 'snapshotted', resolved: false },
    ]),
  )
  const [wev] = await rows(
    'SELECT price_of_anarchy, wev, prediction_error, free_energy, action_direction FROM world_extractable_value ORDER BY wev DESC',
  )
  expect(wev?.['price_of_anarchy']).toBeCloseTo(4 / 3, 6)
  expect(wev?.['wev']).toBeCloseTo(1 / 3, 6)
  expect(wev?.['free_energy']).toBeCloseTo(1 / 3 + 0.1, 6)
  expect(wev?.['action_direction']).toBe('active_inference')
})

test('the seeds\u2019 tables have the seeds\u2019 columns, defaults and checks', async () => {
  const columns = await rows(
    `SELECT table_name || '.' || column_name || ' ' || data_type AS c FROM duckdb_columns()
     WHERE table_name IN ('provider_links', 'world_branches', 'verse_resolutions') ORDER BY table_name, column_index`,
  )
  expect(columns.map(({ c }) => c)).toEqual([
    'provider_links.link_id VARCHAR',
    'provider_links.source_component VARCHAR',
    'provider_links.target_provider VARCHAR',
    'provider_links.link_config JSON',
    'provider_links.created_at TIMESTAMP',
    'verse_resolutions.resolution_id VARCHAR',
    'verse_resolutions.verses VARCHAR[]',
    'verse_resolutions.winning_verse VARCHAR',
    'verse_resolutions.oracle_source VARCHAR',
    'verse_resolutions.wev_extracted FLOAT',
    'verse_resolutions.pull_up_time_ms FLOAT',
    'verse_resolutions.resolved_at TIMESTAMP',
    'world_branches.branch_id VARCHAR',
    'world_branches.parent_entity_id VARCHAR',
    'world_branches.child_entity_ids VARCHAR[]',
    'world_branches.branch_type VARCHAR',
    'world_branches.snapshot_time_ms FLOAT',
    'world_branches.gf3_sum INTEGER',
    'world_branches.branched_at TIMESTAMP',
  ])
  const insert = (values: string) =>
    database.write((tx) =>
      tx.run(`INSERT INTO runtime_providers (provider_id, name, trit) VALUES ${values}`),
    )
  await insert("('a', 'A', NULL)")
  expect(
    await rows('SELECT status, registered_at IS NOT NULL AS dated FROM runtime_providers'),
  ).toEqual([{ status: 'available', dated: true }])
  await expect(insert("('b', 'B', 2)")).rejects.toThrow('CHECK')
  await expect(insert("('c', NULL, 1)")).rejects.toThrow('NOT NULL')
  await expect(insert("('a', 'A', 1)")).rejects.toThrow('key')
  await expect(
    database.write((tx) =>
      tx.run("INSERT INTO provider_invocations (invocation_id, provider_id) VALUES ('i', 'modal')"),
    ),
  ).rejects.toThrow('foreign key')
})

test('a provider that nobody works with has its row, its reason and its declared figures', async () => {
  const [first] = await recorded()
  const events: JournalEvent[] = ['no-credentials', 'available'].map((status) => ({
    kind: 'provider.registered',
    providerId: 'modal',
    name: 'Modal',
    trit: 1,
    capabilities: {},
    apiEndpoint: null,
    authMethod: 'token',
    status,
    reason: status === 'available' ? '' : 'MODAL_TOKEN_ID not set',
    declared: { coldStartMs: '<1000' },
  }))
  let served = [{ ...first!, event: events[0]! }]
  const reader = createJournalReader({ url: await serve(() => served), database })
  await reader.poll()
  const seen = 'SELECT status, reason, declared->>$$coldStartMs$$ AS start FROM provider_declared'
  expect(await rows(seen)).toEqual([
    { status: 'no-credentials', reason: 'MODAL_TOKEN_ID not set', start: '<1000' },
  ])
  served = [...served, { ...first!, seq: first!.seq + 1, event: events[1]! }]
  await reader.poll()
  expect(await rows(seen)).toEqual([{ status: 'available', reason: '', start: '<1000' }])
})

test('any number of keepers, each with its own cursor and links', async () => {
  const entries = await recorded()
  const others = entries.map((entry) => ({ ...entry, keeperId: 'another' })).slice(0, 2)
  for (const served of [entries, others])
    await createJournalReader({ url: await serve(() => served), database }).poll()
  const cursors = await readCursors(database)
  expect(Object.fromEntries(cursors.map(({ keeperId, seq }) => [keeperId, seq]))).toEqual({
    [entries[0]!.keeperId]: entries.length,
    another: 2,
  })
  expect(await rows('SELECT count(*)::INT AS n FROM provider_links')).toEqual([{ n: 4 }])
})

test('goes on from its cursor, also with a link that goes away', async () => {
  const entries = await recorded()
  let served = entries.slice(0, 10)
  const reader = createJournalReader({ url: await serve(() => served), database })
  expect(await reader.poll()).toBe(10)
  const last = entries.at(-1)!
  const next = (event: JournalEvent, seq: number): JournalEntry => ({ ...last, seq, event })
  const deleted: JournalEvent = { kind: 'link.deleted', linkId: 'keeper-quickjs-default' }
  served = [...entries.slice(0, 10), next(deleted, 11)]
  expect(await reader.poll()).toBe(1)
  expect(await rows('SELECT target_provider FROM provider_links ORDER BY 1')).toEqual([
    { target_provider: 'grpo' },
    { target_provider: 'replay' },
  ])
})

test('a journal that begins anew is read from its beginning', async () => {
  const entries = await recorded()
  let served = entries
  const reader = createJournalReader({ url: await serve(() => served), database })
  await reader.poll()
  // The new journal starts in the middle of things: what it speaks of may have been registered in the old one or never.
  for (const table of SEED_TABLES.toReversed())
    await database.write((tx) => tx.run(`DELETE FROM ${table}`))
  served = entries
    .slice(8, 24)
    .map((entry, index) => ({ ...entry, epoch: entry.epoch + 1, seq: index + 1 }))
  expect(await reader.poll()).toBe(16)
  expect(await rows('SELECT provider_id, status FROM runtime_providers')).toEqual([
    { provider_id: 'quickjs', status: 'unknown' },
  ])
  const [cursor] = await readCursors(database)
  expect(cursor).toMatchObject({ epoch: entries[0]!.epoch + 1, seq: 16 })
})

test('with an oracle that it did not know the chain is mirrored anew, and what journals told stays', async () => {
  const entries = (await recorded()).slice(0, 20)
  const url = await serve(() => entries)
  const reader = createJournalReader({ url, database })
  await reader.poll()
  await database.write(async (tx) => {
    await tx.run("INSERT INTO blocks VALUES (7, '0x07', TIMESTAMP '2026-01-05', 0)")
    await tx.run("UPDATE mirror SET head_number = 7, head_hash = '0x07', settled = 5")
  })
  const before = await contents()
  const cursors = await readCursors(database)
  await database.close()
  database = await openDatabase(folder, deployment)
  expect(await rows('SELECT number::INT AS number FROM blocks')).toEqual([{ number: 7 }])
  await database.close()

  const committeeOracle = `0x${'55'.repeat(20)}` as const
  const grown = { ...deployment, addresses: { ...deployment.addresses, committeeOracle } }
  database = await openDatabase(folder, grown)
  expect(await rows('SELECT * FROM oracles')).toEqual([
    { oracle: committeeOracle, kind: 'committee' },
  ])
  expect(await rows('SELECT * FROM blocks')).toEqual([])
  expect(await rows('SELECT head_number, settled::INT AS settled FROM mirror')).toEqual([
    { head_number: null, settled: 0 },
  ])
  expect(await contents()).toEqual(before)
  expect(await readCursors(database)).toEqual(cursors)
  expect(await createJournalReader({ url, database }).poll()).toBe(0)
  expect(await readdir(folder)).not.toContain('renewed')
})

test('a journal that goes backwards or has a gap is refused and changes nothing', async () => {
  const entries = await recorded()
  let served = entries.slice(0, 20)
  const url = await serve(() => served)
  const reader = createJournalReader({ url, database })
  await reader.poll()
  const before = await contents()
  served = entries.slice(0, 5)
  await expect(reader.poll()).rejects.toMatchObject({ code: 'JOURNAL_BACKWARDS' })
  served = [...entries.slice(0, 20), ...entries.slice(21)]
  await expect(reader.poll()).rejects.toMatchObject({ code: 'JOURNAL_INVALID' })
  served = entries.map((entry) => ({ ...entry, epoch: 0 }))
  await expect(reader.poll()).rejects.toMatchObject({ code: 'JOURNAL_BACKWARDS' })
  expect(await contents()).toEqual(before)
  served = entries
  expect(await reader.poll()).toBe(entries.length - 20)
})

test('a keeper that is away or talks nonsense', async () => {
  const gone = createJournalReader({ url: 'http://127.0.0.1:1', database })
  await expect(gone.poll()).rejects.toMatchObject({ code: 'KEEPER_UNREACHABLE', isRetryable: true })
  const url = await serve(() => [{ ...({} as JournalEntry), seq: 1 }])
  await expect(createJournalReader({ url, database }).poll()).rejects.toMatchObject({
    code: 'JOURNAL_INVALID',
  })
})

/** A real keeper's journal of one run: a partition that was answered, one that failed, one with a broken world. */
async function recorded(): Promise<JournalEntry[]> {
  const text = await readFile(new URL('journal.json', import.meta.url), 'utf8')
  return journalEntrySchema.array().parse(JSON.parse(text))
}

async function serve(entries: () => JournalEntry[], size?: number): Promise<string> {
  const keeper = await serveJournal(entries, size)
  keepers.push(keeper)
  return keeper.url
}

async function rows(sql: string): Promise<Record<string, unknown>[]> {
  return database.write((tx) => tx.rows(sql))
}

async function contents(): Promise<Record<string, unknown[]>> {
  const tables = await Promise.all(
    [...SEED_TABLES, 'worlds', 'resolutions', 'journal'].map(async (table) => [
      table,
      await rows(`SELECT * FROM ${table} ORDER BY ALL`),
    ]),
  )
  return Object.fromEntries(tables) as Record<string, unknown[]>
}
