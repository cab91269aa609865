import type { Address, Hex } from 'viem'
import type { JournalEvent } from '../../sdk/journal.ts'
import type { Change } from '../chain/follow.ts'
import type { Fact } from '../chain/facts.ts'
import type { Header, Window } from '../chain/window.ts'
import { partitionKey } from '../jobs/key.ts'
import type { Log } from '../log.ts'
import type { Database, Transact } from './database.ts'
import { storeFacts } from './facts.ts'
import type { Journal } from './journal.ts'
import type { Queue, QueueName } from './queue.ts'
import { remember, takeBack, undecide, type Woken } from './undo.ts'

/** How far the books have followed the chain. */
export type ChainView = {
  head: Header | null
  /** What waits for the head to be this block need not wait: the head, or less where the chain's own word on what is final counts. */
  reach: number
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

/** Jobs that follow from a change of the chain. */
export type Jobs = { name: QueueName; keys: string[] }[]

/**
 * Told of a change in the transaction that stores it. `ancestor` is null unless blocks above it were taken back; `undone` is what
 * transactions were for whose blocks never became part of the chain; `view` is null unless the chain was followed to its head.
 */
export type ChainListener = (
  tx: Transact,
  change: {
    facts: readonly Fact[]
    ancestor: number | null
    undone: readonly string[]
    view: ChainView | null
  },
) => Promise<Jobs>

export type ChainStoreOptions = {
  db: Database
  queue: Queue
  journal: Journal
  chainId: number
  multiverse: Address
  confirmations: number
  /** What else follows from changes. */
  listener?: ChainListener
  log: Log
}

/** The chain's side of the keeper's database. */
export function createChainStore(options: ChainStoreOptions): ChainStore {
  const { db, queue, journal, confirmations, listener = async () => [] } = options
  let view: ChainView = { head: null, reach: -1, deep: -1, deepTime: -1 }
  /** Deepest block and time up to which answers have been acted on in this process. */
  let settled = { block: -1, time: -1 }

  async function apply(change: Change): Promise<void> {
    const woken: Woken = { partition: new Set(), answer: new Set() }
    const events: JournalEvent[] = []
    const before = { view, settled }
    let others: Jobs = []
    try {
      others = await db.transaction((tx) => write(tx, change, woken, events))
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
    for (const { name, keys } of others) queue.wake(name, keys.length)
  }

  async function write(
    tx: Transact,
    change: Change,
    woken: Woken,
    events: JournalEvent[],
  ): Promise<Jobs> {
    if (change.kind === 'blocks' && change.ancestor !== null) {
      await takeBack(tx, change.ancestor, woken)
      settled = { block: Math.min(settled.block, change.ancestor), time: -1 }
    }
    const isHistory = change.kind === 'history'
    const facts = isHistory ? change.facts : change.blocks.flatMap(({ facts }) => facts)
    await storeFacts(tx, options, facts, isHistory ? Date.now() : change.seenAt, woken, events)
    let undone: string[] = []
    if (!isHistory) {
      undone = await remember(tx, change, woken)
      if (change.isHead) await reachHead(tx, change, woken, events)
    }
    await queue.add(tx, 'partition', [...woken.partition])
    await queue.add(tx, 'answer', [...woken.answer])
    const isHead = !isHistory && change.isHead
    const ancestor = isHistory ? null : change.ancestor
    const others = await listener(tx, { facts, ancestor, undone, view: isHead ? view : null })
    for (const { name, keys } of others) await queue.add(tx, name, keys)
    await journal.append(tx, events)
    return others
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
    tx: Transact,
    { window, final, ancestor }: Extract<Change, { kind: 'blocks' }>,
    woken: Woken,
    events: JournalEvent[],
  ): Promise<void> {
    const { query } = tx
    const head = window.at(-1)!
    const reach = final === null ? head.number : Math.min(head.number, final + confirmations)
    const deep = reach - confirmations
    const time = window.findLast(({ number }) => number <= deep)?.timestamp ?? -1
    if (ancestor !== null) await undecide(tx, time, woken)
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
      [reach],
    )
    const answers = await query<{ key: string }>(
      `update keeper.answers set wait_block = null where wait_block <= $1 returning question as key`,
      [reach],
    )
    // From the open partitions, not from what was decided: at a start that is all there ever was.
    const affected = await query<{ key: string }>(
      `select p.key from keeper.partitions p
      where p.state in ('running', 'waiting', 'reported', 'answered') and exists (
        select 1 from jsonb_array_elements_text(p.questions) as own (id) join keeper.questions q on q.id = own.id
        where (q.resolved_block > $1 and q.resolved_block <= $2)
          or (q.resolved_block is null and q.deadline > $3 and q.deadline <= $4)
      )`,
      [settled.block, deep, settled.time, time],
    )
    for (const { key } of [...due, ...affected]) woken.partition.add(key)
    for (const { key } of answers) woken.answer.add(key)
    // Before the commit: whoever decides in the next transaction must see this head.
    view = { head, reach, deep, deepTime: time }
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
