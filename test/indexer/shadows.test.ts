import { expect, test } from 'vitest'
import { loadPglite } from '../../indexer/pglite.ts'
import { nameShadows } from '../../indexer/shadows.ts'

// As ponder writes what changed by the dozen, on the PGlite that it brings: the statements of its `flush`.

test('tables that ponder writes through are not hidden by what it writes them with', async () => {
  const { PGlite } = await loadPglite()
  const own = PGlite.prototype.query
  const db = await PGlite.create()
  const amounts = async () =>
    (await db.query<{ amount: number }>('SELECT amount FROM balance')).rows.map(
      ({ amount }) => amount,
    )
  const flush = async (amount: number) => {
    await db.query(`
              CREATE TEMP TABLE IF NOT EXISTS "balance" 
              AS SELECT * FROM "mirrored"."balance"
              WITH NO DATA;`)
    await db.query(`COPY "balance" FROM '/dev/blob'`, [], { blob: new Blob([`1\t${amount}\n`]) })
    const seen = await amounts()
    await db.query(`
              UPDATE "mirrored"."balance" as target
              SET "id" = source."id",
"amount" = source."amount"
              FROM "balance" source
              WHERE target."id" = source."id";`)
    await db.query(`TRUNCATE TABLE "balance"`)
    return seen
  }
  try {
    await db.exec(`
      CREATE SCHEMA mirrored; SET search_path TO mirrored;
      CREATE TABLE balance (id int PRIMARY KEY, amount int); INSERT INTO balance VALUES (1, 10);`)
    await nameShadows()
    // In the middle of it, after it, and again in the same session.
    expect(await flush(20)).toEqual([10])
    expect(await amounts()).toEqual([20])
    expect(await flush(30)).toEqual([20])
    expect(await amounts()).toEqual([30])
    // What goes to the table itself goes there.
    await db.query(`COPY "mirrored"."balance" FROM '/dev/blob'`, [], { blob: new Blob(['2\t5\n']) })
    expect(await amounts()).toEqual([30, 5])

    PGlite.prototype.query = own
    await flush(40)
    expect(await amounts(), 'what it would be without').toEqual([])
  } finally {
    PGlite.prototype.query = own
    await db.close()
  }
})
