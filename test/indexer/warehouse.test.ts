import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { parquetReadObjects } from 'hyparquet'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { exportTo } from '../../cli/export/export.ts'
import type { Manifest } from '../../cli/export/manifest.ts'
import { type JournalEntry, journalEntrySchema } from '../../sdk/journal.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { createLife, type Life } from './life.ts'
import { type ServedJournal, serveJournal, until } from './services.ts'
import { createStage, type Stage } from './stage.ts'

// The database as a whole: rebuilt from nothing it says the same, taken out as Parquet others read the same, and keepers that
// come and go are told once each.

// Generous, for machines where much else runs: nothing here waits for time to pass.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 240_000 })

let stage: Stage
let life: Life
let keeper: ServedJournal
let served: JournalEntry[]

beforeAll(async () => {
  stage = await createStage()
  await stage.analytics.stop()
  const path = new URL('journal.json', import.meta.url)
  served = journalEntrySchema.array().parse(JSON.parse(await readFile(path, 'utf8')))
  keeper = await serveJournal(() => served, 100)
  const tokens = [stage.chain.deployment.addresses.token]
  life = await createLife(stage.chain, { seed: 7n, tokens })
  await live(10)
  await stage.startAnalytics({ keeperUrls: [keeper.url] })
  await stage.ponder.ready()
  await stage.level()
})

afterAll(async () => {
  await stage?.close()
  await keeper?.close()
})

test('keepers that are replaced: every journal is read once', async () => {
  const first = served
  const read = (keeperId: string, epoch: number, seq: number) =>
    until('the journal is read', async () => {
      const { journals } = await stage.api.status()
      return journals.some(
        (each) => each.keeperId === keeperId && each.epoch === epoch && each.seq === seq,
      )
    })
  const as = (keeperId: string, epoch: number) =>
    first.map((entry): JournalEntry => ({ ...entry, keeperId, epoch }))
  const { keeperId, epoch } = first[0]!
  await read(keeperId, epoch, first.length)
  const tables =
    'SELECT (SELECT count(*) FROM provider_invocations), (SELECT count(*) FROM runtime_metrics)'
  const [before] = await stage.query(tables)

  served = as('another', 1).slice(0, 5)
  await read('another', 1, 5)
  // The same keeper after its books were lost: a later epoch, from the beginning.
  served = as(keeperId, epoch + 1).slice(0, 9)
  await read(keeperId, epoch + 1, 9)

  // A journal that goes backwards is refused, told, and changes nothing.
  served = as(keeperId, epoch)
  await until('it is told', async () => {
    const { problems } = await stage.api.status()
    return problems.some(({ code }) => code === 'JOURNAL_BACKWARDS')
  })
  const { ok, problems, differences } = await stage.check()
  expect({ ok, differences, code: problems[0]?.code }).toEqual({
    ok: false,
    differences: [],
    code: 'JOURNAL_BACKWARDS',
  })
  served = as(keeperId, epoch + 1).slice(0, 9)
  await until('it is well again', async () => (await stage.api.status()).problems.length === 0)

  const counted = await stage.query(
    'SELECT keeper_id, epoch::INT, count(*)::INT, count(DISTINCT seq)::INT FROM journal GROUP BY ALL ORDER BY ALL',
  )
  const expected = [
    [keeperId, epoch, first.length, first.length],
    [keeperId, epoch + 1, 9, 9],
    ['another', 1, 5, 5],
  ]
  expect(counted).toEqual(expected.toSorted((a, b) => (String(a) < String(b) ? -1 : 1)))
  const [after] = await stage.query(tables)
  expect(after![0]).toBe(before![0])
})

