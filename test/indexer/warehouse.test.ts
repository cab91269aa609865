import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { createClient, sql } from '@ponder/client'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { exportTo } from '../../cli/export/export.ts'
import { exists } from '../../indexer/pglite.ts'
import { narrow, pushDown, transfer, ask } from '../../sdk/actions.ts'
import { childPaths, positionId, questionId, ROOT, verseId } from '../../sdk/ids.ts'
import { type JournalEntry, journalEntrySchema } from '../../sdk/journal.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { checkOutput, exportOutput, rebuildOutput } from '../../sdk/output.ts'
import { parseSpec, specDataUri } from '../../sdk/spec.ts'
import { lastJson, multiverse } from '../cli/harness.ts'
import { dump, unlike } from './dump.ts'
import { expectReadBack, manifest } from './lake.ts'
import { createLife, fillPockets, type Life } from './life.ts'
import { askOthers, playGame } from './oracleGame.ts'
import { type ServedJournal, serveJournal, until } from './services.ts'
import { createStage, type Stage } from './stage.ts'

// The database as a whole, and the commands about it: checked against the contract, rebuilt from nothing it says the same,
// taken out as Parquet others read the same, and keepers that come and go are told once each.

// Generous, for machines where much else runs: nothing here waits for time to pass.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 240_000 })

let stage: Stage
let life: Life
let keeper: ServedJournal
let served: JournalEntry[]

beforeAll(async () => {
  const path = new URL('journal.json', import.meta.url)
  served = journalEntrySchema.array().parse(JSON.parse(await readFile(path, 'utf8')))
  keeper = await serveJournal(() => served, 100)
  stage = await createStage({ withOracles: true }, [keeper.url])
  const tokens = [stage.chain.deployment.addresses.token]
  await fillPockets(stage.chain, tokens)
  life = await createLife(stage.chain, { seed: 7n, tokens })
  await live(10)
  await stage.ponder.ready()
  await stage.level()
})

afterAll(async () => {
  await stage?.close()
  await keeper?.close()
})

test('the moves of an optimistic game, and questions of the other oracles', async () => {
  await playGame(stage)
  await askOthers(stage)
  await life.resync()
  await stage.level()
  expect(await stage.query('SELECT oracle_kind FROM oracle_kinds ORDER BY 1')).toEqual(
    expect.arrayContaining([['committee'], ['optimistic'], ['price'], ['reality']]),
  )
})

test('the effects of a block are soon in DuckDB', async () => {
  const latencies: number[] = []
  for (let round = 0; round < 5; round++) {
    await live(1)
    const from = Date.now()
    await stage.level()
    latencies.push(Date.now() - from)
  }
  console.log(`block to DuckDB: ${latencies.join(', ')} ms`)
  // A quiet machine takes a fifth of a second; this is for one where everything else runs too.
  expect(latencies.toSorted((a, b) => a - b)[2]).toBeLessThan(10_000)
})

test('a block that changes balances by the dozen is seen whole over SQL, too', async () => {
  const { chain, ponder } = stage
  const { multiverse: ledger, token } = chain.deployment.addresses
  const terms = {
    oracle: chain.accounts[9]!.address,
    outcomes: 40,
    deadline: 2n ** 41n,
    specHash: ROOT,
    termsHash: ROOT,
  }
  const question = questionId(terms)
  await ask(chain.wallet(9), { multiverse: ledger, uri: 'data:,', ...terms })
  const push = { multiverse: ledger, path: [], question, token, amount: 7n }
  for (let nth = 0; nth < 2; nth++) await pushDown(chain.wallet(0), push)
  await life.resync()
  await stage.level()
  const { db } = createClient(new URL('sql', ponder.url).href)
  const [row] = (await db.execute(sql`
    SELECT count(*)::int AS count, sum(b.amount)::text AS amount FROM balance b
    JOIN "position" p ON p.id = b.position JOIN verse v ON v.id = p.verse
    WHERE v.question = ${question}`)) as unknown[]
  expect(row).toEqual({ count: 40, amount: `${40 * 14}` })
})

