import { MultiverseError } from '../../sdk/errors.ts'
import type { Database } from './database.ts'

/** Each a list of statements; its place is its version. Never edited once released: a change is a new one. */
const MIGRATIONS: readonly (readonly string[])[] = [
  [
    // One row: who this keeper is and which deployment its books are about.
    `create table keeper.identity (
      one boolean primary key default true check (one),
      keeper_id text not null,
      epoch int not null,
      deployment jsonb not null
    )`,
    `create table keeper.journal (
      seq int8 primary key,
      at timestamptz not null,
      event jsonb not null
    )`,
    `create table keeper.journal_head (one boolean primary key default true check (one), last int8 not null)`,
    `insert into keeper.journal_head (last) values (0)`,
    // The newest blocks taken in.
    `create table keeper.blocks (
      number int primary key,
      hash text not null,
      parent_hash text not null,
      timestamp int8 not null
    )`,
    // asked_block is null while the asking stands in no block of the chain, resolved_block likewise.
    `create table keeper.questions (
      id text primary key,
      oracle text not null,
      outcomes int not null,
      deadline double precision not null,
      spec_hash text not null,
      asked_block int,
      resolved_block int,
      winner int,
      is_expired boolean
    )`,
    `create index questions_resolved on keeper.questions (resolved_block)`,
    `create index questions_open on keeper.questions (deadline) where resolved_block is null`,
    `create table keeper.spec_uris (
      question text not null,
      block int not null,
      index int not null,
      uri text not null,
      primary key (question, block, index)
    )`,
    `create table keeper.specs (spec_hash text primary key, json text not null)`,
    // trigger_* is the push-down it began with; trigger_block is null when that stands in no block of the chain.
    // questions: those of the path and the partition's own.
    `create table keeper.partitions (
      key text primary key,
      parent text not null,
      question text not null,
      path jsonb not null,
      questions jsonb not null,
      trigger_block int,
      trigger_index int not null,
      trigger_tx text not null,
      seen_at double precision not null,
      state text not null,
      error jsonb,
      wait_block int,
      report_tx text,
      report_block int,
      timings jsonb not null default '{}'
    )`,
    `create index partitions_question on keeper.partitions (question)`,
    `create index partitions_questions on keeper.partitions using gin (questions)`,
    `create index partitions_trigger on keeper.partitions (trigger_block)`,
    `create index partitions_open on keeper.partitions (state)
      where state in ('running', 'reported', 'answered')`,
    // A step is intended before its effect and done after it, with what it came to.
    `create table keeper.steps (
      partition text not null references keeper.partitions (key) on delete cascade,
      name text not null,
      state text not null,
      attempt int not null,
      output jsonb,
      primary key (partition, name)
    )`,
    // Snapshots of verses' worlds after their program ran, made when a nested partition or the merge needs one.
    `create table keeper.verse_snapshots (
      partition text not null references keeper.partitions (key) on delete cascade,
      outcome int not null,
      snapshot_id text not null,
      primary key (partition, outcome)
    )`,
    // What the keeper is to answer as an oracle, and what became of it.
    `create table keeper.answers (
      question text primary key,
      outcome int not null,
      source text not null,
      state text not null,
      error jsonb,
      wait_block int,
      tx text,
      block int
    )`,
    // Signed transactions, stored before they are sent.
    `create table keeper.txs (
      hash text primary key,
      purpose text not null,
      sender text not null,
      nonce int not null,
      raw text not null,
      state text not null,
      block int,
      block_hash text,
      created_at timestamptz not null default now()
    )`,
    `create index txs_purpose on keeper.txs (purpose)`,
    `create index txs_pending on keeper.txs (sender, nonce) where state = 'signed'`,
    `create table keeper.nonces (sender text primary key, next int not null)`,
  ],
  [
    // Whose calls were for a verse: the trits of its lane.
    `create index journal_calls on keeper.journal ((event->>'verseId'))
      where event->>'kind' = 'provider.invoked'`,
    // What was reported before there were plans and verification ran in QuickJS, and was not verified.
    `insert into keeper.steps (partition, name, state, attempt, output)
      select e.partition, step.name, 'done', 1, case step.name when 'plan'
        then '{"primary": "quickjs", "generator": "quickjs", "optimizer": null, "verifier": "replay", "gf3Sum": 0, "debt": -1}'
        else e.output end
      from keeper.steps e
      join keeper.steps r on r.partition = e.partition and r.name = 'report' and r.state = 'done'
      cross join (values ('plan'), ('optimize'), ('verify')) as step (name)
      where e.name = 'execute' and e.state = 'done'`,
  ],
  [
    // Jobs that failed and come again, or with dead_at are given up on until somebody says what becomes of them.
    `create table keeper.failures (
      queue text not null,
      key text not null,
      class text not null,
      code text not null,
      message text not null,
      counts jsonb not null,
      first_at timestamptz not null,
      last_at timestamptz not null,
      next_at timestamptz,
      dead_at timestamptz,
      history jsonb not null default '[]',
      primary key (queue, key)
    )`,
    `create index failures_dead on keeper.failures (dead_at) where dead_at is not null`,
    // Why a partition in state waiting waits.
    `alter table keeper.partitions add column waiting jsonb`,
    `drop index keeper.partitions_open`,
    `create index partitions_open on keeper.partitions (state)
      where state in ('running', 'waiting', 'reported', 'answered')`,
    // What providers did for verses, by UTC day, in core-seconds. '' is no verse.
    `create table keeper.costs (
      day date not null,
      provider text not null,
      verse text not null,
      units double precision not null,
      calls int not null,
      primary key (day, provider, verse)
    )`,
    `create index costs_verse on keeper.costs (verse)`,
    `insert into keeper.costs
      select (at at time zone 'UTC')::date, event->>'providerId', coalesce(event->>'verseId', ''),
        sum((event->>'costUnits')::double precision), count(*)
      from keeper.journal where event->>'kind' = 'provider.invoked' group by 1, 2, 3`,
  ],
  [
    // Several transactions may be signed with one nonce, and one may be for several purposes. cost: wei, at most while it is
    // signed. number: the order of signing.
    `alter table keeper.txs
      add column number bigserial,
      add column purposes jsonb not null default '[]',
      add column kind text not null default 'call',
      add column head_block int,
      add column cost numeric,
      add column settled_at timestamptz`,
    `alter table keeper.txs rename column created_at to signed_at`,
    `update keeper.txs set purposes = jsonb_build_array(purpose),
      settled_at = case when state = 'signed' then null else signed_at end`,
    `drop index keeper.txs_purpose`,
    `alter table keeper.txs drop column purpose`,
    `create index txs_purposes on keeper.txs using gin (purposes)`,
    `create index txs_nonces on keeper.txs (sender, nonce)`,
    // Only to be locked: the next nonce follows from what was signed.
    `alter table keeper.nonces rename to senders`,
    `alter table keeper.senders drop column next`,
  ],
  [
    // Of the block that the push-down stands, or last stood, in.
    `alter table keeper.partitions add column trigger_hash text`,
  ],
  [
    // Questions that were pushed down into and whose answer is another's word. They rest until one of what is not null comes:
    // a block, a time of the chain in Unix seconds, or a partition that has run.
    `create table keeper.duties (
      question text primary key,
      kind text not null,
      state text not null default 'open',
      decision jsonb,
      reason jsonb,
      wake_block int,
      wake_time double precision,
      for_pipeline boolean not null default false
    )`,
    `create index duties_open on keeper.duties (wake_block, wake_time) where state = 'open'`,
    // Bonds, recorded before they are put up. Amounts are integers as text.
    `create table keeper.stakes (
      question text not null,
      bond numeric(78) not null,
      token text not null,
      outcome int not null,
      state text not null,
      primary key (question, bond)
    )`,
    `create index stakes_standing on keeper.stakes (token) where state = 'open'`,
    // What members of committees signed.
    `create table keeper.verdicts (
      question text not null,
      signer text not null,
      survivors text not null,
      signature text not null,
      primary key (question, signer)
    )`,
    // Who named the keeper a redeemer, and who no longer does: the last one counts.
    `create table keeper.redeemer_changes (
      block int not null,
      index int not null,
      owner text not null,
      allowed boolean not null,
      primary key (block, index)
    )`,
    // Batches of pull-ups for owners, recorded before they are sent.
    `create table keeper.redemptions (
      id int primary key generated always as identity,
      pulls jsonb not null,
      state text not null,
      error jsonb,
      tx text,
      block int,
      created_at timestamptz not null default now()
    )`,
  ],
  [
    // What was pushed down, and less what was pulled up.
    `create table keeper.flows (
      block int not null,
      index int not null,
      parent text not null,
      question text not null,
      token text not null,
      amount numeric not null,
      primary key (block, index)
    )`,
    `create index flows_partition on keeper.flows (parent, question)`,
  ],
  [
    // Every block asks what waited for it.
    `create index partitions_waiting on keeper.partitions (wait_block) where wait_block is not null`,
    `create index answers_waiting on keeper.answers (wait_block) where wait_block is not null`,
    `create index txs_block on keeper.txs (block) where block is not null`,
  ],
  [
    // What other keepers reported, in which block.
    `create table keeper.rivals (
      partition text not null,
      keeper text not null,
      block int not null,
      primary key (partition, keeper)
    )`,
  ],
]

/**
 * Brings the keeper's tables up to date.
 * @throws SCHEMA_TOO_NEW when a later program wrote them
 */
export async function migrate(db: Database): Promise<void> {
  await db.transaction(async ({ query }) => {
    // Two keepers may start on one server at the same moment.
    await query(`select pg_advisory_xact_lock(hashtext('keeper.migrations'))`)
    await query(`create schema if not exists keeper`)
    await query(`create table if not exists keeper.migrations (version int primary key)`)
    const [row] = await query<{ version: number }>(
      `select coalesce(max(version), 0)::int as version from keeper.migrations`,
    )
    const present = row?.version ?? 0
    if (present > MIGRATIONS.length)
      throw new MultiverseError(
        'SCHEMA_TOO_NEW',
        `the keeper's tables have version ${present}, this program knows ${MIGRATIONS.length}`,
      )
    for (const [index, statements] of MIGRATIONS.entries()) {
      if (index < present) continue
      for (const statement of statements) await query(statement)
      await query(`insert into keeper.migrations (version) values ($1)`, [index + 1])
    }
  })
}
