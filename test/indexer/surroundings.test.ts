import { createHash } from 'node:crypto'
import { readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createAnalyticsApi } from '../../cli/services.ts'
import { openDatabase } from '../../indexer/analytics/database.ts'
import { type JournalEntry, journalEntrySchema } from '../../sdk/journal.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { inProcess } from '../cli/harness.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'
import {
  createDataFolder,
  type Folder,
  type Service,
  type ServedJournal,
  serveJournal,
  startAnalytics,
  startAnalyticsBare,
  startPonder,
  until,
} from './services.ts'

// Surroundings that do not fit: each ends the process with one line that names it and an exit code, and leaves the data as it
// was. Here is a chain and no indexer; what happens without an indexer is seen in warehouse.test.ts and crash.test.ts.

// Generous, for machines where much else runs: nothing here waits for time to pass.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

const NOBODY = 'http://127.0.0.1:1'

let chain: LocalChain
let keeper: ServedJournal
let entries: JournalEntry[]
let served: JournalEntry[]
const folders: Folder[] = []
/** Analytics whose chain is not there; they take their time to give up. */
let lost: Service
/** Analytics that run. */
let home: Folder
let running: Service

beforeAll(async () => {
  const path = new URL('journal.json', import.meta.url)
  entries = journalEntrySchema.array().parse(JSON.parse(await readFile(path, 'utf8')))
  served = entries.slice(0, 5)
  chain = await startChain()
  lost = await startAnalytics((await newFolder()).path, { rpcUrl: NOBODY, indexerUrl: NOBODY })
  keeper = await serveJournal(() => served, 100)
  home = await newFolder()
  running = await onHome()
  await until('it runs', async () => (await read(running)) === 5)
})

afterAll(async () => {
  await running?.stop()
  await lost?.kill()
  await keeper?.close()
  await chain?.stop()
  await Promise.all(folders.map((each) => each.remove()))
})

async function newFolder(changed: Partial<LocalChain['deployment']> = {}): Promise<Folder> {
  const folder = await createDataFolder({ ...chain.deployment, ...changed })
  folders.push(folder)
  return folder
}

const onHome = (mostKiB?: number) =>
  startAnalytics(home.path, {
    rpcUrl: chain.url,
    indexerUrl: NOBODY,
    keeperUrls: [keeper.url],
    ...(mostKiB !== undefined && { mostKiB }),
  })

/** How many entries of the journal are read; undefined when it does not answer. */
async function read(service: Service): Promise<number | undefined> {
  const found = await createAnalyticsApi(service.url)
    .status()
    .catch(() => undefined)
  return found?.journals[0]?.seq
}

/** The exit code and the code of the one error that was written. */
async function end(service: Service): Promise<[number | null, string[]]> {
  const code = await service.ended
  const errors = service.output().matchAll(/^error (\w+): .+$/gm)
  return [code, [...errors].map(([, name]) => name!)]
}

/** Analytics on a folder of their own, which has a database. */
async function withDatabase(change: (file: string) => Promise<void>) {
  const { path } = await newFolder()
  const folder = dataPaths(path).analytics
  await (await openDatabase(folder, chain.deployment)).close()
  const file = join(folder, 'multiverse.duckdb')
  await change(file)
  const before = await readFile(file)
  const service = await startAnalytics(path, { rpcUrl: chain.url, indexerUrl: NOBODY })
  return {
    end: () => end(service),
    isAsItWas: async () => before.equals(await readFile(file)),
    command: () => inProcess(['sql', 'SELECT 1', '--data', path]),
  }
}

test('another chain, a second mirror, a lack of settings, and a chain that is not there', async () => {
  const there = { rpcUrl: chain.url, indexerUrl: NOBODY }
  const startBlockHash = `0x${'44'.repeat(32)}` as const
  const [elsewhere, begunAnew, otherId] = await Promise.all([
    newFolder({ startBlockHash }),
    newFolder({ startBlockHash }),
    newFolder({ chainId: 1 }),
  ])
  const services = [
    await startPonder(elsewhere.path, chain.url),
    await startAnalytics(begunAnew.path, there),
    await startAnalytics(otherId.path, there),
    await startAnalytics(home.path, there),
    startAnalyticsBare({ MULTIVERSE_DATA: home.path }),
    startAnalyticsBare({
      MULTIVERSE_DATA: join(home.path, 'nothing'),
      MULTIVERSE_RPC_URL: chain.url,
      INDEXER_URL: NOBODY,
    }),
    lost,
  ]
  expect(await Promise.all(services.map((service) => end(service)))).toEqual([
    [3, ['WRONG_CHAIN']],
    [3, ['WRONG_CHAIN']],
    [3, ['WRONG_CHAIN']],
    [1, ['LOCKED']],
    [2, ['MISSING_ENVIRONMENT']],
    [2, ['NO_DEPLOYMENT']],
    [75, ['RPC_FAILED']],
  ])
  expect(await read(running)).toBe(5)
})

