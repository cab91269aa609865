import type { Address, Hex } from 'viem'
import type { Database } from './database.ts'

/** What a committee's member signed of a question. `survivors` is a bit mask, as a decimal text. */
export type Verdict = { question: Hex; signer: Address; survivors: string; signature: Hex }

/** Signed verdicts: the keeper's own, and those of other members that it was shown. */
export type VerdictStore = {
  of(question: Hex): Promise<Verdict[]>
  /** Keeps a member's verdict, unless another one of it is kept: nobody is to be believed two. Gives what stands then. */
  keep(verdict: Verdict): Promise<Verdict>
}

const COLUMNS = `question, signer, survivors, signature`

export function createVerdictStore(db: Database): VerdictStore {
  return {
    of: (question) =>
      db.query<Verdict>(`select ${COLUMNS} from keeper.verdicts where question = $1`, [question]),
    async keep({ question, signer, survivors, signature }) {
      const [row] = await db.query<Verdict>(
        `insert into keeper.verdicts (${COLUMNS}) values ($1, $2, $3, $4)
        on conflict (question, signer) do update set survivors = verdicts.survivors returning ${COLUMNS}`,
        [question, signer, survivors, signature],
      )
      return row!
    },
  }
}
