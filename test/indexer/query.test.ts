import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parquetReadObjects } from 'hyparquet'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createAnalyticsApi } from '../../cli/services.ts'
import { type Database, openDatabase } from '../../indexer/analytics/database.ts'
import { createApp, listen, toCsv } from '../../indexer/analytics/http.ts'
import { createQuery, DEFAULT_LIMITS } from '../../indexer/analytics/query.ts'
import type { Status } from '../../indexer/analytics/status.ts'
import type { Deployment } from '../../sdk/deployment.ts'

// Anybody may send SQL: it must not reach files, the network, settings or other people's data, nor stop the mirror.

const deployment: Deployment = {
  version: 1,
  chainId: 31_337,
  addresses: { multiverse: `0x${'11'.repeat(20)}`, worlds: `0x${'22'.repeat(20)}` },
  startBlock: 1,
  startBlockHash: `0x${'33'.repeat(32)}`,
}

let folder: string
let database: Database

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multiverse-query-'))
  database = await openDatabase(folder, deployment)
  await writeFile(join(folder, 'secret.csv'), 'a,b\n1,2\n')
})

afterAll(async () => {
  await database.close()
  await rm(folder, { recursive: true, force: true })
})

describe('what may be asked', () => {
  test.each([
    ['SELECT 1 AS one', [[1]]],
    ['FROM verses SELECT depth', [[0]]],
    ['WITH t AS (VALUES (1), (2)) SELECT * FROM t', [[1], [2]]],
    ['SELECT count(*) FROM range(10)', [['10']]],
    ["SELECT unnest(['a', 'b'])", [['a'], ['b']]],
    [
      'SELECT (170141183460469231731687303715884105727::BIGNUM + 1::BIGNUM)',
      [['170141183460469231731687303715884105728']],
    ],
    [
      'DESCRIBE supplies',
      [expect.arrayContaining(['position']), expect.arrayContaining(['amount'])],
    ],
  ])('%s', async (sql, rows) => {
    const result = await createQuery(database)(sql)
    expect(result.rows).toEqual(rows)
  })

  test('parameters', async () => {
    const result = await createQuery(database)('SELECT $1::INT + $2::INT AS sum', [2, '3'])
    expect(result).toEqual({ columns: [{ name: 'sum', type: 'INTEGER' }], rows: [[5]] })
  })
})

