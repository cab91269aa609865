import type { Log } from '../service.ts'
import type { Transaction } from './database.ts'
import { labelledFrom, refreshLabels, relabel } from './labels.ts'
import { loadSpecs } from './specs.ts'
import type { SourceBlock } from './source.ts'
import { recordSupplies } from './supplies.ts'
import { DERIVED_BY_BLOCK, insertRows, MIRRORED, type MirroredTable } from './tables.ts'
import type { Token } from './tokens.ts'
import { fillExtractedWev, measureWev } from './wev.ts'

/** The events of consecutive blocks with events, from height `from` to height `to`. */
export type Loaded = {
  from: bigint
  to: bigint
  blocks: SourceBlock[]
  tables: { table: MirroredTable; rows: Record<string, unknown>[] }[]
  tokens: Token[]
}

const ZERO = '0x0000000000000000000000000000000000000000'
const ROOT = `0x${'0'.repeat(64)}`

// What the events of some blocks changed. Heights are written into the statements: of a parameter DuckDB does not know when it
// plans which blocks it need not read.

/** What transfers did to each owner's balance. */
const balanceChanges = (from: bigint, to: bigint) => `
  SELECT owner, position, sum(delta) AS delta FROM (
    SELECT receiver AS owner, position, amount::BIGNUM AS delta FROM transfers
    WHERE block_number BETWEEN ${from} AND ${to} AND receiver <> '${ZERO}'
    UNION ALL
    SELECT sender, position, -(amount::BIGNUM) FROM transfers
    WHERE block_number BETWEEN ${from} AND ${to} AND sender <> '${ZERO}'
  ) GROUP BY owner, position`

/** What transfers from and to nobody did to what there is of each position. */
const supplyChanges = (from: bigint, to: bigint) => `
  SELECT position, sum(delta) AS delta FROM (
    SELECT position, amount::BIGNUM AS delta FROM transfers
    WHERE block_number BETWEEN ${from} AND ${to} AND sender = '${ZERO}'
    UNION ALL
    SELECT position, -(amount::BIGNUM) FROM transfers
    WHERE block_number BETWEEN ${from} AND ${to} AND receiver = '${ZERO}'
  ) GROUP BY position`

/** What push-downs from ROOT and pull-ups to it did to each token's deposits. */
const depositChanges = (from: bigint, to: bigint) => `
  SELECT token, sum(deposited) AS deposited, sum(withdrawn) AS withdrawn FROM (
    SELECT token, amount::BIGNUM AS deposited, 0::BIGNUM AS withdrawn FROM push_downs
    WHERE block_number BETWEEN ${from} AND ${to} AND parent = '${ROOT}'
    UNION ALL
    SELECT token, 0::BIGNUM, amount::BIGNUM FROM pull_ups
    WHERE block_number BETWEEN ${from} AND ${to} AND parent = '${ROOT}'
  ) GROUP BY token`

const LAST = 2n ** 63n - 1n

/** Takes over the events of some blocks and brings everything that is computed from events up to date. */
export async function load(tx: Transaction, loaded: Loaded, log: Log): Promise<void> {
  const { from, to, blocks, tables, tokens } = loaded
  await tx.run(
    `INSERT INTO blocks SELECT r.number, r.hash, make_timestamp(r.timestamp * 1000000), r.events
     FROM (SELECT unnest(from_json($1::JSON,
       '[{"number":"UBIGINT","hash":"VARCHAR","timestamp":"BIGINT","events":"UINTEGER"}]')) AS r)`,
    [toJson(blocks)],
  )
  for (const { table, rows } of tables) await tx.run(insertRows(table), [toJson(rows)])
  for (const { token, name, symbol, decimals } of tokens)
    await tx.run('INSERT INTO tokens VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING', [
      token,
      name,
      symbol,
      decimals,
    ])
  const has = (target: string) => tables.some(({ table }) => table.target === target)
  if (has('transfers')) {
    await recordSupplies(tx, from, to)
    await changeBalances(tx, from, to, '')
  }
  if (has('push_downs') || has('pull_ups')) await changeDeposits(tx, from, to, '')
  if (has('verses')) await expandPaths(tx, from, to)
  if (has('questions') || has('narrowings') || has('answers'))
    await refreshQuestions(tx, await touchedQuestions(tx, from, to))
  if (has('spec_publications')) await loadSpecs(tx, from, to)
  if (has('verses') || has('spec_publications')) await refreshLabels(tx, from, to)
  if (has('answers')) {
    await measureWev(tx, from, to, log)
    await fillExtractedWev(tx)
  }
}

/** How many events stand in blocks from height `from` on. */
export async function eventsFrom(tx: Transaction, from: bigint): Promise<number> {
  const [row] = await tx.rows<{ events: string | null }>(
    'SELECT sum(events) AS events FROM blocks WHERE number >= $1',
    [from],
  )
  return Number(row?.events ?? 0)
}

/** Takes back every block from height `from` on, and all that came of it. The head becomes the last block that is left. */
export async function rollBack(tx: Transaction, from: bigint): Promise<void> {
  await changeBalances(tx, from, LAST, '-')
  await changeDeposits(tx, from, LAST, '-')
  await forgetEmptied(tx, from)
  const questions = await touchedQuestions(tx, from, LAST)
  const unlabelled = await labelledFrom(tx, from)
  const tables = [...MIRRORED.map(({ target }) => target), ...DERIVED_BY_BLOCK]
  for (const table of tables) await tx.run(`DELETE FROM ${table} WHERE block_number >= $1`, [from])
  await tx.run('DELETE FROM blocks WHERE number >= $1', [from])
  await refreshQuestions(tx, questions)
  await relabel(tx, unlabelled)
  await fillExtractedWev(tx)
  await tx.run(
    `UPDATE mirror SET settled = least(settled, $1::UBIGINT),
       (head_number, head_hash, head_timestamp) = (NULL, NULL, NULL)`,
    // Nothing stands before the first block.
    [from > 0n ? from - 1n : 0n],
  )
  await tx.run(
    `UPDATE mirror SET head_number = b.number, head_hash = b.hash, head_timestamp = b.block_timestamp
     FROM (SELECT * FROM blocks ORDER BY number DESC LIMIT 1) b`,
  )
}

