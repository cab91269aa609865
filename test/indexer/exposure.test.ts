import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../indexer/analytics/database.ts'
import { createQuery } from '../../indexer/analytics/query.ts'
import { event, NOWHERE } from './rows.ts'

// An owner may come to hold something in verses of any number of questions, and then be asked about by anybody.

const QUESTIONS = 300
const OUTCOMES = 254
/** Verses held of each question. */
const HELD = 20

let folder: string
let database: Database

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multiverse-exposure-'))
  database = await openDatabase(folder, NOWHERE)
  const { block_timestamp } = event(1)
  const origin = `'e' || i, 1, '0x1', TIMESTAMP '${block_timestamp}', '0x11', i`
  await database.write(async (tx) => {
    await tx.run(`INSERT INTO questions
      SELECT ${origin}, 'q' || i, 'o', ${OUTCOMES}, 2000000000, 's', 't', 'open', range(${OUTCOMES}), NULL, NULL
      FROM range(${QUESTIONS}) r(i)`)
    const pairs = `range(${QUESTIONS}) r(i), range(${HELD}) s(o)`
    await tx.run(
      `INSERT INTO verse_answers SELECT 1, 'v' || i || '-' || o, 1, 'q' || i, o FROM ${pairs}`,
    )
    await tx.run(
      `INSERT INTO positions SELECT ${origin}, 'p' || i || '-' || o, 'v' || i || '-' || o, '0xt' FROM ${pairs}`,
    )
    await tx.run(
      `INSERT INTO balances SELECT '0xhoarder', 'p' || i || '-' || o, 1::BIGNUM FROM ${pairs}`,
    )
    // Somebody with two questions only: 64,516 combinations.
    await tx.run(
      `INSERT INTO balances VALUES ('0xmodest', 'p0-0', 5::BIGNUM), ('0xmodest', 'p1-0', 3::BIGNUM)`,
    )
  })
})

afterAll(async () => {
  await database.close()
  await rm(folder, { recursive: true, force: true })
})

const ask = async (sql: string) => (await createQuery(database)(sql)).rows

test('combinations are counted without being made, and so many are shown that the answer is soon there', async () => {
  expect(
    await ask(`SELECT count(*) BETWEEN 100 AND 4096, any_value(combinations)::DOUBLE > 1e37, min(cardinality(future))::INT,
      max(amount)::VARCHAR FROM exposure('0xhoarder', '0xt')`),
  ).toEqual([[true, true, QUESTIONS, `${QUESTIONS}`]])
})

test('what is shown of many is exact', async () => {
  expect(
    await ask(`SELECT count(*)::INT, any_value(combinations)::INT, sum(amount)::VARCHAR,
        count(DISTINCT future)::INT, bool_and(amount = (5 * (future['q0'] = 0)::INT + 3 * (future['q1'] = 0)::INT)::BIGNUM)
      FROM exposure('0xmodest', '0xt')`),
  ).toEqual([[4_096, OUTCOMES ** 2, `${5 * 17 + 3 * 254}`, 4_096, true]])
})