test('a rebuild from nothing gives the same to the byte, and answers meanwhile', async () => {
  await nextDay()
  await live(6)
  await stage.level()
  const path = join(dataPaths(stage.folder.path).analytics, 'multiverse.duckdb')
  const before = await dump()
  const { ino } = await stat(path)
  expect(before.length).toBeGreaterThan(20)

  const crossSite = await fetch(`${stage.analytics.url}/rebuild`, {
    method: 'POST',
    headers: { origin: 'https://a.example' },
  })
  expect(crossSite.status).toBe(403)
  await stage.api.rebuild()
  await expect(stage.api.rebuild()).rejects.toMatchObject({ code: 'REBUILD_RUNNING' })
  for (;;) {
    const state = await stage.api.rebuildState()
    const [row] = await stage.query('SELECT count(*) > 0 FROM transfers')
    expect(row).toEqual([true])
    if (state.kind === 'done') break
    expect(state).toMatchObject({ kind: 'running' })
  }
  expect(unlike(before, await dump())).toEqual([])
  expect((await stat(path)).ino).not.toBe(ino)
  await live(3)
  expect(await stage.check(life.keys())).toMatchObject({ ok: true })
})

test('a rebuild in which the indexer is away fails and leaves all as it was', async () => {
  await stage.ponder.stop()
  const before = await dump()
  await stage.api.rebuild()
  await until('it has failed', async () => (await stage.api.rebuildState()).kind === 'failed')
  expect(await stage.api.rebuildState()).toMatchObject({ code: 'INDEXER_UNREACHABLE' })
  expect(unlike(before, await dump())).toEqual([])
  await stage.startPonder()
  await stage.ponder.ready()
})

test('an export is read back by DuckDB and by another reader, and grows by what is new', async () => {
  const folder = join(stage.folder.path, 'lake')
  const { deployment } = stage.chain
  const take = () => exportTo({ folder, analytics: stage.api, deployment })
  await settle()
  const first = await take()
  expect(first.rows).toBeGreaterThan(20)
  await expectReadBack(folder)
  const old = (await manifest(folder)).files

  await nextDay()
  await live(6)
  await settle()
  // What an export that was killed left is no part of it, and goes.
  const stray = join(folder, old[0]!.path.replace(/[^/]+$/, 'blocks-1-2.parquet'))
  await writeFile(stray, 'half a file')
  const second = await take()
  await expect(stat(stray)).rejects.toMatchObject({ code: 'ENOENT' })
  expect(second.settled).toBeGreaterThan(first.settled)
  expect(second.rows).toBeGreaterThan(0)
  const { files } = await manifest(folder)
  expect(files.slice(0, old.length)).toEqual(old)
  expect(new Set(files.map(({ day }) => day)).size).toBeGreaterThan(2)
  await expectReadBack(folder)
  expect(await take()).toMatchObject({ files: 0, rows: 0 })
})

test('an export refuses what it cannot go on with', async () => {
  const folder = join(stage.folder.path, 'lake')
  const { deployment } = stage.chain
  const take = (to = folder, of = deployment) =>
    exportTo({ folder: to, analytics: stage.api, deployment: of })
  await expect(take(stage.folder.path)).rejects.toMatchObject({ code: 'NOT_AN_EXPORT' })
  await expect(
    take(folder, { ...deployment, startBlockHash: `0x${'44'.repeat(32)}` }),
  ).rejects.toMatchObject({ code: 'WRONG_DEPLOYMENT' })
  const listed = await manifest(folder)
  const altered = { ...listed, anchor: { ...listed.anchor!, hash: `0x${'55'.repeat(32)}` } }
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(altered))
  await expect(take()).rejects.toMatchObject({ code: 'EXPORT_DIVERGED' })
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(listed))
  await rm(join(folder, listed.files[0]!.path))
  await expect(take()).rejects.toMatchObject({ code: 'EXPORT_DAMAGED' })
})

async function live(steps: number): Promise<void> {
  for (let done = 0; done < steps; done++) await life.step()
}

async function nextDay(): Promise<void> {
  await stage.chain.testClient.increaseTime({ seconds: 86_400 })
  await stage.chain.testClient.mine({ blocks: 1 })
  await life.resync()
}

