import { type Address, type Hex, parseTransaction } from 'viem'
import { nextNonce } from '../tx/nonces.ts'
import type { Database, Query } from './database.ts'

/**
 * A signed transaction. `signed` may be anywhere between here and a block; `mined` succeeded, `reverted` did not;
 * `replaced` gave way to another of the same nonce; `dropped` can never be mined, as somebody else used its nonce.
 */
export type TxState = 'signed' | 'mined' | 'reverted' | 'replaced' | 'dropped'

export type TxRecord = {
  hash: Hex
  /** What it is to bring about: `report:KEY`, `answer:QUESTION`. Several when they were batched. */
  purposes: readonly string[]
  /** A `cancel` does nothing but use up the nonce. */
  kind: 'call' | 'cancel'
  sender: Address
  nonce: number
  raw: Hex
  state: TxState
  block: number | null
  /** The head when it was signed; null for what an older program signed. */
  headBlock: number | null
  /** Unix milliseconds. */
  signedAt: number
}

/** A transaction as it is shown. Amounts in wei as text. */
export type TxListing = Pick<
  TxRecord,
  'hash' | 'purposes' | 'kind' | 'nonce' | 'state' | 'block'
> & {
  from: Address
  to: Address | null
  maxFeePerGas: string
  maxPriorityFeePerGas: string
  gas: string
  value: string
  /** What it cost, or while it is signed what it may cost at most; null when it is not known. */
  cost: string | null
  /** ISO 8601. */
  signedAt: string
}

export type TxEnd =
  | { state: 'mined' | 'reverted'; block: number; blockHash: Hex; cost: bigint }
  | { state: 'dropped' }

/** What somebody signed: `cost` is the most it may take from the account, in wei. */
export type Signed = { hash: Hex; raw: Hex; cost: bigint }

export type Signing = {
  sender: Address
  purposes: readonly string[]
  kind: TxRecord['kind']
  headBlock: number
}

/** The transactions' side of the keeper's database. */
export type TxStore = {
  /** The newest transaction for a purpose that is signed, mined or reverted. */
  latest(purpose: string): Promise<TxRecord | null>
  /**
   * Claims the sender's next free nonce, signs with it, and stores what was signed before anybody can see it. Claims wait
   * for one another. Gives what another process signed for one of the purposes in the meantime. `floor` is what the chain
   * says the nonce is at least.
   */
  sign(
    signing: Signing,
    floor: number,
    signer: (nonce: number) => Promise<Signed>,
  ): Promise<TxRecord>
  /**
   * Signs another transaction of the same nonce and stores it. Null, and nothing signed, when `present` is not the newest
   * signed one of its nonce any more.
   */
  replace(
    present: TxRecord,
    signing: Signing,
    signer: (nonce: number) => Promise<Signed>,
  ): Promise<TxRecord | null>
  /** Uses up a nonce that nothing signed stands at. Null when something does. */
  fillHole(
    signing: Signing,
    nonce: number,
    signer: (nonce: number) => Promise<Signed>,
  ): Promise<TxRecord | null>
  /**
   * Stores how it ended, and with it the others of its nonce. False, and nothing stored, when the chain that is followed
   * has another block there.
   */
  settle(tx: TxRecord, end: TxEnd): Promise<boolean>
  /** Signed transactions by nonce, of one nonce the newest last. */
  pending(sender: Address): Promise<TxRecord[]>
  /** All that was signed with a nonce, newest first. */
  ofNonce(sender: Address, nonce: number): Promise<TxRecord[]>
  /** Wei that the last 24 hours took, or may still take, from an account. */
  spent(sender: Address): Promise<bigint>
  /** The newest first. */
  list(filter: { limit: number; states?: readonly TxState[] | undefined }): Promise<TxListing[]>
  counts(): Promise<{ state: string; count: number }[]>
}

const COLUMNS = `hash, purposes, kind, sender, nonce, raw, state, block, head_block as "headBlock",
  extract(epoch from signed_at)::float8 * 1000 as "signedAt"`
/** Of one nonce the newest last. */
const ORDER = `nonce, number`