test('what an answer is worth', async () => {
  const { chain } = stage
  const { multiverse: ledger, token } = chain.deployment.addresses
  const json = JSON.stringify(threeVerses)
  const { specHash } = parseSpec(json)
  const terms = {
    oracle: chain.accounts[9]!.address,
    outcomes: 4,
    deadline: 2n ** 41n,
    specHash,
    termsHash: ROOT,
  }
  const question = questionId(terms)
  await ask(chain.wallet(9), { multiverse: ledger, uri: specDataUri(json), ...terms })
  const children = childPaths([], question).map((path) => verseId(path))
  const [alice, bob, carol] = [0, 1, 2]
  const unit = 10n ** 18n
  const push = (owner: number, amount: bigint) =>
    pushDown(chain.wallet(owner), { multiverse: ledger, path: [], question, token, amount })
  const give = (from: number, to: number, outcome: number) =>
    transfer(chain.wallet(from), {
      multiverse: ledger,
      to: chain.accounts[to]!.address,
      id: positionId(children[outcome]!, token),
      amount: unit,
    })
  // Alice keeps nash, Bob optimal, Carol chaos, of a set that Alice opened; and a set of Bob's stays whole.
  await push(alice, unit)
  await push(bob, 5n * unit)
  await give(alice, bob, 1)
  await give(alice, carol, 2)
  await narrow(chain.wallet(9), { multiverse: ledger, question, survivors: 0b10n })
  expect(await stage.check(life.keys())).toMatchObject({ ok: true })
  const [row] = await stage.query(
    `SELECT winner_label, wev_nominal, wev_realized, total, title FROM v_wev WHERE question = '${question}'`,
  )
  expect(row).toEqual(['optimal', `${18n * unit}`, `${unit}`, `${6n * unit}`, 'Three verses'])
  const verses = await stage.query(
    `SELECT label, state FROM v_verses WHERE question = '${question}' AND depth = 1 ORDER BY outcome`,
  )
  expect(verses).toEqual([
    ['nash', 'collapsed'],
    ['optimal', 'happened'],
    ['chaos', 'collapsed'],
    ['void', 'collapsed'],
  ])

  // The keeper tells of the partition in its own time; the figure in the seeds' table is the exact one, in whole tokens.
  const before = served
  served = [
    {
      keeperId: 'k',
      epoch: 1,
      seq: 1,
      at: new Date().toISOString(),
      event: {
        kind: 'partition.resolved',
        resolutionId: 'r',
        parent: ROOT,
        question,
        verses: children,
        winningVerse: children[1]!,
        oracleSource: 'manual',
        blockNumber: 1,
        pullUpTimeMs: 2,
      },
    },
  ]
  await journalRead('k', 1, 1)
  served = before
  const [resolution] = await stage.query(
    'SELECT wev_extracted, len(verses)::INT FROM verse_resolutions WHERE winning_verse = $1',
    [children[1]!],
  )
  expect(resolution).toEqual([18, 4])
})

test('keepers that are replaced: every journal is read once', async () => {
  const first = served
  const as = (keeperId: string, epoch: number) =>
    first.map((entry): JournalEntry => ({ ...entry, keeperId, epoch }))
  const { keeperId, epoch } = first[0]!
  await journalRead(keeperId, epoch, first.length)
  const tables =
    'SELECT (SELECT count(*) FROM provider_invocations), (SELECT count(*) FROM runtime_metrics)'
  const [before] = await stage.query(tables)

  served = as('another', 1).slice(0, 5)
  await journalRead('another', 1, 5)
  // The same keeper after its books were lost: a later epoch, from the beginning.
  served = as(keeperId, epoch + 1).slice(0, 9)
  await journalRead(keeperId, epoch + 1, 9)

  // A journal that goes backwards is refused, told, and changes nothing.
  served = as(keeperId, epoch)
  await until('it is told', async () => {
    const { problems } = await stage.api.status()
    return problems.some(({ code }) => code === 'JOURNAL_BACKWARDS')
  })
  const ran = await stage.command('analytics', 'check')
  const { problems, differences } = checkOutput.parse(lastJson(ran))
  expect([ran.code, differences, problems.map(({ code }) => code)]).toEqual([
    1,
    [],
    ['JOURNAL_BACKWARDS'],
  ])
  served = as(keeperId, epoch + 1).slice(0, 9)
  await until('it is well again', async () => (await stage.api.status()).problems.length === 0)

  const counted = await stage.query(
    'SELECT keeper_id, epoch::INT, count(*)::INT, count(DISTINCT seq)::INT FROM journal GROUP BY ALL ORDER BY ALL',
  )
  const expected = [
    [keeperId, epoch, first.length, first.length],
    [keeperId, epoch + 1, 9, 9],
    ['another', 1, 5, 5],
    ['k', 1, 1, 1],
  ]
  expect(counted).toEqual(expected.toSorted((a, b) => (String(a) < String(b) ? -1 : 1)))
  const [after] = await stage.query(tables)
  expect(after![0]).toBe(before![0])
})

