import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { setTimeout as sleep } from 'node:timers/promises'
import { indexerHolder } from '../../cli/check/holders.ts'
import { openDatabase } from '../../indexer/analytics/database.ts'
import { createMirror } from '../../indexer/analytics/mirror.ts'
import { createSource } from '../../indexer/analytics/source.ts'
import { createTokenReader } from '../../indexer/analytics/tokens.ts'
import { createChainReader } from '../../indexer/chain.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { createLife, fillPockets, type Life } from './life.ts'
import { openGate, until } from './services.ts'
import { createStage, type Stage } from './stage.ts'

// The mirror is killed in the middle of batches, the chain goes other ways under it, and the indexer begins anew: always equal
// again, nothing twice.

// Generous, for machines where much else runs: nothing here waits for time to pass.
vi.setConfig({ testTimeout: 900_000, hookTimeout: 240_000 })

const isDeep = process.env['DEEP'] === '1'
const KILLS = isDeep ? 50 : 5
const DEPTHS = isDeep ? Array.from({ length: 28 }, (_, index) => index + 1) : [1, 2, 7, 28]

let stage: Stage
let life: Life

beforeAll(async () => {
  stage = await createStage()
  const tokens = [stage.chain.deployment.addresses.token]
  await fillPockets(stage.chain, tokens)
  life = await createLife(stage.chain, { seed: 20_261_122n, tokens })
  await stage.ponder.ready()
  await stage.level()
})

afterAll(() => stage?.close())

test(`the mirror is killed ${KILLS} times in the middle of a batch`, async () => {
  /** Blocks the file was behind after each kill: those that fell into a batch left it where it was. */
  let cut = 0
  let onRows = () => {}
  const gate = await openGate(stage.ponder.url, ({ path }) => {
    if (path.includes('transfer')) onRows()
  })
  const indexer = indexerHolder(`${stage.ponder.url}/graphql`)
  const begin = () => stage.startAnalytics({ indexerUrl: gate.url })
  await stage.analytics.stop()
  await begin()
  await live(8)
  for (let nth = 0; nth < KILLS; nth++) {
    await expectEqual()
    // Held back until the indexer has all of it, so that it comes as one batch.
    gate.hold()
    await live(5)
    if (nth % 2 === 1) await reorg(1 + (nth % 4))
    const { hash, number: head } = await stage.chain.publicClient.getBlock()
    await until('the indexer is there', async () => (await indexer.place())?.hash === hash)
    // Once it has been given the rows it writes them, and is killed somewhere in that.
    const given = Promise.withResolvers<void>()
    onRows = given.resolve
    gate.open()
    await given.promise
    await sleep((nth * 7) % 60)
    await stage.analytics.kill()
    const { block, faults } = await inFile()
    expect(faults).toBe(0)
    if (block < head) cut += 1
    await begin()
  }
  await expectEqual()
  await gate.close()
  // In order this time, to go on with the indexer itself.
  expect(await stage.analytics.stop()).toBe(0)
  await stage.startAnalytics()
  console.log(`${cut} of ${KILLS} kills left the batch unwritten`)
  expect(cut).toBeGreaterThan(0)
})

test.each(DEPTHS)('a reorg of depth %i', async (depth) => {
  await live(3)
  const head = Number(await stage.chain.publicClient.getBlockNumber())
  if (head < depth + 5) await stage.chain.testClient.mine({ blocks: depth + 5 - head })
  await reorg(depth)
  await live(2)
  await expectEqual()
  expect(stage.ponder.output()).not.toContain('begun-anew')
})

test('more than is taken back at once is mirrored anew, and only once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'multiverse-anew-'))
  const { chain, ponder } = stage
  const database = await openDatabase(folder, chain.deployment)
  const said: string[] = []
  const mirror = createMirror({
    database,
    chain: createChainReader(chain.url),
    source: createSource(ponder.url),
    tokens: createTokenReader(chain.url),
    requireSameChain: async () => {},
    maxTakenBack: 0,
    log: (event) => said.push(event),
  })
  const balances = 'FROM balances ORDER BY ALL'
  const follow = async () => {
    await stage.level()
    await until('the other mirror is level', async () => (await mirror.tick()).kind === 'current')
    const held = await database.write((tx) => tx.rows(balances))
    expect(held.map((row) => Object.values(row))).toEqual(await stage.query(balances))
  }
  try {
    await live(8)
    await follow()
    await reorg(7)
    await live(2)
    await follow()
    expect(said).toEqual(['mirror.begun-anew'])
  } finally {
    await database.close()
    await rm(folder, { recursive: true })
  }
})

