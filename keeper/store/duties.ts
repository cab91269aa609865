import type { Address, Hex } from 'viem'
import { ORACLE_KINDS, type OracleKind } from '../../sdk/terms.ts'
import type { Decision } from '../oracles/decision.ts'
import type { ChainListener } from './chain.ts'
import type { Database, Query, Transact } from './database.ts'
import type { Failure, WorldOutcome } from './partitions.ts'

/** Whose word a question waits for: the keeper's own, or that of one of the project's oracle contracts. */
export type DutyKind = 'own' | OracleKind

/** A question that somebody pushed down into, as a duty of the keeper. Block numbers are null as in `QuestionRecord`. */
export type DutyRecord = {
  question: Hex
  kind: DutyKind
  state: 'open' | 'done'
  decision: Decision | null
  /** Why nothing is done now. */
  reason: Failure | null
  oracle: Address
  outcomes: number
  specHash: Hex
  askedBlock: number | null
  resolvedBlock: number | null
}

/** Until when a duty rests: a block, a time of the chain in Unix seconds, or that a partition of it has run. */
export type Rest = {
  reason: Failure | null
  block?: number
  time?: number | null
  forPipeline?: boolean
}

/** The duties' side of the keeper's database. */
export type DutyStore = {
  load(question: Hex): Promise<DutyRecord | null>
  /** Makes a duty of a question that nobody pushed into. */
  open(tx: Transact, question: Hex, kind: DutyKind): Promise<void>
  /** Records what the answer is held to be, unless that is recorded already. Gives what stands then. */
  decide(tx: Transact, question: Hex, decision: Decision): Promise<Decision>
  rest(question: Hex, rest: Rest): Promise<void>
  /** It is given up on, until somebody moves or the deadline decides, unless that has passed by `now`, Unix seconds. */
  bury(question: Hex, reason: Failure, now: number): Promise<void>
  /** Says whether it was open until now. */
  finish(tx: Transact, question: Hex): Promise<boolean>
  /** Opens a duty anew, with whatever `also` writes. */
  again(question: Hex, also: (tx: Transact) => Promise<void>): Promise<void>
  /** Closes a duty for good, whatever is left of it, with whatever `also` writes. */
  drop(question: Hex, reason: Failure, also: (tx: Transact) => Promise<void>): Promise<void>
  /** What the first partition of a question that ran came to; null while none has. */
  verified(
    question: Hex,
  ): Promise<{ parent: Hex; worlds: WorldOutcome[]; winner: number | null } | null>
  /** Whether the keeper serves any partition of a question: it need not serve all that anybody pushes into. */
  isServed(question: Hex): Promise<boolean>
  /** The open duties' questions that nothing is waited for in. */
  awake(tx: Transact): Promise<string[]>
  listener: ChainListener
  /** For people: every duty, why it rests and until when, and what the keeper put up in its game. The open ones first. */
  list(): Promise<object[]>
  counts(): Promise<{ state: string; count: number }[]>
}

type Row = {
  question: Hex
  kind: DutyKind
  state: 'open' | 'done'
  decision: Decision | null
  reason: Failure | null
  oracle: Address
  outcomes: number
  spec_hash: Hex
  asked_block: number | null
  resolved_block: number | null
}

/** Duties that are listed at most. */
const MAX_LISTED = 1_000

/** Each oracle that there is, by address, and the keeper itself. */
export type Oracles = Partial<Record<DutyKind, Address>>

