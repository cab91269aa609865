import type { Hex } from 'viem'
import { isMultiverseError } from '../../sdk/errors.ts'
import type { Answer, Path } from '../../sdk/ids.ts'
import { exposure, type Holding, wevNominal } from '../../sdk/wev.ts'
import type { Log } from '../service.ts'
import type { Transaction } from './database.ts'

// What an answer was worth, from who held what just before it. Just before: after every event that came earlier, in the
// same block too; for an answer that a deadline gave, after every event before the deadline.

const ZERO = '0x0000000000000000000000000000000000000000'

type AnswerRow = {
  question: Hex
  outcome: number
  expired: boolean
  block_number: string
  log_index: number
  time: string
  deadline: string
}

/** A moment in the chain's order: before this log, and before this second. */
type Cut = { block: string; log: number; before: bigint }

type TokenHolding = Holding & { token: string }

/** Measures the answers given in blocks `from` to `to`. */
export async function measureWev(
  tx: Transaction,
  from: bigint,
  to: bigint,
  log: Log,
): Promise<void> {
  const answers = await tx.rows<AnswerRow>(
    `SELECT a.question, a.outcome, a.expired, a.block_number, a.log_index, epoch(a.block_timestamp)::BIGINT AS time,
       q.deadline
     FROM answers a JOIN questions q USING (question)
     WHERE a.block_number BETWEEN $1 AND $2 ORDER BY a.block_number, a.log_index`,
    [from, to],
  )
  for (const answer of answers) await measureAnswer(tx, answer, log)
}

async function measureAnswer(tx: Transaction, answer: AnswerRow, log: Log): Promise<void> {
  const { question, outcome, block_number } = answer
  const before = answer.expired ? BigInt(answer.deadline) : BigInt(answer.time) + 1n
  const cut = { block: block_number, log: answer.log_index, before }
  const holdings = await holdingsAt(tx, question, cut)
  const parents = await partitionsAt(tx, question, cut)
  for (const [token, held] of Map.groupBy(holdings, ({ token: each }) => each)) {
    const linked = linkedTo(question, held)
    if (linked.length === 0) continue
    const found = await exposed(tx, linked, cut, log)
    await tx.run(
      'INSERT INTO wev_exact VALUES ($1, $2, $3::UBIGINT, $4, $5::BIGNUM, $6::BIGNUM, $7::BIGNUM)',
      [
        question,
        token,
        block_number,
        outcome,
        wevNominal(linked, question, outcome).toString(),
        found?.realized.toString() ?? null,
        found?.total.toString() ?? null,
      ],
    )
    for (const parent of parents) {
      const under = linked.filter(({ path }) => contains(path, parent.path))
      await tx.run('INSERT INTO wev_partitions VALUES ($1, $2, $3, $4::UBIGINT, $5::BIGNUM)', [
        parent.verse,
        question,
        token,
        block_number,
        wevNominal(under, question, outcome).toString(),
      ])
    }
  }
}

/** Shows the exact figures, in whole tokens, in the seeds' own column. */
export async function fillExtractedWev(tx: Transaction): Promise<void> {
  await tx.run(
    `UPDATE verse_resolutions SET wev_extracted = w.wev
     FROM (
       SELECT r.resolution_id,
         CASE WHEN any_value(a.question) IS NULL THEN NULL ELSE
           coalesce(sum(p.wev_nominal::DOUBLE / pow(10, coalesce(t.decimals, 0))), 0) END AS wev
       FROM resolutions r
       LEFT JOIN answers a USING (question)
       LEFT JOIN wev_partitions p ON p.parent = r.parent AND p.question = r.question
       LEFT JOIN tokens t ON t.token = p.token
       GROUP BY r.resolution_id
     ) w
     WHERE w.resolution_id = verse_resolutions.resolution_id
       AND verse_resolutions.wev_extracted IS DISTINCT FROM w.wev::FLOAT`,
  )
}

