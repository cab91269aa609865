import { rm } from 'node:fs/promises'
import type { Hex } from 'viem'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { ROOT } from '../../sdk/ids.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { type LocalPostgres, startPostgres } from '../helpers/postgres.ts'
import { randomFrom } from '../helpers/random.ts'
import { CRASH_CHILD, type KeeperProcess } from './child.ts'
import { expectNothingWasted, expectOnceInJournal, expectOnceOnChain } from './once.ts'
import { createStage } from './stage.ts'
import {
  answersOf,
  askQuestion,
  eventually,
  keeperClient,
  keeperEnv,
  PATIENT,
  push,
  readJournal,
  reportsOf,
  resolvedEnd,
  spec,
} from './world.ts'

vi.setConfig(PATIENT)

// Books on a Postgres server, which several keepers share, and which goes away.

const isDeep = process.env['DEEP'] === '1'
const KEEPERS = 4
const SHARED = isDeep ? { partitions: 500, kills: 60 } : { partitions: 40, kills: 5 }
const LONG = isDeep ? 7_200_000 : 600_000
const asked = spec({ outcome: { source: 'pipeline' } })

const stage = createStage()
let server: LocalPostgres
let chain: LocalChain
let keepers: KeeperProcess[] = []

beforeAll(async () => {
  server = await startPostgres()
})
afterEach(async () => {
  await stage.kill()
  keepers = []
})
afterAll(() => server?.remove())

/** Starts a chain, and gives what starts keepers on one database, each with a folder of its own. */
async function begin(name: string) {
  chain = await stage.chain()
  const url = await server.create(name)
  return async () => {
    const dataDir = await stage.folder(chain)
    await rm(dataPaths(dataDir).keeper, { recursive: true })
    const env = keeperEnv(chain, dataDir, {
      KEEPER_DATABASE_URL: url,
      KEEPER_CONCURRENCY: '4',
      KEEPER_RECONCILE_SECONDS: '2',
    })
    const start = () => {
      const keeper = stage.spawn(env, { main: CRASH_CHILD })
      keepers.push(keeper)
      return keeper
    }
    return { client: keeperClient(dataDir), start }
  }
}

async function beginPartition(): Promise<Hex> {
  const { question } = await askQuestion(chain, asked)
  await push(chain, question, [], 1n)
  return question
}

async function areAnswered(questions: readonly Hex[]): Promise<boolean> {
  for (const question of questions.toReversed())
    if ((await answersOf(chain, question)).length === 0) return false
  return true
}

test(
  `${KEEPERS} keepers share ${SHARED.partitions} partitions, and are killed ${SHARED.kills} times: each is branched, reported and answered once`,
  async () => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
    const random = randomFrom(seed)
    const join = await begin('shared')
    const places = await Promise.all(Array.from({ length: KEEPERS }, join))
    const running = places.map(({ start }) => start())
    await Promise.all(running.map((keeper) => keeper.says('keeper.ready')))
    const questions: Hex[] = []
    for (let kill = 0; kill < SHARED.kills; kill++) {
      const wanted = Math.ceil((SHARED.partitions * (kill + 1)) / SHARED.kills)
      while (questions.length < wanted) questions.push(await beginPartition())
      const at = Math.floor(random() * KEEPERS)
      const keeper = running[at]!
      const lines = keeper.lines.length + Math.floor(random() * 6)
      await eventually('a moment to be killed', async () => {
        const value = keeper.lines.length
        // It has nothing more to say when the others did all that there was.
        return { value, isReached: value >= lines || (await areAnswered(questions)) }
      })
      keeper.signal('SIGKILL')
      expect([seed, await keeper.ended, keeper.errors]).toEqual([seed, 'SIGKILL', []])
      running[at] = places[at]!.start()
    }
    const [{ client }] = places as [(typeof places)[number]]
    for (const question of questions) await resolvedEnd(client, ROOT, question, LONG)
    await expectOnceOnChain(chain, questions)
    await expectNothingWasted(chain)
    const journal = await readJournal(await running[0]!.port())
    expectOnceInJournal(journal, questions)

    // Each is branched once, but for what a keeper that was killed had under way.
    const branched = journal.filter(({ event }) => event.kind === 'world.branched').length
    expect(branched).toBeGreaterThanOrEqual(questions.length)
    expect(branched - questions.length).toBeLessThanOrEqual(4 * SHARED.kills)
    // They did share the work.
    const workers = keepers.filter(({ lines }) =>
      lines.some(({ msg }) => msg === 'partition.reported'),
    )
    expect(workers.length).toBeGreaterThan(1)
    // No two of them have a world of one verse.
    await eventually('one world of a verse', async () => {
      const all = await Promise.all(places.map((place) => place.client.call('GET', '/worlds')))
      const verses = all.flatMap(({ body }) =>
        (body as { worlds: { verseId: Hex }[] }).worlds.map(({ verseId }) => verseId),
      )
      return { value: verses.length, isReached: new Set(verses).size === verses.length }
    })
    for (const keeper of running) {
      keeper.signal('SIGTERM')
      expect([await keeper.ended, keeper.errors]).toEqual([0, []])
    }
  },
  LONG,
)

test('waits for its server, and goes on where it was', async () => {
  const join = await begin('outage')
  const { client, start } = await join()
  const keeper = start()
  await keeper.says('keeper.ready')
  const before = await beginPartition()
  await resolvedEnd(client, ROOT, before)
  const under = await beginPartition()
  await keeper.says('partition.started', ({ question }) => question === under)
  await server.stop()
  const during = await beginPartition()
  const port = await keeper.port()
  await eventually('not ready', async () => {
    const { status } = await fetch(`http://127.0.0.1:${port}/ready`)
    return { value: status, isReached: status === 503 }
  })
  await server.start()
  for (const question of [under, during]) await resolvedEnd(client, ROOT, question)
  await expectOnceOnChain(chain, [before, under, during])
  await expectNothingWasted(chain)
  expect(await reportsOf(chain, during)).toHaveLength(1)
  // It says what was missing.
  const said = keeper.lines.filter(({ level }) => level === 'warn' || level === 'error')
  expect(JSON.stringify(said)).toMatch(/DATABASE_FAILED|ECONNREFUSED/)
  keeper.signal('SIGTERM')
  expect(await keeper.ended).toBe(0)
})