export function createTxStore(db: Database): TxStore {
  return {
    async latest(purpose) {
      const [row] = await db.query<TxRecord>(
        `select ${COLUMNS} from keeper.txs
        where purposes ? $1 and kind = 'call' and state in ('signed', 'mined', 'reverted')
        order by number desc limit 1`,
        [purpose],
      )
      return row ?? null
    },
    sign: (signing, floor, signer) =>
      db.transaction(async ({ query }) => {
        await lockSender(query, signing.sender)
        const [present] = await query<TxRecord>(
          `select ${COLUMNS} from keeper.txs where state in ('signed', 'mined') and kind = 'call' and purposes ?| $1::text[]
          order by number desc limit 1`,
          [signing.purposes],
        )
        if (present) return present
        const taken = await query<{ nonce: number }>(
          `select nonce from keeper.txs
          where sender = $1 and nonce >= $2 and state in ('signed', 'mined', 'reverted')`,
          [signing.sender, floor],
        )
        const nonce = nextNonce(floor, new Set(taken.map((each) => each.nonce)))
        return insert(query, signing, nonce, await signer(nonce))
      }),
    replace: (present, signing, signer) =>
      db.transaction(async ({ query }) => {
        await lockSender(query, signing.sender)
        const newest = (await signedOf(query, signing.sender, present.nonce)).at(-1)
        if (newest?.hash !== present.hash) return null
        return insert(query, signing, present.nonce, await signer(present.nonce))
      }),
    fillHole: (signing, nonce, signer) =>
      db.transaction(async ({ query }) => {
        await lockSender(query, signing.sender)
        if ((await signedOf(query, signing.sender, nonce)).length > 0) return null
        return insert(query, signing, nonce, await signer(nonce))
      }),
    settle: (tx, end) =>
      db.transaction(async ({ query }) => {
        if (end.state === 'dropped') {
          const dropped = await query(
            `update keeper.txs set state = 'dropped', settled_at = now()
            where sender = $1 and nonce = $2 and state = 'signed' returning hash`,
            [tx.sender, tx.nonce],
          )
          return dropped.length > 0
        }
        const rows = await query(
          `update keeper.txs set state = $2, block = $3::int, block_hash = $4::text, cost = $5::numeric,
            settled_at = now()
          where hash = $1
            and not exists (select 1 from keeper.blocks where number = $3::int and hash <> $4::text)
          returning hash`,
          [tx.hash, end.state, end.block, end.blockHash, end.cost.toString()],
        )
        if (rows.length === 0) return false
        await query(
          `update keeper.txs set state = 'replaced', settled_at = now()
          where sender = $1 and nonce = $2 and state = 'signed' and hash <> $3`,
          [tx.sender, tx.nonce, tx.hash],
        )
        return true
      }),
    pending: (sender) =>
      db.query<TxRecord>(
        `select ${COLUMNS} from keeper.txs where sender = $1 and state = 'signed' order by ${ORDER}`,
        [sender],
      ),
    async ofNonce(sender, nonce) {
      const rows = await db.query<TxRecord>(
        `select ${COLUMNS} from keeper.txs where sender = $1 and nonce = $2 order by ${ORDER}`,
        [sender, nonce],
      )
      return rows.toReversed()
    },
    async spent(sender) {
      // Of one nonce one transaction is mined at most, so the dearest is what it may take.
      const [row] = await db.query<{ total: string }>(
        `select coalesce(sum(cost), 0)::text as total from (
          select max(cost) as cost from keeper.txs
          where sender = $1 and state in ('signed', 'mined', 'reverted')
            and coalesce(settled_at, now()) > now() - interval '24 hours'
          group by nonce
        ) as nonces`,
        [sender],
      )
      return BigInt(row!.total)
    },
    async list({ limit, states }) {
      const rows = await db.query<TxRecord & { cost: string | null }>(
        `select ${COLUMNS}, cost::text as cost from keeper.txs
        where $2::jsonb is null or $2::jsonb ? state order by number desc limit $1`,
        [limit, states === undefined ? null : JSON.stringify(states)],
      )
      return rows.map(listing)
    },
    counts: () => db.query(`select state, count(*)::int as count from keeper.txs group by state`),
  }
}

/** Whoever signs for an account waits here for whoever else does. */
async function lockSender(query: Query, sender: Address): Promise<void> {
  await query(
    `insert into keeper.senders (sender) values ($1)
    on conflict (sender) do update set sender = excluded.sender`,
    [sender],
  )
}

function signedOf(query: Query, sender: Address, nonce: number): Promise<TxRecord[]> {
  return query<TxRecord>(
    `select ${COLUMNS} from keeper.txs where sender = $1 and nonce = $2 and state = 'signed' order by ${ORDER}`,
    [sender, nonce],
  )
}

async function insert(
  query: Query,
  { sender, purposes, kind, headBlock }: Signing,
  nonce: number,
  { hash, raw, cost }: Signed,
): Promise<TxRecord> {
  const [row] = await query<TxRecord>(
    `insert into keeper.txs (hash, purposes, kind, sender, nonce, raw, state, head_block, cost)
    values ($1, $2, $3, $4, $5, $6, 'signed', $7, $8::numeric) returning ${COLUMNS}`,
    [
      hash,
      JSON.stringify(purposes),
      kind,
      sender,
      nonce,
      raw,
      Math.min(headBlock, 2 ** 31 - 1),
      cost.toString(),
    ],
  )
  return row!
}

function listing({ raw, ...tx }: TxRecord & { cost: string | null }): TxListing {
  const { to, gas, value, maxFeePerGas, maxPriorityFeePerGas } = parseTransaction(raw)
  return {
    hash: tx.hash,
    purposes: tx.purposes,
    kind: tx.kind,
    nonce: tx.nonce,
    state: tx.state,
    block: tx.block,
    from: tx.sender,
    to: to ?? null,
    maxFeePerGas: `${maxFeePerGas ?? 0n}`,
    maxPriorityFeePerGas: `${maxPriorityFeePerGas ?? 0n}`,
    gas: `${gas ?? 0n}`,
    value: `${value ?? 0n}`,
    cost: tx.cost,
    signedAt: new Date(tx.signedAt).toISOString(),
  }
}