describe('what is refused', () => {
  test.each([
    ['COPY', () => `COPY verses TO '${csv()}'`],
    ['COPY FROM', () => `COPY verses FROM '${csv()}'`],
    ['ATTACH', () => `ATTACH '${folder}/other.duckdb'`],
    ['INSTALL', () => 'INSTALL httpfs'],
    ['LOAD', () => 'LOAD httpfs'],
    ['read_csv', () => `SELECT * FROM read_csv('${csv()}')`],
    ['read_text', () => `SELECT * FROM read_text('${csv()}')`],
    ['a file as a table', () => `SELECT * FROM '${csv()}'`],
    ['glob', () => "SELECT * FROM glob('/etc/*')"],
    ['PRAGMA', () => 'PRAGMA database_list'],
    ['PRAGMA that changes', () => 'PRAGMA disable_verification'],
    ['SET', () => "SET memory_limit = '8GB'"],
    ['CALL', () => 'CALL force_checkpoint()'],
    ['force_checkpoint as a table', () => 'SELECT * FROM force_checkpoint()'],
    ['query()', () => "SELECT * FROM query('SELECT 1')"],
    ['settings', () => 'SELECT * FROM duckdb_settings()'],
    ['two statements', () => 'SELECT 1; SELECT 2'],
    ['a write after a select', () => 'SELECT 1; DROP TABLE verses'],
    ['INSERT', () => 'INSERT INTO supplies VALUES (1, 2)'],
    ['UPDATE', () => 'UPDATE mirror SET settled = 0'],
    ['DELETE', () => 'DELETE FROM verses'],
    ['DROP', () => 'DROP TABLE verses'],
    ['CREATE', () => 'CREATE TABLE t (a INT)'],
    ['CREATE TEMP', () => 'CREATE TEMP TABLE t AS SELECT 1'],
    ['EXPORT', () => `EXPORT DATABASE '${folder}/out'`],
    ['a transaction', () => 'BEGIN'],
    ['CHECKPOINT', () => 'FORCE CHECKPOINT'],
    ['read_json', () => `SELECT * FROM read_json('${csv()}')`],
    ['read_parquet', () => `SELECT * FROM read_parquet('${csv()}')`],
    ['sniff_csv', () => `SELECT * FROM sniff_csv('${csv()}')`],
    ['another database', () => `SELECT * FROM read_duckdb('${folder}/multiverse.duckdb')`],
    ['the network', () => "FROM 'https://example.com/a.csv'"],
    ['the environment', () => "SELECT getenv('HOME')"],
    ['a setting', () => "SELECT current_setting('temp_directory')"],
    ['where the file is', () => 'FROM pragma_database_list'],
    ['the databases', () => 'FROM duckdb_databases'],
    ['settings as a view', () => 'FROM pg_catalog.pg_settings'],
    ['SQL in SQL', () => "SELECT * FROM json_execute_serialized_sql('{}')"],
    ['PREPARE', () => 'PREPARE p AS SELECT 1'],
    ['EXECUTE', () => 'EXECUTE p'],
    ['USE', () => 'USE memory'],
    ['DETACH', () => 'DETACH multiverse'],
    ['RESET', () => 'RESET memory_limit'],
    ['VACUUM', () => 'VACUUM'],
    ['IMPORT', () => `IMPORT DATABASE '${folder}'`],
    ['EXPLAIN ANALYZE', () => 'EXPLAIN ANALYZE SELECT 1'],
    ['a sleep', () => 'SELECT sleep_ms(10000)'],
    ['a list that is made in one step', () => 'SELECT list_sum(range(1000000000))'],
    ['a text that is made in one step', () => "SELECT repeat('x', 1000000000)"],
    ['a comparison that takes its square', () => "SELECT levenshtein('a', 'b')"],
    ['one hidden in a lambda', () => 'SELECT list_transform([1], lambda x: len(range(x)))'],
    ['only a comment', () => '-- nothing'],
    ['nonsense', () => 'SELEC 1'],
    ['nothing', () => ''],
    [
      'a function hidden in a subquery',
      () => 'SELECT (SELECT count(*) FROM (SELECT * FROM duckdb_secrets()))',
    ],
    [
      'a function hidden in a CTE',
      () => `WITH t AS (SELECT * FROM read_blob('${csv()}')) SELECT * FROM t`,
    ],
  ])('%s', async (_, sql) => {
    await expect(createQuery(database)(sql())).rejects.toMatchObject({
      code: expect.stringMatching(/^SQL_(REFUSED|INVALID|FAILED)$/) as string,
    })
    expect(await count('verses')).toBe(1)
  })
})

describe('limits', () => {
  const limits = { ...DEFAULT_LIMITS, timeoutMs: 300, rows: 1_000, bytes: 100_000 }

  test('a statement that never ends is interrupted, and writes go on meanwhile', async () => {
    const query = createQuery(database, limits)
    const from = Date.now()
    const bomb = query(
      'WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t',
    )
    const cross = query('SELECT count(*) FROM range(10000000) a, range(10000000) b')
    const settled = Promise.allSettled([bomb, cross])
    await database.write((tx) => tx.run('UPDATE mirror SET settled = settled + 1'))
    for (const result of await settled)
      expect(result).toMatchObject({ reason: { code: 'QUERY_TIMEOUT' } })
    expect(Date.now() - from).toBeLessThan(10_000)
    expect(await count('verses')).toBe(1)
  })

  test('too many rows, too many bytes', async () => {
    const query = createQuery(database, limits)
    await expect(query('SELECT * FROM range(1001)')).rejects.toMatchObject({
      code: 'RESULT_TOO_LARGE',
    })
    const wide = "SELECT string_agg(i::VARCHAR, '') FROM range(50000) t(i)"
    await expect(query(wide)).rejects.toMatchObject({
      code: 'RESULT_TOO_LARGE',
    })
    expect((await query('SELECT * FROM range(1000)')).rows).toHaveLength(1_000)
  })

  test('more memory than there is', async () => {
    const query = createQuery(database, { ...DEFAULT_LIMITS, timeoutMs: 5_000 })
    await expect(
      query('SELECT list(a.i::VARCHAR || b.i) FROM range(100000) a(i), range(1000) b(i)'),
    ).rejects.toMatchObject({
      code: expect.stringMatching(/QUERY_TOO_LARGE|QUERY_TIMEOUT/) as string,
    })
    await database.write((tx) => tx.run('UPDATE mirror SET settled = settled + 1'))
  })

  test('who takes all memory is interrupted when the mirror needs some', async () => {
    const query = createQuery(database)
    const over = new AbortController()
    const codes = new Set<string>()
    const greedy = Array.from({ length: DEFAULT_LIMITS.concurrency }, async () => {
      while (!over.signal.aborted)
        await query(
          'SELECT list(a.i::VARCHAR || b.i) FROM range(100000) a(i), range(1000) b(i)',
        ).catch(({ code }: { code: string }) => codes.add(code))
    })
    await database.write(async (tx) => {
      await tx.run('UPDATE mirror SET settled = settled + 1')
      await tx.rows('SELECT len(list(i)) AS n FROM range(8000000) t(i)')
    })
    over.abort()
    await Promise.all(greedy)
    expect([...codes]).toEqual(['QUERY_TOO_LARGE'])
    // Without anybody to interrupt, it is the write that asks for too much.
    await expect(
      database.write((tx) => tx.run('SELECT list(i) FROM range(100000000) t(i)')),
    ).rejects.toMatchObject({ code: 'OUT_OF_MEMORY', isRetryable: true })
    await database.write((tx) => tx.run('UPDATE mirror SET settled = settled + 1'))
  })

  test('a step that DuckDB does not interrupt is answered without, and the mirror goes on', async () => {
    const query = createQuery(database, { ...limits, graceMs: 100, concurrency: 1 })
    const bomb = "SELECT length(string_agg('9', '')::BIGNUM::VARCHAR) FROM range(90000)"
    await expect(query(bomb)).rejects.toMatchObject({ code: 'QUERY_TIMEOUT' })
    await database.write((tx) => tx.run('UPDATE mirror SET settled = settled + 1'))
    // Its place is free once it has ended.
    expect((await query('SELECT 1')).rows).toEqual([[1]])
  })

  test('too many at once', async () => {
    const query = createQuery(database, { ...limits, concurrency: 1 })
    const slow = 'SELECT count(*) FROM range(10000000) a, range(10000000) b'
    const results = await Promise.allSettled([query(slow), query('SELECT 1'), query('SELECT 2')])
    expect(results[0]).toMatchObject({ reason: { code: 'QUERY_TIMEOUT' } })
    expect(results[1]).toMatchObject({ value: { rows: [[1]] } })
    expect(results[2]).toMatchObject({ reason: { code: 'TOO_MANY_QUERIES', isRetryable: true } })
  })
})

