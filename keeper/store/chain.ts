import type { Address, Hex } from 'viem'
import type { JournalEvent } from '../../sdk/journal.ts'
import type { Change } from '../chain/follow.ts'
import type { Fact } from '../chain/facts.ts'
import type { Header, Window } from '../chain/window.ts'
import { partitionKey } from '../jobs/key.ts'
import type { Log } from '../log.ts'
import type { Database, Transact } from './database.ts'
import type { Journal } from './journal.ts'
import type { Queue } from './queue.ts'

/** How far the books have followed the chain. */
export type ChainView = {
  head: Header | null
  /** Up to this block nothing is expected to be taken back; -1 for nothing yet. */
  deep: number
  /** That block's time, Unix seconds. */
  deepTime: number
}

/** The chain as the keeper's books have it: facts, and the jobs that follow from them. */
export type ChainStore = {
  window(): Promise<Window>
  /** Stores a change with everything that follows from it, in one transaction. */
  apply(change: Change): Promise<void>
  /** Adds a job for everything that is not waiting for the chain. */
  wakeOpen(): Promise<void>
  view(): ChainView
}

export type ChainStoreOptions = {
  db: Database
  queue: Queue
  journal: Journal
  chainId: number
  multiverse: Address
  confirmations: number
  log: Log
}

type Keys = { key: string }[]

