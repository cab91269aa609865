import type { Hex } from 'viem'
import type { Fact } from '../chain/facts.ts'
import { partitionKey } from '../jobs/key.ts'
import type { Database } from './database.ts'
import type { Queue } from './queue.ts'
import { disown, type Woken } from './undo.ts'

/** A transaction that the books take for mined, by what it was to bring about. */
export type Phantom = { purpose: string; tx: Hex }

/** What is out of step in the books, and how it is put right. */
export type Discrepancies = {
  /** Adds jobs for open work that nobody would come back to. Gives how many there were. */
  wakeForgotten(at: { head: number; deep: number; deepTime: number }): Promise<number>
  /** The partitions of these that nothing may live for: ended ones, and ones that the books do not know. */
  lifeless(keys: readonly Hex[]): Promise<{ key: Hex; isKnown: boolean }[]>
  /** Those of these that are resolved, where another keeper on the same books may have kept their winner's world. */
  resolvedAnywhere(keys: readonly Hex[]): Promise<Hex[]>
  /** Has jobs let go of what lives for these partitions. */
  wake(keys: readonly Hex[]): Promise<void>
  /** Reports and answers that the books have in a range of blocks, and that are not among its facts. */
  phantoms(facts: readonly Fact[], from: number, to: number): Promise<Phantom[]>
  /** Has what the chain does not have made again. */
  disown(phantoms: readonly Phantom[]): Promise<void>
  /** The facts of these that the books lack. */
  missing(facts: readonly Fact[]): Promise<Fact[]>
}

/** Partitions and answers that are open, wait for nothing, and have no job. */
const FORGOTTEN = `
  with busy as (
    select name, singleton_key as key from pgboss.job where name in ('partition', 'answer')
      and state in ('created', 'retry', 'active')
  )
  select 'partition' as queue, p.key from keeper.partitions p
  join keeper.questions q on q.id = p.question
  where (
      (p.state = 'running' and (p.wait_block is null or p.wait_block <= $1))
      or (p.state = 'waiting' and p.waiting->>'reason' = 'budget')
      or (p.state in ('reported', 'answered')
        and (p.wait_block <= $1 or q.resolved_block <= $2 or (q.resolved_block is null and q.deadline <= $3)))
    )
    and not exists (select 1 from busy where busy.name = 'partition' and busy.key = p.key)
  union all
  select 'answer', a.question from keeper.answers a
  where a.state = 'wanted' and (a.wait_block is null or a.wait_block <= $1)
    and not exists (select 1 from busy where busy.name = 'answer' and busy.key = a.question)`

export function createDiscrepancies(options: {
  db: Database
  queue: Queue
  chainId: number
  multiverse: Hex
}): Discrepancies {
  const { db, queue } = options
  const keyOf = (of: { parent: Hex; question: Hex }) =>
    partitionKey(options.chainId, options.multiverse, of)

  async function known(
    table: 'partitions' | 'questions',
    column: string,
    ids: readonly Hex[],
    and: string,
  ) {
    const rows = await db.query<{ id: Hex }>(
      `select ${column} as id from keeper.${table} where ${column} = any($1) and ${and}`,
      [ids],
    )
    return new Set(rows.map(({ id }) => id))
  }

  return {
    async wakeForgotten({ head, deep, deepTime }) {
      const forgotten = await db.transaction(async (tx) => {
        const rows = await tx.query<{ queue: 'partition' | 'answer'; key: string }>(FORGOTTEN, [
          head,
          deep,
          deepTime,
        ])
        for (const name of ['partition', 'answer'] as const) {
          const keys = rows.filter((row) => row.queue === name).map(({ key }) => key)
          await queue.add(tx, name, keys)
        }
        return rows
      })
      for (const { queue: name } of forgotten) queue.wake(name, 1)
      return forgotten.length
    },
    async lifeless(keys) {
      if (keys.length === 0) return []
      const rows = await db.query<{ key: Hex; state: string }>(
        `select key, state from keeper.partitions where key = any($1)`,
        [keys],
      )
      const states = new Map(rows.map(({ key, state }) => [key, state]))
      return keys
        .filter((key) => ENDED.includes(states.get(key) ?? 'unknown'))
        .map((key) => ({ key, isKnown: states.has(key) }))
    },
    async resolvedAnywhere(keys) {
      if (db.isSole || keys.length === 0) return []
      const rows = await db.query<{ key: Hex }>(
        `select key from keeper.partitions where key = any($1) and state = 'resolved'`,
        [keys],
      )
      return rows.map(({ key }) => key)
    },
    async wake(keys) {
      await db.transaction((tx) => queue.add(tx, 'partition', keys))
      queue.wake('partition', keys.length)
    },
    async phantoms(facts, from, to) {
      const reports = facts.flatMap((fact) => (fact.kind === 'reported' ? [keyOf(fact)] : []))
      const answers = facts.flatMap((fact) => (fact.kind === 'resolved' ? [fact.question] : []))
      return db.query<Phantom>(
        `select 'report:' || key as purpose, report_tx as tx from keeper.partitions
        where report_block between $1 and $2 and report_tx is not null and key <> all($3)
        union all
        select 'answer:' || question, tx from keeper.answers
        where block between $1 and $2 and state = 'mined' and tx is not null and question <> all($4)`,
        [from, to, reports, answers],
      )
    },
    async disown(phantoms) {
      const woken: Woken = { partition: new Set(), answer: new Set() }
      await db.transaction(async (tx) => {
        await disown(
          tx,
          phantoms.map(({ purpose }) => purpose),
          woken,
        )
        await queue.add(tx, 'partition', [...woken.partition])
        await queue.add(tx, 'answer', [...woken.answer])
      })
      queue.wake('partition', woken.partition.size)
      queue.wake('answer', woken.answer.size)
    },
    async missing(facts) {
      const of = <K extends Fact['kind']>(kind: K) =>
        facts.filter((fact): fact is Extract<Fact, { kind: K }> => fact.kind === kind)
      const pushed = of('pushed').map(keyOf)
      const reported = of('reported').map(keyOf)
      const inBooks = {
        asked: await known(
          'questions',
          'id',
          of('asked').map(({ question }) => question),
          'asked_block is not null',
        ),
        resolved: await known(
          'questions',
          'id',
          of('resolved').map(({ question }) => question),
          'resolved_block is not null',
        ),
        pushed: await known('partitions', 'key', pushed, 'trigger_block is not null'),
        reported: await known('partitions', 'key', reported, 'report_block is not null'),
      }
      return facts.filter((fact) => {
        if (fact.kind === 'asked' || fact.kind === 'resolved')
          return !inBooks[fact.kind].has(fact.question)
        if (fact.kind === 'pushed' || fact.kind === 'reported')
          return !inBooks[fact.kind].has(keyOf(fact))
        // Where a spec is said to be goes along with the asking. Of the rest the jobs ask the chain itself.
        return fact.kind === 'published' && !inBooks.asked.has(fact.question)
      })
    },
  }
}

/** States in which nothing lives for a partition. */
const ENDED = ['cancelled', 'failed', 'declined', 'unknown']
