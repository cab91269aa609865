import type { Address, Hex } from 'viem'
import type { JournalEvent } from '../../sdk/journal.ts'
import type { Fact } from '../chain/facts.ts'
import { partitionKey } from '../jobs/key.ts'
import type { Transact } from './database.ts'
import type { Keys, Woken } from './undo.ts'

/** Whose partitions they are. */
export type Ledger = { chainId: number; multiverse: Address }

/** Stores what was read from blocks, with the partitions that begin with it. `seenAt` in Unix milliseconds. */
export async function storeFacts(
  tx: Transact,
  ledger: Ledger,
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
    key: partitionKey(ledger.chainId, ledger.multiverse, fact),
    parent: fact.parent,
    question: fact.question,
    path: fact.path,
    questions: [...fact.path.map(({ question }) => question), fact.question],
    block: fact.at.block,
    hash: fact.at.hash,
    index: fact.at.index,
    tx: fact.at.tx,
    seen_at: seenAt,
  }))
  const started = (await bulk(
    `insert into keeper.partitions
      (key, parent, question, path, questions, trigger_block, trigger_hash, trigger_index, trigger_tx, seen_at, state)
    select distinct on (key) key, parent, question, path, questions, block, hash, index, tx, seen_at, 'running'
    from jsonb_to_recordset($1::jsonb) as fact
      (key text, parent text, question text, path jsonb, questions jsonb, block int, hash text, index int, tx text,
      seen_at double precision)
    order by key, block, index
    on conflict (key) do update set
      trigger_block = excluded.trigger_block, trigger_hash = excluded.trigger_hash, trigger_index = excluded.trigger_index,
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
      key: partitionKey(ledger.chainId, ledger.multiverse, fact),
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
