import type { Change } from '../chain/follow.ts'
import type { Transact } from './database.ts'

/** Rows that jobs are about. */
export type Keys = { key: string }[]

/** The partitions and questions that a change concerns, to be looked at again. */
export type Woken = { partition: Set<string>; answer: Set<string> }

/** Forgets what stood in blocks above `ancestor`. What it was the ground for is looked at again. */
export async function takeBack({ query }: Transact, ancestor: number, woken: Woken): Promise<void> {
  await query(`delete from keeper.blocks where number > $1`, [ancestor])
  await query(`delete from keeper.spec_uris where block > $1`, [ancestor])
  await query(`update keeper.questions set asked_block = null where asked_block > $1`, [ancestor])
  await query(`${undoing(`where block > $1`)} select purposes from undone`, [ancestor])
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
}

/** Opens partitions anew that time alone had decided, when the chain's time went back before their deadlines. */
export async function undecide({ query }: Transact, time: number, woken: Woken): Promise<void> {
  const reopened = await query<{ key: string }>(
    `with undecided as (
      update keeper.partitions partition set state = 'running' from keeper.questions question
      where partition.state = 'resolved' and question.id = partition.question
        and question.resolved_block is null and question.deadline > $1
        and not exists (select 1 from keeper.questions ancestor where partition.questions ? ancestor.id
          and (ancestor.resolved_block is not null or ancestor.deadline <= $1))
      returning partition.key
    ), undone as (
      delete from keeper.steps where name = 'merge' and partition in (select key from undecided)
    )
    select key from undecided`,
    [time],
  )
  for (const { key } of reopened) woken.partition.add(key)
}

/** Stores the window's new blocks. Gives what transactions were for that are in none of them after all. */
export async function remember(
  { query }: Transact,
  { blocks, window }: Extract<Change, { kind: 'blocks' }>,
  woken: Woken,
): Promise<string[]> {
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
  const undone = await query<{ purposes: string[] }>(
    `${undoing(
      `from jsonb_to_recordset($1::jsonb) as header (number int, hash text)
      where txs.block = header.number and txs.block_hash <> header.hash`,
    )} select purposes from undone`,
    [headers],
  )
  if (undone.length > 0)
    await unmine({ query }, keysFor(undone, 'report'), keysFor(undone, 'answer'), woken)
  return undone.flatMap(({ purposes }) => purposes)
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

/**
 * Takes transactions as not mined any more. Those that had given way to them may be the ones that come back.
 */
const undoing = (which: string) => `with undone as (
    update keeper.txs set state = 'signed', block = null, block_hash = null, settled_at = null
    ${which} returning txs.purposes, txs.sender, txs.nonce
  ), revived as (
    update keeper.txs set state = 'signed', settled_at = null from undone
    where txs.sender = undone.sender and txs.nonce = undone.nonce and txs.state = 'replaced'
  )`

/**
 * Takes reports and answers, by their transactions' purposes, as not made: the chain has none of them.
 */
export async function disown(
  { query }: Transact,
  purposes: readonly string[],
  woken: Woken,
): Promise<void> {
  const rows = [{ purposes: [...purposes] }]
  await query(
    `${undoing(`where purposes ?| $1::text[] and state = 'mined'`)} select purposes from undone`,
    [purposes],
  )
  await unmine({ query }, keysFor(rows, 'report'), keysFor(rows, 'answer'), woken)
}

/** The partitions or questions that transactions were for. */
function keysFor(txs: { purposes: string[] }[], kind: 'report' | 'answer'): Keys {
  return txs
    .flatMap(({ purposes }) => purposes)
    .filter((purpose) => purpose.startsWith(`${kind}:`))
    .map((purpose) => ({ key: purpose.slice(kind.length + 1) }))
}