async function changeBalances(
  tx: Transaction,
  from: bigint,
  to: bigint,
  sign: '' | '-',
): Promise<void> {
  // First into a table of its own: not knowing how few there are, DuckDB would hash all rows there are instead of them.
  await tx.run(`CREATE OR REPLACE TEMP TABLE balance_changes AS ${balanceChanges(from, to)}`)
  await tx.run(
    `INSERT INTO balances SELECT owner, position, ${sign}delta FROM balance_changes
     ON CONFLICT (owner, position) DO UPDATE SET amount = amount + excluded.amount`,
  )
  await tx.run(`CREATE OR REPLACE TEMP TABLE total_changes AS ${supplyChanges(from, to)}`)
  await tx.run(
    `INSERT INTO supplies SELECT position, ${sign}delta FROM total_changes
     ON CONFLICT (position) DO UPDATE SET amount = amount + excluded.amount`,
  )
}

async function changeDeposits(
  tx: Transaction,
  from: bigint,
  to: bigint,
  sign: '' | '-',
): Promise<void> {
  await tx.run(
    `INSERT INTO deposits SELECT token, ${sign}deposited, ${sign}withdrawn FROM (${depositChanges(from, to)})
     ON CONFLICT (token) DO UPDATE SET
       deposited = deposited + excluded.deposited, withdrawn = withdrawn + excluded.withdrawn`,
  )
}

/**
 * Removes the rows of owners, positions and tokens that only the blocks from `from` on ever named. `balance_changes` and
 * `total_changes` still hold what these blocks changed: only few of those rows, if any, came to nothing, and only for them all
 * transfers are looked through.
 */
async function forgetEmptied(tx: Transaction, from: bigint): Promise<void> {
  await tx.run(
    `CREATE OR REPLACE TEMP TABLE emptied AS
     SELECT b.owner, b.position FROM balances b JOIN balance_changes USING (owner, position) WHERE b.amount = 0::BIGNUM`,
  )
  await tx.run(
    `WITH earlier AS MATERIALIZED (
       SELECT sender, receiver, position FROM transfers
       WHERE block_number < ${from} AND position IN (SELECT position FROM emptied)
     )
     DELETE FROM balances WHERE (owner, position) IN (
       SELECT (owner, position) FROM emptied
       EXCEPT SELECT (receiver, position) FROM earlier
       EXCEPT SELECT (sender, position) FROM earlier)`,
  )
  await tx.run(
    `DELETE FROM supplies WHERE amount = 0::BIGNUM AND position IN (
       SELECT position FROM total_changes
       EXCEPT SELECT position FROM supply_changes WHERE block_number < ${from})`,
  )
  await tx.run(
    `DELETE FROM deposits WHERE token NOT IN (
       SELECT token FROM push_downs WHERE block_number < $1 AND parent = '${ROOT}')`,
    [from],
  )
}

async function expandPaths(tx: Transaction, from: bigint, to: bigint): Promise<void> {
  await tx.run(
    `INSERT INTO verse_answers
     SELECT block_number, verse, step, answers[step].question, answers[step].outcome
     FROM (
       SELECT block_number, verse, unnest(range(1, len(answers) + 1)) AS step, answers FROM (
         SELECT block_number, verse, from_json(path, '[{"question":"VARCHAR","outcome":"UTINYINT"}]') AS answers
         FROM verses WHERE block_number BETWEEN $1 AND $2))`,
    [from, to],
  )
}

async function touchedQuestions(tx: Transaction, from: bigint, to: bigint): Promise<string[]> {
  const rows = await tx.rows<{ question: string }>(
    `SELECT question FROM questions WHERE block_number BETWEEN $1 AND $2
     UNION SELECT question FROM narrowings WHERE block_number BETWEEN $1 AND $2
     UNION SELECT question FROM answers WHERE block_number BETWEEN $1 AND $2`,
    [from, to],
  )
  return rows.map(({ question }) => question)
}

/** Computes what is recorded of some questions from their narrowings and answers. */
async function refreshQuestions(tx: Transaction, questions: readonly string[]): Promise<void> {
  if (questions.length === 0) return
  await tx.run(
    `UPDATE questions SET status = s.status, survivors = s.survivors, winner = s.winner, expired = s.expired
     FROM (
       SELECT q.question,
         CASE WHEN a.question IS NOT NULL THEN 'resolved' WHEN n.question IS NOT NULL THEN 'narrowed'
              ELSE 'open' END AS status,
         CASE WHEN a.question IS NOT NULL THEN [a.outcome]
              ELSE coalesce(n.survivors, range(q.outcomes)::UTINYINT[]) END AS survivors,
         a.outcome AS winner, a.expired
       FROM questions q
       LEFT JOIN answers a USING (question)
       LEFT JOIN (
         SELECT question, arg_max(survivors, (block_number, log_index)) AS survivors
         FROM narrowings GROUP BY question) n USING (question)
       WHERE q.question IN (SELECT unnest(from_json($1::JSON, '["VARCHAR"]')))
     ) s WHERE questions.question = s.question`,
    [JSON.stringify(questions)],
  )
}

function toJson(rows: readonly unknown[]): string {
  return JSON.stringify(rows, (_, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  )
}