describe('over HTTP', () => {
  const status: Status = {
    chainId: 31_337,
    block: { number: 7, hash: '0x07' },
    problems: [],
    journals: [{ keeperId: 'k', epoch: 1, seq: 2 }],
    ready: true,
    reason: null,
  }
  const app = (now: Status = status) =>
    createApp({ query: createQuery(database), status: () => now })
  const post = (body: unknown, query = '') =>
    app().request(`/sql${query}`, { method: 'POST', body: JSON.stringify(body) })

  test('POST and GET, JSON and CSV', async () => {
    const json = await post({ sql: 'SELECT $1 AS a', params: ['x'] })
    expect(await json.json()).toEqual({ columns: [{ name: 'a', type: 'VARCHAR' }], rows: [['x']] })
    const csv = await app().request(
      `/sql?format=csv&q=${encodeURIComponent('SELECT 1 AS a, \'x,"y"\' AS b, NULL AS c, [1, 2] AS d')}`,
    )
    expect(csv.headers.get('content-type')).toContain('text/csv')
    expect(await csv.text()).toBe('a,b,c,d\r\n1,"x,""y""",,"[1,2]"\r\n')
    expect(await (await post({ sql: 'SELECT 1 AS a' }, '?format=csv')).text()).toBe('a\r\n1\r\n')
  })

  test('errors have a code and a status', async () => {
    const refused = await post({ sql: 'DROP TABLE verses' })
    expect([refused.status, await refused.json()]).toEqual([
      400,
      { code: 'SQL_REFUSED', message: 'only a SELECT can be run' },
    ])
    const failed = await post({ sql: 'SELECT nothing' })
    expect([failed.status, ((await failed.json()) as { code: string }).code]).toEqual([
      400,
      'SQL_FAILED',
    ])
    for (const request of [
      post('x'),
      post({ sql: 1 }),
      app().request('/sql'),
      post({ sql: 'SELECT 1' }, '?format=xml'),
    ])
      expect(await (await request).json()).toMatchObject({ code: 'REQUEST_INVALID' })
    const large = await post({ sql: 'x'.repeat(2 ** 21) })
    expect(large.status).toBe(413)
    expect((await app().request('/nothing')).status).toBe(404)
  })

  test('Parquet, as another reader sees it: integers of any size are exact', async () => {
    const sql = `SELECT 170141183460469231731687303715884105727::HUGEINT AS amount, 18446744073709551615::UBIGINT AS block,
      [1, NULL]::UTINYINT[] AS live, TIMESTAMP '2026-01-02 03:04:05.678' AS at, NULL::BIGNUM AS none, 'x' AS amount`
    const response = await post({ sql }, '?format=parquet')
    expect(response.headers.get('content-type')).toBe('application/vnd.apache.parquet')
    expect(await parquetReadObjects({ file: await response.arrayBuffer() })).toEqual([
      {
        amount: '170141183460469231731687303715884105727',
        block: 18_446_744_073_709_551_615n,
        live: [1, null],
        at: new Date('2026-01-02T03:04:05.678Z'),
        none: null,
        amount_2: 'x',
      },
    ])
    const none = await post({ sql: 'SELECT 1 AS a WHERE false' }, '?format=parquet')
    expect(await parquetReadObjects({ file: await none.arrayBuffer() })).toEqual([])
  })

  test('every route is described', async () => {
    const described = (await (await app().request('/openapi.json')).json()) as {
      paths: Record<string, Record<string, object>>
    }
    expect(Object.keys(described.paths).toSorted()).toEqual(
      [...new Set(app().routes.map(({ path }) => path))]
        .filter((path) => path !== '/openapi.json')
        .toSorted(),
    )
  })

  test('metrics count queries by how they ended', async () => {
    const one = app()
    await one.request(`/sql?q=${encodeURIComponent('SELECT 1')}`)
    await one.request(`/sql?q=${encodeURIComponent('DROP TABLE verses')}`)
    const text = await (await one.request('/metrics')).text()
    expect(text).toContain('analytics_queries_total{outcome="ok"} 1')
    expect(text).toContain('analytics_queries_total{outcome="SQL_REFUSED"} 1')
    expect(text).toContain(`analytics_block ${status.block?.number}`)
  })

  test('who asks too often waits', async () => {
    const one = createApp({
      query: createQuery(database),
      status: () => status,
      rate: { requests: 2, windowMs: 60_000 },
    })
    const codes = []
    for (let i = 0; i < 3; i += 1) codes.push((await one.request('/sql?q=SELECT%201')).status)
    expect(codes).toEqual([200, 200, 429])
    expect(await (await one.request('/sql?q=SELECT%201')).json()).toMatchObject({
      code: 'TOO_MANY_REQUESTS',
    })
    expect((await one.request('/health')).status).toBe(200)
  })

  test('the command asks again when it was told to wait', async () => {
    const often = createApp({
      query: createQuery(database),
      status: () => status,
      rate: { requests: 2, windowMs: 1_000 },
    })
    const server = await listen(often, 0)
    try {
      const api = createAnalyticsApi(`http://127.0.0.1:${server.port}`)
      const from = performance.now()
      for (let nth = 0; nth < 4; nth++)
        expect(await api.sql('SELECT $1', [`${nth}`])).toMatchObject({ rows: [[`${nth}`]] })
      expect(performance.now() - from).toBeGreaterThan(500)
      await expect(api.sql('SELECT nothing')).rejects.toMatchObject({ code: 'SQL_FAILED' })
    } finally {
      await server.close()
    }
  })

  test('status, health, readiness', async () => {
    expect(await (await app().request('/status')).json()).toEqual(status)
    expect((await app().request('/health')).status).toBe(200)
    expect((await app().request('/ready')).status).toBe(200)
    const late = await app({ ...status, ready: false, reason: 'late' }).request('/ready')
    expect([late.status, await late.json()]).toEqual([503, { ready: false, reason: 'late' }])
  })

  test('CSV quotes what it must', () => {
    const columns = ['a', 'b'].map((name) => ({ name, type: 'VARCHAR' }))
    expect(
      toCsv({
        columns,
        rows: [
          ['', null],
          ['x\ny', true],
        ],
      }),
    ).toBe('a,b\r\n"",\r\n"x\ny",true\r\n')
  })
})

test('a database of another deployment is refused', async () => {
  const other = await mkdtemp(join(tmpdir(), 'multiverse-other-'))
  try {
    await (await openDatabase(other, deployment)).close()
    await expect(
      openDatabase(other, { ...deployment, startBlockHash: `0x${'44'.repeat(32)}` }),
    ).rejects.toMatchObject({ code: 'WRONG_DEPLOYMENT' })
    await (await openDatabase(other, deployment)).close()
  } finally {
    await rm(other, { recursive: true, force: true })
  }
})

const csv = () => join(folder, 'secret.csv')

async function count(table: string): Promise<number> {
  const result = await createQuery(database)(`SELECT count(*) FROM ${table}`)
  return Number(result.rows[0]![0])
}