/** Waits until all that happened is final for the indexer and the mirror knows. */
async function settle(): Promise<void> {
  const head = await stage.chain.publicClient.getBlockNumber()
  await stage.chain.testClient.mine({ blocks: 65 })
  await until('it is settled', async () => {
    const [row] = await stage.query('SELECT settled::INT FROM mirror')
    if (Number(row![0]) >= Number(head)) return true
    // What is final is told with the next block.
    await stage.chain.testClient.mine({ blocks: 1 })
    await stage.level()
    return false
  })
}

/** Views that promise no order. */
const UNORDERED = ['events', 'redeemers', 'complete_lanes']

/** All that tables and views say, each as it is answered. */
async function dump(): Promise<string[]> {
  const tables = await stage.query(
    "SELECT table_name FROM duckdb_tables() WHERE table_name NOT IN ('schema_migrations', 'mirror') ORDER BY 1",
  )
  const views = await stage.query(
    'SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY 1',
  )
  const isUnordered = (name: string) => name.startsWith('v_') || UNORDERED.includes(name)
  const statements = [
    ...tables.map(([name]) => `FROM ${name as string} ORDER BY ALL`),
    ...views.map(
      ([name]) => `FROM ${name as string}${isUnordered(name as string) ? ' ORDER BY ALL' : ''}`,
    ),
    'SELECT head_number, head_hash FROM mirror',
  ]
  const said: string[] = []
  for (const sql of statements) said.push(`${sql}: ${JSON.stringify(await stage.query(sql))}`)
  return said
}

/** The beginnings of what is not said twice. */
function unlike(a: readonly string[], b: readonly string[]): string[] {
  return [...a, ...b]
    .filter((each) => !a.includes(each) || !b.includes(each))
    .map((each) => each.slice(0, 100))
}

async function manifest(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as Manifest
}

/** Every table of the export holds what the analytics say of the settled blocks, for both readers. */
async function expectReadBack(folder: string): Promise<void> {
  const { files, settled } = await manifest(folder)
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    for (const table of new Set(files.map((file) => file.table))) {
      const source = `read_parquet('${folder}/${table}/*/*/*.parquet', hive_partitioning = true)`
      const sql = `SELECT CAST(COLUMNS(* EXCLUDE (chain_id, day)) AS VARCHAR) FROM ${source} ORDER BY ALL`
      const reader = await connection.runAndReadAll(sql)
      const [columns, rows] = [reader.columnNames(), reader.getRowsJson()]
      const where = table === 'journal' ? '' : `WHERE block_number <= ${settled}`
      const names = columns.map((column) => `"${column}"::VARCHAR`).join(', ')
      const expected = await stage.query(`SELECT ${names} FROM ${table} ${where} ORDER BY ALL`)
      expect({ table, rows }).toEqual({ table, rows: expected })

      const parts = files.filter((file) => file.table === table)
      const read = await Promise.all(
        parts.map(async ({ path }) => {
          const bytes = await readFile(join(folder, path))
          return parquetReadObjects({
            file: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength),
          })
        }),
      )
      // Plain texts are compared one by one; the rest is a matter of how each reader writes a value.
      const texts = columns.filter((column) =>
        ['event_id', 'verse', 'position', 'amount', 'question', 'event', 'owner'].includes(column),
      )
      const pick = (cells: unknown[]) => JSON.stringify(cells.map(String))
      const theirs = read.flat().map((row) => pick(texts.map((column) => plain(row[column]))))
      const ours = expected.map((row) => pick(texts.map((column) => row[columns.indexOf(column)])))
      expect({ table, rows: theirs.toSorted() }).toEqual({ table, rows: ours.toSorted() })
    }
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

function plain(cell: unknown): unknown {
  return typeof cell === 'object' && cell !== null ? JSON.stringify(cell) : cell
}
