import { afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { Database } from '../../keeper/store/database.ts'
import { createQueue, type Queue } from '../../keeper/store/queue.ts'
import { createStage } from './stage.ts'
import { eventually, PATIENT } from './world.ts'

vi.setConfig(PATIENT)

// The machine's clock goes on by hours while work is under way, and pg-boss looks for expired jobs before anybody has noticed.

const HOUR_MS = 3_600_000
const KEY = '0xabc'

const stage = createStage()
let db: Database
let queue: Queue
/** Runs of the job: when each is let go, and how many there were at once. */
let runs: PromiseWithResolvers<void>[] = []
let [atOnce, mostAtOnce] = [0, 0]

beforeAll(async () => {
  db = await stage.books()
  queue = await createQueue(db)
  await queue.work('partition', 4, async () => {
    const run = Promise.withResolvers<void>()
    runs.push(run)
    mostAtOnce = Math.max(mostAtOnce, ++atOnce)
    await run.promise
    atOnce--
  })
  return () => queue.stop()
})
afterEach(() => vi.useRealTimers())

/** Adds a job and waits until it runs. */
async function begin(): Promise<void> {
  runs = []
  ;[atOnce, mostAtOnce] = [0, 0]
  await db.transaction((tx) => queue.add(tx, 'partition', [KEY]))
  queue.wake('partition', 1)
  await count(1)
}

const count = (wanted: number) =>
  eventually(`run ${wanted}`, async () => ({
    value: runs.length,
    isReached: runs.length >= wanted,
  }))

/** What pg-boss has of the job after it has looked for expired ones. */
async function supervised(): Promise<string> {
  await db.boss.supervise('partition')
  const [row] = await db.query<{ state: string }>(
    `select state::text as state from pgboss.job where singleton_key = $1
    order by created_on desc limit 1`,
    [KEY],
  )
  return row!.state
}

async function isIdle(): Promise<void> {
  await eventually('nothing left', async () => {
    const value = await queue.isIdle()
    return { value, isReached: value }
  })
}

/** Sets the machine's clock on, of which the database's is the same one. */
async function jump(ms: number): Promise<void> {
  const before = Date.now()
  vi.useFakeTimers({ toFake: ['Date'], now: before + ms })
  const [row] = await db.query<{ now: number }>(
    `select extract(epoch from now())::float8 * 1000 as now`,
  )
  expect(row!.now).toBeGreaterThanOrEqual(before + ms - 1_000)
}

test('work that takes hours is not taken for lost', async () => {
  await begin()
  await jump(23 * HOUR_MS)
  expect(await supervised()).toBe('active')
  runs[0]!.resolve()
  await isIdle()
  expect(runs).toHaveLength(1)
})

test('work that is taken for lost is done again after it has ended, not beside it', async () => {
  await begin()
  await jump(25 * HOUR_MS)
  expect(await supervised()).toBe('retry')
  await db.query(`update pgboss.job set start_after = now() where singleton_key = $1`, [KEY])
  queue.wake('partition', 4)
  // It is given out again, and waits.
  await eventually('taken again', async () => {
    const value = await supervised()
    return { value, isReached: value === 'active' }
  })
  expect(runs).toHaveLength(1)
  runs[0]!.resolve()
  await count(2)
  runs[1]!.resolve()
  await isIdle()
  expect({ runs: runs.length, mostAtOnce }).toEqual({ runs: 2, mostAtOnce: 1 })
})