/** The chain's side of the keeper's database. */
export function createChainStore(options: ChainStoreOptions): ChainStore {
  const { db, queue, journal, confirmations } = options
  let view: ChainView = { head: null, deep: -1, deepTime: -1 }
  /** Deepest block and time up to which answers have been acted on in this process. */
  let settled = { block: -1, time: -1 }

  async function apply(change: Change): Promise<void> {
    const woken: Woken = { partition: new Set(), answer: new Set() }
    const events: JournalEvent[] = []
    const before = { view, settled }
    try {
      await db.transaction((tx) => write(tx, change, woken, events))
    } catch (error) {
      view = before.view
      settled = before.settled
      throw error
    }
    for (const event of events)
      if (event.kind === 'partition.started' || event.kind === 'partition.failed') {
        const partition = partitionKey(options.chainId, options.multiverse, event)
        options.log.info({ partition, question: event.question }, event.kind)
      }
    queue.wake('partition', woken.partition.size)
    queue.wake('answer', woken.answer.size)
  }

  async function write(
    tx: Transact,
    change: Change,
    woken: Woken,
    events: JournalEvent[],
  ): Promise<void> {
    if (change.kind === 'blocks' && change.ancestor !== null)
      await takeBack(tx, change.ancestor, woken)
    const isHistory = change.kind === 'history'
    const facts = isHistory ? change.facts : change.blocks.flatMap(({ facts }) => facts)
    await store(tx, facts, isHistory ? Date.now() : change.seenAt, woken, events)
    if (!isHistory) {
      await remember(tx, change, woken)
      if (change.isHead) await reachHead(tx, change, woken, events)
    }
    await queue.add(tx, 'partition', [...woken.partition])
    await queue.add(tx, 'answer', [...woken.answer])
    await journal.append(tx, events)
  }

  async function store(
    tx: Transact,
    facts: readonly Fact[],
    seenAt: number,
    woken: Woken,
    events: JournalEvent[],
  ): Promise<void> {
    const of = <K extends Fact['kind']>(kind: K) =>
      facts.filter((fact): fact is Extract<Fact, { kind: K }> => fact.kind === kind)
    const bulk = async (statement: string, rows: object[]): Promise<Keys> =>
      rows.length === 0 ? [] : tx.query(statement, [JSON.stringify(rows)])

    await bulk(
      `insert into keeper.questions (id, oracle, outcomes, deadline, spec_hash, asked_block)
      select id, oracle, outcomes, deadline, spec_hash, block
      from jsonb_to_recordset($1::jsonb) as fact
        (id text, oracle text, outcomes int, deadline double precision, spec_hash text, block int)
      on conflict (id) do update set asked_block = excluded.asked_block`,
      of('asked').map(({ question, oracle, outcomes, deadline, specHash, at }) => ({
        id: question,
        oracle,
        outcomes,
        // Nobody lives to see a later one; so it is a number everywhere.
        deadline: Math.min(Number(deadline), Number.MAX_SAFE_INTEGER),
        spec_hash: specHash,
        block: at.block,
      })),
    )
    const published = await bulk(
      `insert into keeper.spec_uris (question, block, index, uri)
      select question, block, index, uri from jsonb_to_recordset($1::jsonb) as fact
        (question text, block int, index int, uri text)
      on conflict do nothing returning question as key`,
      of('published').map(({ question, uri, at }) => ({
        question,
        // A NUL byte is nothing a Postgres text can hold, nor any URI.
        uri: uri.replaceAll('\0', ''),
        block: at.block,
        index: at.index,
      })),
    )
    // A partition that failed for its spec gets another chance with every new place to find it.
    const revived = await bulk(
      `with revived as (
        update keeper.partitions set state = 'running', error = null
        where state = 'failed' and error->>'code' like 'SPEC\\_%'
          and question in (select key from jsonb_to_recordset($1::jsonb) as fact (key text))
        returning key
      ), forgotten as (
        delete from keeper.failures where queue = 'partition' and key in (select key from revived)
      )
      select key from revived`,
      published,
    )
    await bulk(
      `update keeper.questions question
      set resolved_block = fact.block, winner = fact.outcome, is_expired = fact.expired
      from jsonb_to_recordset($1::jsonb) as fact (id text, block int, outcome int, expired boolean)
      where question.id = fact.id`,
      of('resolved').map(({ question, outcome, isExpired, at }) => ({
        id: question,
        outcome,
        expired: isExpired,
        block: at.block,
      })),
    )
    const pushed = of('pushed').map((fact) => ({
      key: partitionKey(options.chainId, options.multiverse, fact),
      parent: fact.parent,
      question: fact.question,
      path: fact.path,
      questions: [...fact.path.map(({ question }) => question), fact.question],
      block: fact.at.block,
      index: fact.at.index,
      tx: fact.at.tx,
      seen_at: seenAt,
    }))
    const started = (await bulk(
      `insert into keeper.partitions
        (key, parent, question, path, questions, trigger_block, trigger_index, trigger_tx, seen_at, state)
      select distinct on (key) key, parent, question, path, questions, block, index, tx, seen_at, 'running'
      from jsonb_to_recordset($1::jsonb) as fact
        (key text, parent text, question text, path jsonb, questions jsonb, block int, index int, tx text,
        seen_at double precision)
      order by key, block, index
      on conflict (key) do update set
        trigger_block = excluded.trigger_block, trigger_index = excluded.trigger_index,
        trigger_tx = excluded.trigger_tx, seen_at = excluded.seen_at,
        state = case partitions.state when 'cancelled' then 'running' else partitions.state end,
        waiting = null
      where partitions.trigger_block is null
      returning key, parent, question, trigger_tx, trigger_block`,
      pushed,
    )) as { key: string; parent: Hex; question: Hex; trigger_tx: Hex; trigger_block: number }[]
    // What was decided before it was seen needs no worlds any more.
    const late = await bulk(
      `update keeper.partitions partition set state = 'resolved'
      from keeper.questions question
      where partition.key in (select key from jsonb_to_recordset($1::jsonb) as fact (key text))
        and question.id = partition.question and question.resolved_block is not null
        and not exists (select 1 from keeper.steps where steps.partition = partition.key)
      returning partition.key`,
      started.map(({ key }) => ({ key })),
    )
    await bulk(
      `update keeper.partitions partition set report_tx = fact.tx, report_block = fact.block
      from jsonb_to_recordset($1::jsonb) as fact (key text, tx text, block int)
      where partition.key = fact.key`,
      of('reported').map((fact) => ({
        key: partitionKey(options.chainId, options.multiverse, fact),
        tx: fact.at.tx,
        block: fact.at.block,
      })),
    )
    const isLate = new Set(late.map(({ key }) => key))
    for (const { key, parent, question, trigger_tx, trigger_block } of started) {
      if (isLate.has(key)) continue
      woken.partition.add(key)
      events.push({
        kind: 'partition.started',
        parent,
        question,
        triggerTx: trigger_tx,
        triggerBlock: trigger_block,
      })
    }
    for (const { key } of revived) woken.partition.add(key)
  }

  /** Forgets what stood in blocks above `ancestor`. What it was the ground for is looked at again. */
  async function takeBack({ query }: Transact, ancestor: number, woken: Woken): Promise<void> {
    await query(`delete from keeper.blocks where number > $1`, [ancestor])
    await query(`delete from keeper.spec_uris where block > $1`, [ancestor])
    await query(`update keeper.questions set asked_block = null where asked_block > $1`, [ancestor])
    await query(
      `update keeper.txs set state = 'signed', block = null, block_hash = null where block > $1`,
      [ancestor],
    )
    const lost = await query<{ key: string }>(
      `update keeper.partitions set trigger_block = null where trigger_block > $1 returning key`,
      [ancestor],
    )
    const unreported = await query<{ key: string }>(
      `select key from keeper.partitions where report_block > $1`,
      [ancestor],
    )
    const unanswered = await query<{ key: string }>(
      `select question as key from keeper.answers where block > $1`,
      [ancestor],
    )
    const reopened = await query<{ key: string }>(
      `update keeper.questions set resolved_block = null, winner = null, is_expired = null
      where resolved_block > $1 returning id as key`,
      [ancestor],
    )
    const unmerged = await query<{ key: string }>(
      `with affected as (
        update keeper.partitions set state = 'running' where state = 'resolved' and exists (
          select 1 from jsonb_to_recordset($1::jsonb) as question (key text) where questions ? question.key
        ) returning key
      ), undone as (
        delete from keeper.steps where name = 'merge' and partition in (select key from affected)
      )
      select key from affected`,
      [JSON.stringify(reopened)],
    )
    for (const { key } of [...lost, ...unmerged]) woken.partition.add(key)
    await unmine({ query }, unreported, unanswered, woken)
    settled = { block: Math.min(settled.block, ancestor), time: -1 }
  }

  /** Wakes all that is not waiting for the chain: after a start, and when the endpoint is back. */
  async function wakeOpen(): Promise<void> {
    const open = await db.transaction(async (tx) => {
      const partitions = await tx.query<{ key: string }>(
        `select key from keeper.partitions where state in ('running', 'waiting', 'declined') and wait_block is null`,
      )
      const answers = await tx.query<{ key: string }>(
        `select question as key from keeper.answers where state = 'wanted' and wait_block is null`,
      )
      for (const [name, rows] of [
        ['partition', partitions],
        ['answer', answers],
      ] as const)
        await queue.add(
          tx,
          name,
          rows.map(({ key }) => key),
        )
      return { partitions: partitions.length, answers: answers.length }
    })
    queue.wake('partition', open.partitions)
    queue.wake('answer', open.answers)
  }

  /** Wakes what waited for this head, and cancels what did not come again after it was taken back. */
  async function reachHead(
    { query }: Transact,
    { window }: Extract<Change, { kind: 'blocks' }>,
    woken: Woken,
    events: JournalEvent[],
  ): Promise<void> {
    const head = window.at(-1)!
    const deep = head.number - confirmations
    const time = window.findLast(({ number }) => number <= deep)?.timestamp ?? -1
    const lost = await query<{ key: string; parent: Hex; question: Hex }>(
      `with lost as (
        update keeper.partitions set state = 'cancelled', error = null, waiting = null, wait_block = null
        where trigger_block is null and state <> 'cancelled' returning key, parent, question
      ), undone as (
        delete from keeper.steps where partition in (select key from lost)
      ), forgotten as (
        delete from keeper.failures where queue = 'partition' and key in (select key from lost)
      )
      select * from lost`,
    )
    for (const { key, parent, question } of lost) {
      woken.partition.add(key)
      const message = 'the push-down it began with was taken back by a reorganisation'
      events.push({ kind: 'partition.failed', parent, question, code: 'REORGED_OUT', message })
    }
    const due = await query<{ key: string }>(
      `update keeper.partitions set wait_block = null where wait_block <= $1 returning key`,
      [head.number],
    )
    const answers = await query<{ key: string }>(
      `update keeper.answers set wait_block = null where wait_block <= $1 returning question as key`,
      [head.number],
    )
    const decided = await query<{ key: string }>(
      `select id as key from keeper.questions
      where (resolved_block > $1 and resolved_block <= $2)
        or (resolved_block is null and deadline > $3 and deadline <= $4)`,
      [settled.block, deep, settled.time, time],
    )
    const affected =
      decided.length === 0
        ? []
        : await query<{ key: string }>(
            `select key from keeper.partitions where state in ('running', 'waiting', 'reported', 'answered') and exists (
              select 1 from jsonb_to_recordset($1::jsonb) as decided (key text) where questions ? decided.key
            )`,
            [JSON.stringify(decided)],
          )
    for (const { key } of [...due, ...affected]) woken.partition.add(key)
    for (const { key } of answers) woken.answer.add(key)
    // Before the commit: whoever decides in the next transaction must see this head.
    view = { head, deep, deepTime: time }
    settled = { block: deep, time }
  }

  return {
    apply,
    wakeOpen,
    view: () => view,
    window: () =>
      db
        .query<{ number: number; hash: Hex; parent_hash: Hex; timestamp: number | string }>(
          `select number, hash, parent_hash, timestamp from keeper.blocks order by number`,
        )
        .then((rows) =>
          rows.map(({ number, hash, parent_hash, timestamp }) => ({
            number,
            hash,
            parentHash: parent_hash,
            timestamp: Number(timestamp),
          })),
        ),
  }
}

