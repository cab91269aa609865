import type { Address, Hex } from 'viem'
import type { Database } from './database.ts'

/** A bond that the keeper puts up for an answer. Amounts in the token's smallest unit. */
export type Stake = { question: Hex; token: Address; outcome: number; bond: bigint }

/** What the keeper has at stake: recorded before it is put up, so that no crash makes it forget any. */
export type StakeStore = {
  /**
   * Reserves a bond unless more than `limit` of its token would then stand, with `reserve` to spare beside it. A bond that is
   * reserved already stays so. Says whether it is.
   */
  reserve(stake: Stake, limit: bigint, spare: bigint): Promise<boolean>
  /** It was not put up after all. */
  release(question: Hex, bond: bigint): Promise<void>
  /** The game is over: nothing of it stands any more. */
  close(question: Hex, state: 'returned' | 'lost'): Promise<void>
  /** Whether the keeper put anything up in this game. */
  has(question: Hex): Promise<boolean>
}

export function createStakeStore(db: Database): StakeStore {
  return {
    reserve: ({ question, token, outcome, bond }, limit, spare) =>
      db.transaction(async ({ query }) => {
        // Several keepers of one account share the books, and the limit.
        await query(`select pg_advisory_xact_lock(hashtext('keeper.stakes'))`)
        const [present] = await query(
          `select 1 from keeper.stakes where question = $1 and bond = $2 and state = 'open'`,
          [question, `${bond}`],
        )
        if (present) return true
        const [row] = await query<{ standing: string }>(
          `select coalesce(sum(bond), 0)::text as standing from keeper.stakes where token = $1 and state = 'open'`,
          [token.toLowerCase()],
        )
        if (BigInt(row!.standing) + bond + spare > limit) return false
        await query(
          `insert into keeper.stakes (question, bond, token, outcome, state) values ($1, $2, $3, $4, 'open')
          on conflict (question, bond) do update set outcome = excluded.outcome, state = 'open'`,
          [question, `${bond}`, token.toLowerCase(), outcome],
        )
        return true
      }),
    async release(question, bond) {
      await db.query(`delete from keeper.stakes where question = $1 and bond = $2`, [
        question,
        `${bond}`,
      ])
    },
    async close(question, state) {
      await db.query(`update keeper.stakes set state = $2 where question = $1`, [question, state])
    },
    async has(question) {
      const [row] = await db.query(`select 1 from keeper.stakes where question = $1 limit 1`, [
        question,
      ])
      return row !== undefined
    },
  }
}