test('a row that somebody altered is found; a rebuild from nothing gives the same to the byte, and answers meanwhile', async () => {
  await nextDay()
  await live(6)
  await stage.level()
  const path = join(dataPaths(stage.folder.path).analytics, 'multiverse.duckdb')
  const before = await dump(stage)
  expect(before.length).toBeGreaterThan(20)
  expect((await stage.command('analytics', 'check')).code).toBe(0)

  await stage.analytics.stop()
  const altered = await addOne(path)
  const { ino } = await stat(path)
  await stage.startAnalytics()
  await stage.level()
  const found = await stage.command('analytics', 'check')
  expect(checkOutput.parse(lastJson(found))).toMatchObject({
    ok: false,
    differences: [altered],
    faults: [{ fault: 'positions whose owners do not have the supply', count: 1 }],
    problems: [],
  })
  expect(found.code).toBe(1)
  const told = await multiverse(['analytics', 'check', '--data', stage.folder.path])
  expect(told.stdout).toMatch(/DuckDB, indexer and contract differ in 1\n/)
  expect(told.stdout).toMatch(
    new RegExp(`${altered.owner} +${altered.position} +${altered.duckdb} +${altered.contract} `),
  )
  expect(told.code).toBe(1)

  const crossSite = await fetch(`${stage.analytics.url}/rebuild`, {
    method: 'POST',
    headers: { origin: 'https://a.example' },
  })
  expect(crossSite.status).toBe(403)
  const isDone = new AbortController()
  const rebuilding = ['one', 'another'].map(() => stage.command('analytics', 'rebuild'))
  const both = Promise.all(rebuilding).finally(() => isDone.abort())
  while (!isDone.signal.aborted) {
    const [row] = await stage.query('SELECT count(*) > 0 FROM transfers')
    expect(row).toEqual([true])
  }
  const [done, refused] = (await both).toSorted((a, b) => a.code! - b.code!)
  expect(rebuildOutput.parse(lastJson(done!)).block).toBeGreaterThan(0)
  expect(lastJson(refused!)).toMatchObject({ error: { code: 'REBUILD_RUNNING' } })
  expect([done!.code, refused!.code]).toEqual([0, 1])
  expect(unlike(before, await dump(stage))).toEqual([])
  expect((await stat(path)).ino).not.toBe(ino)
  expect((await stage.command('analytics', 'check')).code).toBe(0)
  await live(3)
  expect(await stage.check(life.keys())).toMatchObject({ ok: true })
})

test('without the indexer a rebuild fails and leaves all as it was, and a check has nothing to compare', async () => {
  expect(await stage.ponder.stop()).toBe(0)
  expect(await exists(join(dataPaths(stage.folder.path).ponder, 'open'))).toBe(false)
  const before = await dump(stage)
  for (const verb of ['rebuild', 'check']) {
    const ran = await stage.command('analytics', verb)
    expect([verb, ran.code, lastJson(ran)]).toEqual([
      verb,
      1,
      { error: { code: 'INDEXER_UNREACHABLE', message: expect.any(String) as string } },
    ])
  }
  expect(unlike(before, await dump(stage))).toEqual([])
  // It goes on where it was, and waits for no lock.
  await live(2)
  await reorg(2)
  await until('its absence is told', async () => {
    const { problems } = await stage.api.status()
    return problems.some(({ of, code }) => of === 'mirror' && code === 'INDEXER_UNREACHABLE')
  })
  await stage.startPonder()
  await stage.ponder.ready()
  expect(stage.ponder.output()).not.toMatch(/locked|begun-anew/)
  expect(await stage.check(life.keys())).toMatchObject({ ok: true })
})

