import type { Hex } from 'viem'
import type { Database, Transact } from './database.ts'
import type { QuestionRecord } from './partitions.ts'

/** Where specs are said to be, and those that were found. */
export type SpecStore = {
  /** The places published for a question, first published first. */
  uris(question: Hex): Promise<string[]>
  /** Keeps a spec under its hash. */
  put(tx: Transact, specHash: Hex, json: string): Promise<void>
  get(specHash: Hex): Promise<string | null>
  /** A question that was asked, as far as the chain was followed. */
  question(
    id: Hex,
  ): Promise<Pick<QuestionRecord, 'id' | 'specHash' | 'outcomes' | 'askedBlock'> | null>
}

export function createSpecStore(db: Database): SpecStore {
  return {
    async uris(question) {
      const rows = await db.query<{ uri: string }>(
        `select uri from keeper.spec_uris where question = $1 order by block, index limit 64`,
        [question],
      )
      return rows.map(({ uri }) => uri)
    },
    async put({ query }, specHash, json) {
      await query(
        `insert into keeper.specs (spec_hash, json) values ($1, $2) on conflict do nothing`,
        [specHash, json],
      )
    },
    async get(specHash) {
      const [row] = await db.query<{ json: string }>(
        `select json from keeper.specs where spec_hash = $1`,
        [specHash],
      )
      return row?.json ?? null
    },
    async question(id) {
      const [row] = await db.query<{
        id: Hex
        spec_hash: Hex
        outcomes: number
        asked_block: number | null
      }>(`select id, spec_hash, outcomes, asked_block from keeper.questions where id = $1`, [id])
      if (!row) return null
      return {
        id: row.id,
        specHash: row.spec_hash,
        outcomes: row.outcomes,
        askedBlock: row.asked_block,
      }
    },
  }
}
