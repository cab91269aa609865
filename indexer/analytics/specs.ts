import { parseUnits } from 'viem'
import { isMultiverseError } from '../../sdk/errors.ts'
import { type LoadedSpec, parseSpec } from '../../sdk/spec.ts'
import type { Transaction } from './database.ts'

/**
 * Reads the specs published in blocks `from` to `to` whose URI holds the spec itself: the first that matches its
 * question's hash gives the question its title and its outcomes their labels. Anybody may publish anything, so what does
 * not match is no error.
 */
export async function loadSpecs(tx: Transaction, from: bigint, to: bigint): Promise<void> {
  const published = await tx.rows<{
    question: string
    spec_hash: string
    block_number: string
    uri: string
  }>(
    `SELECT p.question, q.spec_hash, p.block_number, p.uri
     FROM spec_publications p JOIN questions q USING (question)
     WHERE p.block_number BETWEEN $1 AND $2 AND p.uri LIKE 'data:%'
       AND p.question NOT IN (SELECT question FROM specs)
     ORDER BY p.block_number, p.log_index`,
    [from, to],
  )
  const done = new Set<string>()
  for (const { question, spec_hash, block_number, uri } of published) {
    if (done.has(question)) continue
    const loaded = readDataUri(uri)
    if (loaded?.specHash !== spec_hash) continue
    done.add(question)
    await tx.run('INSERT INTO specs VALUES ($1, $2::UBIGINT, $3, $4)', [
      question,
      block_number,
      loaded.spec.title,
      loaded.json,
    ])
    for (const [outcome, label] of loaded.labels.entries()) {
      const verse = loaded.spec.verses[outcome]
      await tx.run('INSERT INTO outcomes VALUES ($1, $2::UBIGINT, $3, $4, $5, $6, $7)', [
        question,
        block_number,
        outcome,
        label,
        verse?.strategy ?? null,
        verse?.trit ?? null,
        parseUnits(verse?.probability ?? '0', 18),
      ])
    }
  }
}

/** The spec inside a data: URI; null when there is none. */
function readDataUri(uri: string): LoadedSpec | null {
  const comma = uri.indexOf(',')
  if (comma === -1) return null
  const payload = uri.slice(comma + 1)
  const isBase64 = uri.slice(0, comma).endsWith(';base64')
  try {
    return parseSpec(
      isBase64 ? Buffer.from(payload, 'base64').toString('utf8') : decodeURIComponent(payload),
    )
  } catch (error) {
    if (isMultiverseError(error) || error instanceof URIError) return null
    throw error
  }
}