test('an export is read back by DuckDB and by another reader, and grows by what is new', async () => {
  const folder = join(stage.folder.path, 'lake')
  const take = async () => {
    const ran = await stage.command('analytics', 'export', '--to', folder)
    expect([ran.code, ran.stderr]).toEqual([0, ''])
    return exportOutput.parse(lastJson(ran))
  }
  await stage.settle()
  const first = await take()
  expect(first.rows).toBeGreaterThan(20)
  await expectReadBack(stage, folder)
  const old = (await manifest(folder)).files

  await nextDay()
  await live(6)
  await stage.settle()
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
  await expectReadBack(stage, folder)
  expect(await take()).toMatchObject({ files: 0, rows: 0 })

  const small = join(stage.folder.path, 'small')
  const { deployment } = stage.chain
  const all = await exportTo({ folder: small, analytics: stage.api, deployment, maxRows: 12 })
  expect(all.rows).toBe(first.rows + second.rows)
  expect(all.files).toBeGreaterThan(first.files + second.files)
  await expectReadBack(stage, small)
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

test('a chain that went another way deeper than is final while the indexer was away', async () => {
  // Killed, so that what it left to ponder is tested too: ponder ends by itself, and the next one waits for that.
  await stage.ponder.kill()
  // Down to what was done last, however many empty blocks it took until that was final: on a busy machine they are more.
  const [row] = await stage.query('SELECT max(number)::INT FROM blocks')
  const head = await stage.chain.publicClient.getBlockNumber()
  await reorg(Number(head) - Number(row![0]) + 2)
  await live(3)
  await stage.startPonder()
  await stage.ponder.ready()
  expect(stage.ponder.output()).toContain('ponder.begun-anew')
  expect(await stage.check(life.keys())).toMatchObject({ ok: true, differences: [], problems: [] })
})

const threeVerses = {
  version: 1,
  title: 'Three verses',
  verses: [
    { name: 'nash', strategy: 'selfish', trit: -1, probability: '0.45' },
    { name: 'optimal', strategy: 'cooperative', trit: 0, probability: '0.35' },
    { name: 'chaos', strategy: 'random', trit: 1, probability: '0.2' },
  ],
  void: { name: 'void', probability: '0' },
  setup: '',
  program: 'return { cost: 1 }',
  needs: { parallel: true, optimize: false, verify: false },
  outcome: { source: 'manual' },
  seed: 1069,
}

async function journalRead(keeperId: string, epoch: number, seq: number): Promise<void> {
  await until('the journal is read', async () => {
    const { journals } = await stage.api.status()
    return journals.some(
      (each) => each.keeperId === keeperId && each.epoch === epoch && each.seq === seq,
    )
  })
}

/** Adds 1 to a balance, behind the back of all: whose it is, and what `check` is to say of it. */
async function addOne(path: string) {
  const instance = await DuckDBInstance.create(path)
  const connection = await instance.connect()
  try {
    const reader = await connection.runAndReadAll(`
      UPDATE balances SET amount = amount + 1::BIGNUM
      WHERE (owner, position) = (SELECT (owner, position) FROM balances WHERE amount > 0::BIGNUM ORDER BY ALL LIMIT 1)
      RETURNING owner, position, amount::VARCHAR, (amount - 1::BIGNUM)::VARCHAR`)
    const [owner, position, duckdb, was] = reader.getRowsJson()[0] as string[]
    return { owner, position, duckdb, indexer: was, contract: was }
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

async function live(steps: number): Promise<void> {
  for (let done = 0; done < steps; done++) await life.step()
}

async function reorg(depth: number): Promise<void> {
  await stage.reorg(depth)
  await life.resync()
}

async function nextDay(): Promise<void> {
  await stage.chain.testClient.increaseTime({ seconds: 86_400 })
  await stage.chain.testClient.mine({ blocks: 1 })
  await life.resync()
}