export function createDutyStore(db: Database, oracles: Oracles): DutyStore {
  const kinds = (['own', ...ORACLE_KINDS] as const).flatMap((kind) => {
    const oracle = oracles[kind]
    return oracle === undefined ? [] : [{ kind, oracle: oracle.toLowerCase() }]
  })

  /** Makes duties of the questions pushed into, of all or of those given. */
  async function open(query: Query, questions: readonly string[] | null): Promise<void> {
    await query(
      `insert into keeper.duties (question, kind)
      select distinct question.id, oracle.kind
      from keeper.questions question
      join jsonb_to_recordset($1::jsonb) as oracle (kind text, oracle text)
        on oracle.oracle = lower(question.oracle)
      where ($2::text[] is null or question.id = any($2::text[]))
        and exists (select 1 from keeper.partitions where partitions.question = question.id)
      on conflict (question) do nothing`,
      [JSON.stringify(kinds), questions],
    )
  }

  const listener: ChainListener = async (
    { query },
    { facts, ancestor, undone: withdrawn, view },
  ) => {
    const pushed = new Set(facts.flatMap((fact) => (fact.kind === 'pushed' ? fact.question : [])))
    if (pushed.size > 0) await open(query, [...pushed])
    const touched = new Set(pushed)
    for (const fact of facts)
      if (fact.kind === 'moved' || fact.kind === 'resolved') touched.add(fact.question)
    // Whatever a transaction was for, it names the question.
    for (const purpose of withdrawn)
      for (const [question] of purpose.matchAll(/0x[0-9a-f]{64}/g)) touched.add(question as Hex)
    const woken = await query<{ question: string }>(
      `update keeper.duties set state = 'open', wake_block = null, wake_time = null, for_pipeline = false
      where question = any($1::text[]) returning question`,
      [[...touched]],
    )
    // What was done may have been done in blocks that are no more.
    const undone =
      ancestor === null
        ? []
        : await query<{ question: string }>(
            `update keeper.duties set state = 'open', wake_block = null, wake_time = null, for_pipeline = false
            from keeper.questions where questions.id = duties.question
              and (resolved_block is null or resolved_block > $1)
            returning question`,
            [ancestor],
          )
    const due =
      view === null
        ? []
        : await query<{ question: string }>(
            `update keeper.duties set wake_block = null, wake_time = null, for_pipeline = false
            where state = 'open' and (wake_block <= $1 or wake_time <= $2 or (for_pipeline and exists (
              select 1 from keeper.partitions join keeper.steps on steps.partition = partitions.key
              where partitions.question = duties.question and steps.name = 'verify' and steps.state = 'done'
            ))) returning question`,
            [view.reach, view.head?.timestamp ?? -1],
          )
    const keys = new Set([...woken, ...undone, ...due].map(({ question }) => question))
    return keys.size === 0 ? [] : [{ name: 'duty', keys: [...keys] }]
  }

  return {
    async load(question) {
      const [row] = await db.query<Row>(
        `select question, kind, state, decision, reason, oracle, outcomes, spec_hash, asked_block, resolved_block
        from keeper.duties join keeper.questions on questions.id = duties.question where question = $1`,
        [question],
      )
      if (!row) return null
      const { spec_hash, asked_block, resolved_block, ...rest } = row
      return {
        ...rest,
        specHash: spec_hash,
        askedBlock: asked_block,
        resolvedBlock: resolved_block,
      }
    },
    async open({ query }, question, kind) {
      await query(
        `insert into keeper.duties (question, kind) values ($1, $2)
        on conflict (question) do update set state = 'open', wake_block = null, wake_time = null`,
        [question, kind],
      )
    },
    async decide({ query }, question, decision) {
      const [row] = await query<{ decision: Decision }>(
        `update keeper.duties set decision = coalesce(decision, $2::jsonb) where question = $1
        returning decision`,
        [question, JSON.stringify(decision)],
      )
      return row!.decision
    },
    async rest(question, { reason, block, time, forPipeline = false }) {
      await db.query(
        `update keeper.duties set reason = $2::jsonb, wake_block = $3::int, wake_time = $4::double precision,
          for_pipeline = $5 where question = $1`,
        [question, reason && JSON.stringify(reason), block ?? null, time ?? null, forPipeline],
      )
    },
    async bury(question, reason, now) {
      await db.query(
        `update keeper.duties set reason = $2::jsonb, wake_block = null, for_pipeline = false,
          wake_time = (select deadline from keeper.questions where id = $1 and deadline > $3) where question = $1`,
        [question, JSON.stringify(reason), now],
      )
    },
    async finish({ query }, question) {
      // What was given up on may have come about by itself.
      await query(`delete from keeper.failures where queue = 'duty' and key = $1`, [question])
      const rows = await query(
        `update keeper.duties set state = 'done', reason = null, wake_block = null, wake_time = null,
          for_pipeline = false where question = $1 and state = 'open' returning question`,
        [question],
      )
      return rows.length > 0
    },
    again: (question, also) =>
      db.transaction(async (tx) => {
        await tx.query(
          `update keeper.duties set state = 'open', reason = null, wake_block = null, wake_time = null,
            for_pipeline = false where question = $1`,
          [question],
        )
        await also(tx)
      }),
    drop: (question, reason, also) =>
      db.transaction(async (tx) => {
        await tx.query(
          `update keeper.duties set state = 'done', reason = $2::jsonb where question = $1`,
          [question, JSON.stringify(reason)],
        )
        await also(tx)
      }),
    async verified(question) {
      const [row] = await db.query<{
        parent: Hex
        output: { worlds: WorldOutcome[]; winner: number | null }
      }>(
        `select parent, output from keeper.partitions join keeper.steps on steps.partition = partitions.key
        where question = $1 and trigger_block is not null and steps.name = 'verify' and steps.state = 'done'
        order by trigger_block, trigger_index limit 1`,
        [question],
      )
      return row ? { parent: row.parent, ...row.output } : null
    },
    async isServed(question) {
      const [row] = await db.query(
        `select 1 from keeper.partitions where question = $1 and trigger_block is not null
          and state not in ('declined', 'cancelled') limit 1`,
        [question],
      )
      return row !== undefined
    },
    async awake({ query }) {
      // Questions of books that were kept before there were duties.
      await open(query, null)
      const rows = await query<{ question: string }>(
        `select question from keeper.duties where state = 'open' and wake_block is null and wake_time is null
          and not for_pipeline`,
      )
      return rows.map(({ question }) => question)
    },
    listener,
    list: () =>
      db.query(
        `select question, kind, state, decision, reason, wake_block as "wakeBlock", wake_time as "wakeTime",
          coalesce((
            select jsonb_agg(jsonb_build_object('outcome', outcome, 'bond', bond::text, 'token', token, 'state', stakes.state)
              order by bond)
            from keeper.stakes where stakes.question = duties.question
          ), '[]'::jsonb) as bonds
        from keeper.duties order by state desc, wake_time nulls last, question limit ${MAX_LISTED}`,
      ),
    counts: () =>
      db.query(
        `select kind || ' ' || state as state, count(*)::int as count from keeper.duties group by 1`,
      ),
  }
}