/** Everything held at the cut in verses that depend on the question, or on a question that meets it in some verse. */
async function holdingsAt(tx: Transaction, question: Hex, cut: Cut): Promise<TokenHolding[]> {
  const rows = await tx.rows<{ token: string; owner: string; path: string; amount: string }>(
    `WITH RECURSIVE linked(question) AS (
       SELECT $1
       UNION
       SELECT b.question FROM linked
       JOIN verse_answers a ON a.question = linked.question
       JOIN verse_answers b ON b.verse = a.verse
     ), places AS (
       SELECT DISTINCT p.position, p.token, v.path
       FROM positions p
       JOIN verses v USING (verse)
       JOIN verse_answers a USING (verse)
       WHERE a.question IN (SELECT question FROM linked)
     ), moved AS (
       SELECT * FROM transfers
       WHERE block_number <= $2::UBIGINT AND (block_number, log_index) < ($2::UBIGINT, $3::UINTEGER)
         AND epoch(block_timestamp) < $4::BIGINT
         AND position IN (SELECT position FROM places)
     )
     SELECT token, owner, path, sum(delta) AS amount FROM (
       SELECT receiver AS owner, position, amount::BIGNUM AS delta FROM moved WHERE receiver <> '${ZERO}'
       UNION ALL
       SELECT sender, position, -(amount::BIGNUM) FROM moved WHERE sender <> '${ZERO}'
     ) JOIN places USING (position)
     GROUP BY token, owner, position, path
     HAVING sum(delta) <> 0::BIGNUM`,
    [question, cut.block, cut.log, cut.before],
  )
  return rows.map(({ token, owner, path, amount }) => ({
    token,
    owner,
    path: JSON.parse(path) as Answer[],
    amount: BigInt(amount),
  }))
}

/** The parents from which the question was opened before the cut. */
async function partitionsAt(
  tx: Transaction,
  question: Hex,
  cut: Cut,
): Promise<{ verse: string; path: Path }[]> {
  const rows = await tx.rows<{ verse: string; path: string }>(
    `SELECT DISTINCT p.parent AS verse, v.path
     FROM push_downs p JOIN verses v ON v.verse = p.parent
     WHERE p.question = $1 AND (p.block_number, p.log_index) < ($2::UBIGINT, $3::UINTEGER)`,
    [question, cut.block, cut.log],
  )
  return rows.map(({ verse, path }) => ({ verse, path: JSON.parse(path) as Answer[] }))
}

/** The holdings that share a question, directly or through others, with the one asked about: the rest move apart. */
function linkedTo<T extends Holding>(question: Hex, holdings: readonly T[]): T[] {
  const questions = new Set<Hex>([question])
  const linked = new Set<T>()
  for (let grew = true; grew;) {
    grew = false
    for (const holding of holdings) {
      if (linked.has(holding) || !holding.path.some((step) => questions.has(step.question)))
        continue
      linked.add(holding)
      for (const step of holding.path) questions.add(step.question)
      grew = true
    }
  }
  const isAbout = [...linked].some(({ path }) => path.some((step) => step.question === question))
  return isAbout ? [...linked] : []
}

async function exposed(
  tx: Transaction,
  holdings: readonly Holding[],
  cut: Cut,
  log: Log,
): Promise<{ realized: bigint; total: bigint } | null> {
  const questions = [...new Set(holdings.flatMap(({ path }) => path.map((step) => step.question)))]
  try {
    return exposure(holdings, await liveAt(tx, questions, cut))
  } catch (error) {
    const known = ['TOO_MANY_COMBINATIONS', 'UNBALANCED_HOLDINGS']
    if (!isMultiverseError(error) || !known.includes(error.code)) throw error
    log('wev.unmeasured', { code: error.code, message: error.message, block: cut.block })
    return null
  }
}

/** The bit masks of the outcomes that were still possible at the cut. */
async function liveAt(
  tx: Transaction,
  questions: readonly Hex[],
  cut: Cut,
): Promise<Map<Hex, bigint>> {
  const rows = await tx.rows<{ question: Hex; live: number[] }>(
    `SELECT q.question,
       CASE WHEN a.question IS NOT NULL THEN [a.outcome]
            WHEN q.deadline < $4::BIGINT THEN [q.outcomes - 1]::UTINYINT[]
            ELSE coalesce(n.survivors, range(q.outcomes)::UTINYINT[]) END AS live
     FROM questions q
     LEFT JOIN (
       SELECT * FROM answers WHERE (block_number, log_index) < ($2::UBIGINT, $3::UINTEGER)
         AND epoch(block_timestamp) < $4::BIGINT) a USING (question)
     LEFT JOIN (
       SELECT question, arg_max(survivors, (block_number, log_index)) AS survivors FROM narrowings
       WHERE (block_number, log_index) < ($2::UBIGINT, $3::UINTEGER) GROUP BY question) n USING (question)
     WHERE q.question IN (SELECT unnest(from_json($1::JSON, '["VARCHAR"]')))`,
    [JSON.stringify(questions), cut.block, cut.log, cut.before],
  )
  return new Map(
    rows.map(({ question, live }) => [
      question,
      live.reduce((mask, outcome) => mask | (1n << BigInt(outcome)), 0n),
    ]),
  )
}

function contains(path: Path, parent: Path): boolean {
  return parent.every((step) =>
    path.some(({ question, outcome }) => question === step.question && outcome === step.outcome),
  )
}