test('a reorg deeper than what is final is named, and no dead row is served until all is healed', async () => {
  await live(3)
  const done = await stage.chain.publicClient.getBlockNumber()
  await stage.settle()
  await expectEqual()
  // The empty blocks, however many it took, and what was done last below them.
  const head = await stage.chain.publicClient.getBlockNumber()
  await reorg(Number(head - done) + 2)
  await live(3)
  await until('the mirror has named it', async () =>
    stage.analytics.output().includes('mirror.reorg-past-finality'),
  )
  const healed = new AbortController()
  const healing = expectEqual().then(() => healed.abort())
  let looks = 0
  while (!healed.signal.aborted) {
    expect(await deadBlocks()).toEqual([])
    looks += 1
    await Promise.race([healing, sleep(100)])
  }
  await healing
  expect(looks).toBeGreaterThan(1)
  expect(stage.ponder.output()).toMatch(/ponder.contradicted.*REORG_PAST_FINALITY/)
  expect(stage.ponder.output()).toContain('ponder.begun-anew')
})

test('the indexer begins from nothing under a live mirror', async () => {
  await live(4)
  await stage.ponder.stop()
  await rm(dataPaths(stage.folder.path).ponder, { recursive: true })
  await live(2)
  await reorg(2)
  await until('its absence is told', async () => {
    const { problems } = await stage.api.status()
    return problems.some(({ code }) => code === 'INDEXER_UNREACHABLE')
  })
  await stage.startPonder()
  await live(3)
  await expectEqual()
  expect((await stage.api.status()).problems).toEqual([])
})

async function live(steps: number): Promise<void> {
  for (let done = 0; done < steps; done++) await life.step()
}

async function reorg(depth: number): Promise<void> {
  await stage.reorg(depth)
  await life.resync()
}

async function expectEqual(): Promise<void> {
  const checked = await stage.check(life.keys())
  expect(checked).toMatchObject({ ok: true, differences: [], faults: [], problems: [] })
  expect(checked.compared).toBeGreaterThan(0)
}

/** Blocks that the analytics serve and the chain does not have. */
async function deadBlocks(): Promise<bigint[]> {
  const rows = await stage.query('SELECT number::INT, hash FROM blocks')
  const numbers = rows.map(([number]) => BigInt(number as number))
  const headers = await createChainReader(stage.chain.url).headers(numbers)
  return numbers.filter((_, index) => headers[index]?.hash !== rows[index]![1])
}

/** How far the file of the mirror that was killed is, and how many of its events or balances are wrong among themselves. */
async function inFile(): Promise<{ block: bigint; faults: number }> {
  const copy = join(stage.folder.path, 'copy')
  await cp(dataPaths(stage.folder.path).analytics, copy, { recursive: true })
  const instance = await DuckDBInstance.create(join(copy, 'multiverse.duckdb'))
  const connection = await instance.connect()
  try {
    const reader = await connection.runAndReadAll(`
      SELECT coalesce(head_number, 0)::BIGINT,
        (SELECT (SELECT coalesce(sum(events), 0) FROM blocks) <> (SELECT count(*) FROM events))::INT
        + (SELECT count(*) FROM supplies s
           LEFT JOIN (SELECT position, sum(amount) AS held FROM balances GROUP BY position) b USING (position)
           WHERE s.amount <> coalesce(b.held, 0::BIGNUM))
        + (SELECT count(*) FROM blocks, mirror WHERE number > head_number) AS faults
      FROM mirror`)
    const [block, faults] = reader.getRows()[0]!
    return { block: block as bigint, faults: Number(faults) }
  } finally {
    connection.closeSync()
    instance.closeSync()
    await rm(copy, { recursive: true })
  }
}
