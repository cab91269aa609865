import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createStatements, type Statements } from '../../keeper/store/statements.ts'
import { PATIENT } from './world.ts'

let pglite: PGlite
let statements: Statements

beforeAll(async () => {
  pglite = await PGlite.create()
  statements = createStatements(pglite)
  await pglite.exec(`create table things (id int primary key, name text not null)`)
}, PATIENT.hookTimeout)

afterAll(() => pglite.close())

test('gives what PGlite itself gives, the first time and every other', async () => {
  const sql = `select $1::int as int, $2::int8 as long, $3::text as text, $4::jsonb as json, $5::boolean as yes,
    $6::float8 as float, $7::text[] as texts, $8::timestamptz as at, $9::numeric as numeric, null::text as nothing, '' as empty`
  const at = new Date('2026-01-02T03:04:05.678Z')
  const values = [7, 2n ** 60n, 'ö\'"\n', { a: [1, null] }, true, 1.5, ['a', 'b,"c'], at, '12.340']
  const { rows } = await pglite.query(sql, values)
  expect(rows[0]).toMatchObject({ int: 7, texts: ['a', 'b,"c'], at, nothing: null, empty: '' })
  for (let time = 0; time < 8; time++) expect(statements.run(sql, values)).toEqual(rows)
  const many = `select n, repeat('x', 1000) as text from generate_series(1, 3000) n`
  expect(statements.run(many)).toEqual((await pglite.query(many)).rows)
  expect(statements.run(`update things set name = 'x' where id = 0`)).toEqual([])
})

test('a statement that fails says why, and spoils none of the others', () => {
  const insert = `insert into things (id, name) values ($1, $2) returning id`
  expect(statements.run(insert, [1, 'one'])).toEqual([{ id: 1 }])
  for (let time = 0; time < 3; time++) {
    expect(() => statements.run(insert, [1, 'again'])).toThrow('duplicate key value')
    expect(() => statements.run('select nothing from nowhere')).toThrow('does not exist')
    expect(() => statements.run(insert, ['a', 'b'])).toThrow('invalid input syntax')
  }
  expect(statements.run(insert, [2, 'two'])).toEqual([{ id: 2 }])

  statements.command('begin')
  statements.run(insert, [3, 'three'])
  expect(() => statements.run(insert, [3, 'three'])).toThrow('duplicate key value')
  expect(() => statements.run(insert, [4, 'four'])).toThrow('aborted')
  expect(statements.command('commit')).toBe('ROLLBACK')
  expect(statements.run('select count(*)::int as count from things')).toEqual([{ count: 2 }])
})

test('plans are made anew as tables grow, and statements beyond those that are kept run as well', () => {
  const find = `select name from things where name = $1`
  for (let time = 0; time < 5_000; time++)
    expect(statements.run(find, ['one'])).toEqual([{ name: 'one' }])
  for (let at = 0; at < 600; at++)
    for (let time = 0; time < 2; time++)
      expect(statements.run(`select ${at} + $1::int as sum`, [1])).toEqual([{ sum: at + 1 }])
})

test('a database that was closed is not spoken to', async () => {
  const gone = await PGlite.create()
  await gone.close()
  expect(() => createStatements(gone).run('select 1')).toThrow('closed')
})