test('a file that is no database, one that is damaged, and one of a newer version', async () => {
  const garbage = await withDatabase((file) => writeFile(file, 'not a database'))
  const cut = await withDatabase(async (file) => truncate(file, (await stat(file)).size / 2))
  const flipped = await withDatabase(async (file) => {
    const bytes = await readFile(file)
    // Something in every block, and not in the file's own header.
    for (let at = 12_288 + 100; at < bytes.length; at += 4_096) bytes[at]! ^= 1
    await writeFile(file, bytes)
  })
  const newer = await withDatabase(async (file) => {
    const database = await openDatabase(join(file, '..'), chain.deployment)
    await database.write((tx) => tx.run("INSERT INTO schema_migrations VALUES (999, '2026-01-01')"))
    await database.close()
  })
  const ends = await Promise.all([garbage, cut, flipped, newer].map((each) => each.end()))
  expect(ends).toEqual([
    [1, ['DATABASE_UNREADABLE']],
    [1, ['DATABASE_UNREADABLE']],
    [1, ['DATABASE_UNREADABLE']],
    [3, ['SCHEMA_TOO_NEW']],
  ])
  // Nor does the command change anything, which reads the file itself while nothing runs.
  const [onGarbage, onNewer] = await Promise.all([garbage.command(), newer.command()])
  expect([onGarbage.code, onNewer.code]).toEqual([1, 3])
  expect(onGarbage.stderr).toMatch(/^error DATABASE_UNREADABLE: .+: remove it, and all is mirrored/)
  expect(onNewer.stderr).toMatch(
    /^error SCHEMA_TOO_NEW: the database has schema version 999, this program knows \d+\n$/,
  )
  for (const each of [garbage, cut, flipped, newer]) expect(await each.isAsItWas()).toBe(true)
})

test('a block that is damaged is found when it is read', async () => {
  const folder = dataPaths((await newFolder()).path).analytics
  await (await openDatabase(folder, chain.deployment)).close()
  const file = join(folder, 'multiverse.duckdb')
  const instance = await DuckDBInstance.create(file)
  const connection = await instance.connect()
  await connection.run("SET force_compression = 'uncompressed'")
  await connection.run(
    `INSERT INTO journal SELECT 'k', 1, range, '2026-01-01', 'x', to_json(md5(range::VARCHAR)) FROM range(20000)`,
  )
  connection.closeSync()
  instance.closeSync()
  const bytes = await readFile(file)
  const at = bytes.indexOf(createHash('md5').update('12345').digest('hex'))
  expect(at).toBeGreaterThan(0)
  bytes[at]! ^= 1
  await writeFile(file, bytes)
  const database = await openDatabase(folder, chain.deployment)
  try {
    const looking = database.write((tx) => tx.rows('SELECT sum(length(event)) AS n FROM journal'))
    await expect(looking).rejects.toMatchObject({
      code: 'DATABASE_UNREADABLE',
      message: expect.stringMatching(/: remove it, and all is mirrored anew$/) as string,
    })
  } finally {
    await database.close()
  }
})

test('a disk that is full: nothing of a transaction is written, and once there is room it goes on', async () => {
  const { analytics } = dataPaths(home.path)
  const api = () => createAnalyticsApi(running.url)
  const count = async () => {
    const { rows } = await api().sql('SELECT count(*)::INT, count(DISTINCT seq)::INT FROM journal')
    return rows[0]
  }
  const { size } = await stat(join(analytics, 'multiverse.duckdb.wal'))
  expect(await running.stop()).toBe(0)

  running = await onHome(Math.ceil(size / 1_024) + 8)
  await until('it runs', async () => (await read(running)) === 5)
  served = entries
  expect(await end(running)).toEqual([75, ['DISK_FULL']])

  served = entries.slice(0, 5)
  running = await onHome()
  await until('it runs', async () => (await read(running)) === 5)
  expect(await count()).toEqual([5, 5])
  served = entries
  await until('all is read', async () => (await read(running)) === entries.length)
  expect(await count()).toEqual([entries.length, entries.length])
})
