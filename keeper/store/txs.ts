import type { Address, Hex } from 'viem'
import type { Database } from './database.ts'

/**
 * A signed transaction. `signed` may be anywhere between here and a block; `mined` succeeded, `reverted` did not;
 * `dropped` can never be mined, as another one used its nonce.
 */
export type TxRecord = {
  hash: Hex
  purpose: string
  sender: Address
  nonce: number
  raw: Hex
  state: 'signed' | 'mined' | 'reverted' | 'dropped'
  block: number | null
}

export type TxEnd =
  | { state: 'mined' | 'reverted'; block: number; blockHash: Hex }
  | { state: 'dropped' }

/** The transactions' side of the keeper's database. */
export type TxStore = {
  /** The newest transaction signed for a purpose that was not dropped. */
  latest(purpose: string): Promise<TxRecord | null>
  /**
   * Claims the sender's next nonce, signs with it, and stores what was signed before anybody can see it. Claims wait for
   * one another. `floor` is what the chain says the nonce is at least.
   */
  sign(
    purpose: string,
    sender: Address,
    floor: number,
    signer: (nonce: number) => Promise<{ hash: Hex; raw: Hex }>,
  ): Promise<TxRecord>
  /** Stores how it ended. False, and nothing stored, when the chain that is followed has another block there. */
  settle(hash: Hex, end: TxEnd): Promise<boolean>
  /** Signed transactions by nonce. */
  pending(sender: Address): Promise<TxRecord[]>
  counts(): Promise<{ state: string; count: number }[]>
}

const COLUMNS = `hash, purpose, sender, nonce, raw, state, block`

export function createTxStore(db: Database): TxStore {
  return {
    async latest(purpose) {
      const [row] = await db.query<TxRecord>(
        `select ${COLUMNS} from keeper.txs where purpose = $1 and state <> 'dropped'
        order by nonce desc limit 1`,
        [purpose],
      )
      return row ?? null
    },
    sign: (purpose, sender, floor, signer) =>
      db.transaction(async ({ query }) => {
        const [row] = await query<{ nonce: number }>(
          `insert into keeper.nonces (sender, next) values ($1, $2::int + 1)
          on conflict (sender) do update set next = greatest(nonces.next, $2::int) + 1
          returning next - 1 as nonce`,
          [sender, floor],
        )
        const { nonce } = row!
        const { hash, raw } = await signer(nonce)
        await query(
          `insert into keeper.txs (hash, purpose, sender, nonce, raw, state)
          values ($1, $2, $3, $4, $5, 'signed')`,
          [hash, purpose, sender, nonce, raw],
        )
        return { hash, purpose, sender, nonce, raw, state: 'signed', block: null }
      }),
    async settle(hash, end) {
      const place = end.state === 'dropped' ? [null, null] : [end.block, end.blockHash]
      const rows = await db.query(
        `update keeper.txs set state = $2, block = $3::int, block_hash = $4::text where hash = $1
          and not exists (select 1 from keeper.blocks where number = $3::int and hash <> $4::text)
        returning hash`,
        [hash, end.state, ...place],
      )
      return rows.length > 0
    },
    pending: (sender) =>
      db.query<TxRecord>(
        `select ${COLUMNS} from keeper.txs where sender = $1 and state = 'signed' order by nonce`,
        [sender],
      ),
    counts: () => db.query(`select state, count(*)::int as count from keeper.txs group by state`),
  }
}
