import * as fc from 'fast-check'
import { type Hex, keccak256, toHex } from 'viem'
import { beforeAll, expect, test, vi } from 'vitest'
import { openStores, type Stores } from '../../keeper/books.ts'
import { createDeadLetters, type DeadLetters } from '../../keeper/jobs/deadLetters.ts'
import { type ErrorClass, RETRIES } from '../../keeper/jobs/errorClass.ts'
import { createRetries } from '../../keeper/jobs/retries.ts'
import { createLog } from '../../keeper/log.ts'
import type { Database } from '../../keeper/store/database.ts'
import { createJobViews, type JobViews } from '../../keeper/store/jobs.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import { keeperJobsOutput } from '../../sdk/keeperOutput.ts'
import { createStage } from './stage.ts'
import { PATIENT } from './world.ts'

vi.setConfig(PATIENT)

// Any history of a job that fails, goes well, is retried and dropped, on real books, against what it ought to come to.

const stage = createStage()
let db: Database
let stores: Stores
let letters: DeadLetters
let views: JobViews
const log = createLog('silent')

beforeAll(async () => {
  db = await stage.books()
  stores = await openStores(db, { keeperId: 'k', epoch: 1 }, log)
  views = createJobViews(db)
  letters = createDeadLetters({ ...stores, views, log })
})

const ERRORS: Record<ErrorClass, () => Error> = {
  outage: () => new MultiverseError('RPC_FAILED', 'x', { isRetryable: true }),
  transient: () => new MultiverseError('PROVIDER_FAILED', 'x'),
  rateLimit: () => new MultiverseError('RATE_LIMITED', 'x', { isRetryable: true }),
  permanent: () => new MultiverseError('NOT_ORACLE', 'x'),
  bug: () => new TypeError('x'),
}

type Action = { kind: 'fail'; of: ErrorClass } | { kind: 'succeed' | 'retry' | 'drop' }

const failing = fc
  .constantFrom<ErrorClass>(
    'outage',
    'transient',
    'transient',
    'rateLimit',
    'bug',
    'bug',
    'permanent',
  )
  .map((of): Action => ({ kind: 'fail', of }))
const others = fc
  .constantFrom('succeed' as const, 'retry' as const, 'drop' as const)
  .map((kind): Action => ({ kind }))
const histories = fc.array(fc.oneof({ weight: 4, arbitrary: failing }, others), { maxLength: 14 })

/** What the books ought to say. */
type Model = {
  state: 'none' | 'queued' | 'delayed' | 'dead'
  counts: Partial<Record<ErrorClass, number>>
  answer: 'wanted' | 'refused'
  /** Dropped, or done: nothing is left of it. */
  isOver: boolean
}

function expected(model: Model, action: Action): Model {
  const fresh: Model = { state: 'none', counts: {}, answer: 'wanted', isOver: false }
  const isDead = model.state === 'dead'
  switch (action.kind) {
    case 'fail': {
      if (isDead || model.isOver) return model
      const count = (model.counts[action.of] ?? 0) + 1
      const counts = { ...model.counts, [action.of]: count }
      return count >= RETRIES[action.of].attempts
        ? { ...model, state: 'dead', counts, answer: 'refused' }
        : { ...model, state: 'delayed', counts }
    }
    case 'succeed':
      return isDead || model.isOver ? model : fresh
    case 'retry':
      if (isDead) return { ...fresh, state: 'queued' }
      return model.state === 'delayed' ? { ...model, state: 'queued' } : model
    case 'drop':
      return isDead ? { ...model, state: 'none', counts: {}, isOver: true } : model
    default:
      return action satisfies never
  }
}

let runs = 0

test('whatever happens to a job, its books say so, and nothing is tried that was given up on', async () => {
  await fc.assert(
    fc.asyncProperty(histories, async (history) => {
      const key = keccak256(toHex(`job ${++runs}`))
      await db.transaction((tx) =>
        stores.answers.want(tx, { question: key, outcome: 0, source: 'manual' }),
      )
      let model: Model = { state: 'none', counts: {}, answer: 'wanted', isOver: false }
      for (const action of history) {
        await act(key, model, action)
        model = expected(model, action)
        const [job] = await views.matching(key)
        const failures = Object.values(model.counts).reduce((sum, count) => sum + count, 0)
        expect([job?.state ?? 'none', job?.failures ?? 0]).toEqual([model.state, failures])
        const answer = await stores.answers.load(key)
        expect(answer?.state).toBe(model.answer)
      }
    }),
    { numRuns: 40 },
  )
})

async function act(key: Hex, model: Model, action: Action): Promise<void> {
  // A job of it runs only while it is not given up on.
  const mayRun = model.state !== 'dead' && !model.isOver
  switch (action.kind) {
    case 'fail':
      if (mayRun) await run(key, model, ERRORS[action.of]())
      break
    case 'succeed':
      if (mayRun) await run(key, model, null)
      break
    case 'retry':
      await letters.retry(key).catch(expectKnown)
      break
    case 'drop':
      await letters.drop(key).catch(expectKnown)
      break
  }
}

/** Runs it as a worker does that took its job. */
async function run(key: Hex, model: Model, error: Error | null): Promise<void> {
  await db.query(`delete from pgboss.job where name = 'answer' and singleton_key = $1`, [key])
  const retried = createRetries({ ...stores, db, isStopping: () => false, log })
  const handle = retried({
    queue: 'answer',
    run: async () => {
      if (error) throw error
    },
    bury: (of) => stores.answers.refused(of as Hex, { code: 'X', message: 'x' }),
    withhold: async () => {},
  })
  const isRetry = Object.keys(model.counts).length > 0
  await handle({ key, isRetry, signal: new AbortController().signal })
}

test('work of several queues about one question is told apart, and work about none is shown', async () => {
  const key = keccak256(toHex('several'))
  const dead = { class: 'permanent' as const, failure: { code: 'X', message: 'x' } }
  await db.transaction(async (tx) => {
    for (const work of [
      { queue: 'answer' as const, key },
      { queue: 'duty' as const, key },
      { queue: 'redeem' as const, key: 'all' },
    ])
      await stores.failures.record(tx, { ...work, ...dead }, () => ({ kind: 'dead' }))
  })
  await expect(letters.find(key)).rejects.toMatchObject({
    code: 'AMBIGUOUS_JOB',
    message: expect.stringContaining(`answer:${key} or duty:${key}`),
  })
  expect(await letters.find(`duty:${key.slice(0, 12)}`)).toMatchObject({ queue: 'duty', key })
  expect(await letters.find('all')).toMatchObject({ queue: 'redeem', question: null })
  const jobs = await views.list({ limit: 100 })
  expect(keeperJobsOutput.parse({ jobs }).jobs).toHaveLength(jobs.length)
})

/** What cannot be retried or dropped is refused by name. */
function expectKnown(error: unknown): void {
  expect(error).toMatchObject({
    code: expect.stringMatching(/^(UNKNOWN_JOB|NOT_DEAD|NOT_FAILED)$/),
  })
}
