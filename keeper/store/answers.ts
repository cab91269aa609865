import type { Hex } from 'viem'
import type { JournalEvent } from '../../sdk/journal.ts'
import type { Database, Transact } from './database.ts'
import type { Journal } from './journal.ts'
import type { Failure } from './partitions.ts'

/** Where the keeper had an answer from. */
export type AnswerSource = 'pipeline' | 'manual' | 'http' | 'price'

/** `wanted` is to be posted, `mined` was, `refused` can not be. */
export type AnswerRecord = {
  question: Hex
  outcome: number
  source: AnswerSource
  state: 'wanted' | 'mined' | 'refused'
  error: Failure | null
  tx: Hex | null
  block: number | null
}

/** The answers' side of the keeper's database. */
export type AnswerStore = {
  load(question: Hex): Promise<AnswerRecord | null>
  /**
   * Records that a question is to be answered so, unless it is recorded already; a refused answer gives way. Gives what
   * stands then.
   */
  want(
    tx: Transact,
    wanted: Pick<AnswerRecord, 'question' | 'outcome' | 'source'>,
  ): Promise<AnswerRecord>
  mined(question: Hex, at: { tx: Hex; block: number } | null, events: JournalEvent[]): Promise<void>
  refused(question: Hex, error: Failure, also?: (tx: Transact) => Promise<void>): Promise<void>
  /** A refused answer is to be posted after all. */
  again(question: Hex, also: (tx: Transact) => Promise<void>): Promise<void>
  /** To be looked at again when the head is this block. */
  wait(question: Hex, block: number): Promise<void>
  counts(): Promise<{ state: string; count: number }[]>
}

const COLUMNS = `question, outcome, source, state, error, tx, block`

export function createAnswerStore(db: Database, journal: Journal): AnswerStore {
  return {
    async load(question) {
      const [row] = await db.query<AnswerRecord>(
        `select ${COLUMNS} from keeper.answers where question = $1`,
        [question],
      )
      return row ?? null
    },
    async want({ query }, { question, outcome, source }) {
      await query(
        `insert into keeper.answers (question, outcome, source, state) values ($1, $2, $3, 'wanted')
        on conflict (question) do update
          set outcome = excluded.outcome, source = excluded.source, state = 'wanted', error = null
          where answers.state = 'refused'`,
        [question, outcome, source],
      )
      const [row] = await query<AnswerRecord>(
        `select ${COLUMNS} from keeper.answers where question = $1`,
        [question],
      )
      return row!
    },
    mined: (question, at, events) =>
      db.transaction(async (tx) => {
        await tx.query(
          `update keeper.answers set state = 'mined', tx = $2, block = $3, error = null, wait_block = null
          where question = $1`,
          [question, at?.tx ?? null, at?.block ?? null],
        )
        await tx.query(
          `update keeper.partitions set state = 'answered' where question = $1 and state = 'reported'`,
          [question],
        )
        await journal.append(tx, events)
      }),
    refused: (question, error, also) =>
      db.transaction(async (tx) => {
        await tx.query(
          `update keeper.answers set state = 'refused', error = $2 where question = $1`,
          [question, JSON.stringify(error)],
        )
        await also?.(tx)
      }),
    again: (question, also) =>
      db.transaction(async (tx) => {
        await tx.query(
          `update keeper.answers set state = 'wanted', error = null
          where question = $1 and state = 'refused'`,
          [question],
        )
        await also(tx)
      }),
    async wait(question, block) {
      await db.query(`update keeper.answers set wait_block = $2 where question = $1`, [
        question,
        block,
      ])
    },
    counts: () =>
      db.query(`select state, count(*)::int as count from keeper.answers group by state`),
  }
}
