import type { Transaction } from './database.ts'

// What verses are called, kept up to date with their answers and with the specs that say what these are called.

/** Writes the labels of the verses of blocks `from` to `to`, and of those whose questions' specs these blocks brought. */
export async function refreshLabels(tx: Transaction, from: bigint, to: bigint): Promise<void> {
  await write(
    tx,
    `SELECT verse FROM verses WHERE block_number BETWEEN $1 AND $2
     UNION
     SELECT a.verse FROM verse_answers a JOIN specs s USING (question) WHERE s.block_number BETWEEN $1 AND $2`,
    [from, to],
  )
}

/** Questions whose specs stand in blocks from `from` on: once these are gone, their verses are called otherwise. */
export async function labelledFrom(tx: Transaction, from: bigint): Promise<string[]> {
  const rows = await tx.rows<{ question: string }>(
    'SELECT question FROM specs WHERE block_number >= $1',
    [from],
  )
  return rows.map(({ question }) => question)
}

/** Writes the labels of every verse of these questions. */
export async function relabel(tx: Transaction, questions: readonly string[]): Promise<void> {
  if (questions.length === 0) return
  await write(
    tx,
    `SELECT verse FROM verse_answers
     WHERE question IN (SELECT unnest(from_json($1::JSON, '["VARCHAR"]')))`,
    [JSON.stringify(questions)],
  )
}

async function write(tx: Transaction, verses: string, values: (bigint | string)[]): Promise<void> {
  await tx.run(`DELETE FROM verse_labels WHERE verse IN (${verses})`, values)
  await tx.run(
    `INSERT INTO verse_labels
     SELECT a.verse, any_value(a.block_number),
       string_agg(coalesce(o.label, left(a.question, 10) || '=' || a.outcome), ' & ' ORDER BY a.step)
     FROM verse_answers a
     LEFT JOIN outcomes o USING (question, outcome)
     WHERE a.verse IN (${verses})
     GROUP BY a.verse
     ORDER BY any_value(a.block_number), a.verse`,
    values,
  )
}