type Woken = { partition: Set<string>; answer: Set<string> }

/** Stores the window's new blocks. */
async function remember(
  { query }: Transact,
  { blocks, window }: Extract<Change, { kind: 'blocks' }>,
  woken: Woken,
): Promise<void> {
  const headers = JSON.stringify(blocks.map(({ header }) => header))
  await query(
    `insert into keeper.blocks (number, hash, parent_hash, timestamp)
    select number, hash, "parentHash", timestamp from jsonb_to_recordset($1::jsonb) as header
      (number int, hash text, "parentHash" text, timestamp int8)
    on conflict (number) do update
      set hash = excluded.hash, parent_hash = excluded.parent_hash, timestamp = excluded.timestamp`,
    [headers],
  )
  await query(`delete from keeper.blocks where number < $1`, [window[0]?.number ?? 0])
  // A receipt may have come from a block that never became part of the chain that is followed.
  const undone = await query<{ purpose: string }>(
    `update keeper.txs set state = 'signed', block = null, block_hash = null
    from jsonb_to_recordset($1::jsonb) as header (number int, hash text)
    where txs.block = header.number and txs.block_hash <> header.hash returning purpose`,
    [headers],
  )
  if (undone.length === 0) return
  await unmine({ query }, keysFor(undone, 'report'), keysFor(undone, 'answer'), woken)
}

