import type { Address, Hex } from 'viem'
import type { Path } from '../../sdk/ids.ts'
import type { ChainListener, Jobs } from './chain.ts'
import type { Database, Query, Transact } from './database.ts'
import type { Failure } from './partitions.ts'

/** A pull-up for an owner; `path` is the parent's. */
export type Pull = { owner: Address; path: Path; question: Hex; token: Address; amount: bigint }

/** A batch of pull-ups. */
export type Redemption = { id: number; pulls: Pull[] }

/** Where an answer was given for good, and every verse that may be named by it. */
export type Split = { path: Path; question: Hex; outcomes: number }

/** The redemptions' side of the keeper's database. */
export type RedemptionStore = {
  /** Owners who have the keeper as a redeemer, by what stands in blocks up to `deep`. */
  owners(deep: number): Promise<Address[]>
  /** The winners of questions that are decided up to block `deep` and the chain's time `deepTime`. */
  winners(deep: number, deepTime: number): Promise<Map<Hex, number>>
  /** Every partition that anybody pushed down into. */
  splits(): Promise<Split[]>
  /** Records a batch before anything of it is sent. */
  want(pulls: readonly Pull[]): Promise<Redemption>
  /** Batches that are not known to be in a block, the oldest first: those that a reorganisation took back among them. */
  wanted(): Promise<Redemption[]>
  /** Writes down where its transaction is, unless that was taken back meanwhile. */
  mined(id: number, at: { tx: Hex; block: number }): Promise<void>
  refused(id: number, error: Failure): Promise<void>
  /** Writes something else of the job in a transaction. */
  also(work: (tx: Transact) => Promise<void>): Promise<void>
  listener: ChainListener
}

/** The one job there is. */
const REDEEM: Jobs = [{ name: 'redeem', keys: ['all'] }]

type Row = { id: number; pulls: (Omit<Pull, 'amount'> & { amount: string })[] }

/** What nothing announces, winners that were bought, is looked for so often, in seconds of the chain. */
const RESCAN_S = 600

export function createRedemptionStore(db: Database): RedemptionStore {
  /** Up to where decisions and owners were acted on in this process. */
  let seen = { deep: -1, time: -1, scanned: -1 }

  const listener: ChainListener = async ({ query }, { facts, ancestor, undone, view }) => {
    const jobs = (await withdraw(query, ancestor, undone)) ? REDEEM : []
    if (ancestor !== null) {
      await query(`delete from keeper.redeemer_changes where block > $1`, [ancestor])
      seen = { deep: Math.min(seen.deep, ancestor), time: -1, scanned: -1 }
    }
    for (const fact of facts)
      if (fact.kind === 'redeemer')
        await query(
          `insert into keeper.redeemer_changes (block, index, owner, allowed) values ($1, $2, $3, $4)
          on conflict (block, index) do update set owner = excluded.owner, allowed = excluded.allowed`,
          [fact.at.block, fact.at.index, fact.owner, fact.isAllowed],
        )
    if (view?.head == null) return jobs
    const { deep, deepTime } = view
    const [news] = await query(
      `select 1 where exists (select 1 from keeper.questions
          where (resolved_block > $1 and resolved_block <= $2)
            or (resolved_block is null and deadline > $3 and deadline <= $4))
        or exists (select 1 from keeper.redeemer_changes where block > $1 and block <= $2)`,
      [seen.deep, deep, seen.time, deepTime],
    )
    const isScan = view.head.timestamp >= seen.scanned + RESCAN_S
    const isWanted = news !== undefined || isScan
    seen = { deep, time: deepTime, scanned: isWanted ? view.head.timestamp : seen.scanned }
    return isWanted ? REDEEM : jobs
  }

  return {
    async owners(deep) {
      const rows = await db.query<{ owner: Address }>(
        `select owner from (
          select distinct on (owner) owner, allowed from keeper.redeemer_changes where block <= $1
          order by owner, block desc, index desc) latest where allowed order by owner`,
        [deep],
      )
      return rows.map(({ owner }) => owner)
    },
    async winners(deep, deepTime) {
      const rows = await db.query<{ id: Hex; winner: number }>(
        `select id, coalesce(winner, outcomes - 1) as winner from keeper.questions
        where resolved_block <= $1 or (resolved_block is null and asked_block is not null and deadline <= $2)`,
        [deep, deepTime],
      )
      return new Map(rows.map(({ id, winner }) => [id, winner]))
    },
    splits: () =>
      db.query<Split>(
        `select path, question, outcomes from keeper.partitions
        join keeper.questions on questions.id = partitions.question where trigger_block is not null`,
      ),
    async want(pulls) {
      const [row] = await db.query<Row>(
        `insert into keeper.redemptions (pulls, state) values ($1::jsonb, 'wanted')
        returning id, pulls`,
        [JSON.stringify(pulls.map((pull) => ({ ...pull, amount: `${pull.amount}` })))],
      )
      return redemption(row!)
    },
    async wanted() {
      const rows = await db.query<Row>(
        `select id, pulls from keeper.redemptions where state = 'wanted' order by id`,
      )
      return rows.map(redemption)
    },
    async mined(id, { tx, block }) {
      await db.query(
        `update keeper.redemptions set state = 'mined', tx = $2, block = $3 where id = $1
          and exists (select 1 from keeper.txs where hash = $2 and state = 'mined')`,
        [id, tx, block],
      )
    },
    async refused(id, error) {
      await db.query(
        `update keeper.redemptions set state = 'refused', error = $2::jsonb where id = $1`,
        [id, JSON.stringify(error)],
      )
    },
    also: (work) => db.transaction(work),
    listener,
  }
}

/**
 * Has batches sent again whose blocks were taken back, or never became part of the chain: `undone` is what transactions in those
 * were for. Whether there were any.
 */
async function withdraw(
  query: Query,
  ancestor: number | null,
  undone: readonly string[],
): Promise<boolean> {
  const ids = undone.flatMap((purpose) => /^redeem:(\d+)$/.exec(purpose)?.[1] ?? [])
  if (ancestor === null && ids.length === 0) return false
  const rows = await query(
    `update keeper.redemptions set state = 'wanted', tx = null, block = null
    where state = 'mined' and (block > $1 or id = any($2::int[])) returning id`,
    [ancestor, ids.map(Number)],
  )
  return rows.length > 0
}

function redemption({ pulls, ...row }: Row): Redemption {
  return { ...row, pulls: pulls.map((pull) => ({ ...pull, amount: BigInt(pull.amount) })) }
}
