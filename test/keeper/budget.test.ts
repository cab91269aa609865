import type { Hex } from 'viem'
import { beforeAll, expect, test, vi } from 'vitest'
import { createBudget } from '../../keeper/jobs/budget.ts'
import type { Database } from '../../keeper/store/database.ts'
import { createJournal } from '../../keeper/store/journal.ts'
import type { PartitionRecord } from '../../keeper/store/partitions.ts'
import { childVerse, ROOT } from '../../sdk/ids.ts'
import { createStage } from './stage.ts'
import { PATIENT } from './world.ts'

vi.setConfig(PATIENT)

// What providers' calls cost, summed up as they are journalled, and when that stops new work.

const stage = createStage()
let db: Database
const NOW = Date.now()
const DAY_MS = 86_400_000
const question = `0x${'ab'.repeat(31)}03` as Hex
const partition = {
  parent: ROOT,
  question: { id: question, outcomes: 3 },
  steps: {},
} as unknown as PartitionRecord

beforeAll(async () => {
  db = await stage.books()
  const journal = createJournal(db, { keeperId: 'k', epoch: 1 }, () => {})
  const call = (verseId: Hex | null, costUnits: number) => ({
    kind: 'provider.invoked' as const,
    invocationId: crypto.randomUUID(),
    providerId: 'quickjs',
    operation: 'execute',
    verseId,
    input: {},
    output: {},
    error: null,
    latencyMs: 1,
    costUnits,
  })
  const verse = childVerse(ROOT, question, 1)
  await db.transaction((tx) =>
    journal.append(tx, [call(verse, 1.5), call(null, 2), call(verse, 0.5)]),
  )
  await db.transaction((tx) => journal.append(tx, [call(verse, 1)]))
})

test('holds new work back from the moment on that the day has cost as much, until the next', async () => {
  const admit = (perDay: number, now = NOW) =>
    createBudget(db, { perDay, perVerse: null }, () => now)(partition)
  expect(await admit(5.001)).toEqual({ kind: 'admit' })
  const held = await admit(5)
  expect(held).toMatchObject({
    kind: 'wait',
    waiting: { reason: 'budget', message: expect.stringContaining('5.000 core-seconds') },
  })
  if (held.kind !== 'wait' || held.resume?.kind !== 'time') throw new Error('it does not resume')
  expect(await admit(5, NOW + held.resume.afterMs)).toEqual({ kind: 'admit' })
  expect(held.resume.afterMs).toBeLessThanOrEqual(DAY_MS + 2_000)
})

test('holds back what would add to a verse that has cost as much, and nothing else', async () => {
  const admit = createBudget(db, { perDay: null, perVerse: 3 })
  expect(await admit(partition)).toMatchObject({ kind: 'wait', resume: null })
  const other = { ...partition, question: { id: `0x${'cd'.repeat(31)}03`, outcomes: 3 } }
  expect(await admit(other as unknown as PartitionRecord)).toEqual({ kind: 'admit' })
  const roomier = createBudget(db, { perDay: null, perVerse: 3.1 })
  expect(await roomier(partition)).toEqual({ kind: 'admit' })
})

test('asks nothing of work whose worlds have run', async () => {
  const verified = {
    ...partition,
    steps: { verify: { isDone: true } },
  } as unknown as PartitionRecord
  expect(await createBudget(db, { perDay: 0, perVerse: 0 })(verified)).toEqual({ kind: 'admit' })
})