/** Reports and answers that are in no block any more are to be seen to again. */
async function unmine(
  { query }: Pick<Transact, 'query'>,
  reports: Keys,
  answers: Keys,
  woken: Woken,
): Promise<void> {
  await query(
    `with undone as (
      delete from keeper.steps where name in ('report', 'merge')
        and partition in (select key from jsonb_to_recordset($1::jsonb) as report (key text))
    )
    update keeper.partitions set report_block = null, report_tx = null, wait_block = null,
      state = case when state in ('failed', 'cancelled') then state else 'running' end
    where key in (select key from jsonb_to_recordset($1::jsonb) as report (key text))`,
    [JSON.stringify(reports)],
  )
  await query(
    `update keeper.answers set state = 'wanted', tx = null, block = null, wait_block = null
    where question in (select key from jsonb_to_recordset($1::jsonb) as answer (key text))`,
    [JSON.stringify(answers)],
  )
  for (const { key } of reports) woken.partition.add(key)
  for (const { key } of answers) woken.answer.add(key)
}

/** The partitions or questions that transactions were for. */
function keysFor(txs: { purpose: string }[], kind: 'report' | 'answer'): Keys {
  return txs
    .filter(({ purpose }) => purpose.startsWith(`${kind}:`))
    .map(({ purpose }) => ({ key: purpose.slice(kind.length + 1) }))
}
