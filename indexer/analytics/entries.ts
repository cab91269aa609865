import type { JournalEntry, JournalEvent } from '../../sdk/journal.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import type { Transaction } from './database.ts'
import { refreshSpectra } from './spectra.ts'
import { fillExtractedWev } from './wev.ts'

// What becomes of a journal's entries. An entry and the cursor that passes it are written together, and every entry can be
// written twice.

/** Writes consecutive entries of one epoch of one keeper, and that they were read. */
export async function writeEntries(
  tx: Transaction,
  entries: readonly JournalEntry[],
): Promise<void> {
  const last = entries.at(-1)
  if (last === undefined) return
  const { keeperId, epoch, seq } = last
  // In their order: a rebuild reads them again as they came. ON CONFLICT would shuffle them.
  await tx.run(
    `INSERT INTO journal SELECT $1, $2, r.seq, r.at, r.kind, r.event
     FROM (SELECT unnest(from_json($3::JSON,
       '[{"seq":"UBIGINT","at":"TIMESTAMP","kind":"VARCHAR","event":"JSON"}]')) AS r)
     WHERE NOT EXISTS (FROM journal j WHERE j.keeper_id = $1 AND j.epoch = $2 AND j.seq = r.seq)
     ORDER BY r.seq`,
    [keeperId, epoch, JSON.stringify(entries.map((entry) => journalRow(entry)))],
  )
  for (const entry of entries) await apply(tx, entry)
  const branched = entries.flatMap(({ event }) =>
    event.kind === 'world.branched' ? [event.parentEntityId] : [],
  )
  if (branched.length > 0) await refreshSpectra(tx, branched)
  if (entries.some(({ event }) => event.kind === 'partition.resolved')) await fillExtractedWev(tx)
  await tx.run(
    `INSERT INTO keepers VALUES ($1, $2, $3)
     ON CONFLICT (keeper_id) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq`,
    [keeperId, epoch, seq],
  )
}

function journalRow({ seq, at, event }: JournalEntry) {
  return { seq, at: timestamp(at), kind: event.kind, event }
}

/** Writes one entry into the seeds' tables. Later entries about the same thing win; the same entry again changes nothing. */
async function apply(tx: Transaction, entry: JournalEntry): Promise<void> {
  const { event } = entry
  const at = timestamp(entry.at)
  switch (event.kind) {
    case 'provider.registered':
      return tx.run(
        `INSERT INTO runtime_providers VALUES ($1, $2, $3, $4, $5, $6, $7, $8::TIMESTAMP)
         ON CONFLICT (provider_id) DO UPDATE SET
           name = excluded.name, trit = excluded.trit, capabilities = excluded.capabilities,
           api_endpoint = excluded.api_endpoint, auth_method = excluded.auth_method, status = excluded.status`,
        [
          event.providerId,
          event.name,
          event.trit,
          JSON.stringify(event.capabilities),
          event.apiEndpoint,
          event.authMethod,
          event.status,
          at,
        ],
      )
    case 'provider.invoked':
      await needProvider(tx, event.providerId)
      return tx.run(
        `INSERT INTO provider_invocations VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::TIMESTAMP)
         ON CONFLICT DO NOTHING`,
        [
          event.invocationId,
          event.providerId,
          event.operation,
          event.verseId,
          JSON.stringify(event.input),
          JSON.stringify(event.error === null ? event.output : { error: event.error }),
          event.latencyMs,
          event.costUnits,
          at,
        ],
      )
    case 'link.put':
      await needProvider(tx, event.targetProvider)
      return tx.run(
        'INSERT INTO provider_links VALUES ($1, $2, $3, $4, $5::TIMESTAMP) ON CONFLICT DO NOTHING',
        [
          linkId(entry.keeperId, event.linkId),
          event.sourceComponent,
          event.targetProvider,
          JSON.stringify(event.linkConfig),
          at,
        ],
      )
    case 'link.deleted':
      return tx.run('DELETE FROM provider_links WHERE link_id = $1', [
        linkId(entry.keeperId, event.linkId),
      ])
    case 'world.created':
      return createWorld(tx, entry.keeperId, event, metricId(entry), at)
    case 'world.snapshotted':
      await needEntity(tx, event.entityId, at)
      await tx.run(
        "UPDATE world_runtime_entities SET state = 'snapshotted', snapshot_id = $2 WHERE entity_id = $1",
        [event.entityId, event.snapshotId],
      )
      return measure(tx, metricId(entry), event.entityId, at, {
        snapshot: event.snapshotTimeMs,
        memory: event.memoryOverheadMb,
      })
    case 'world.branched':
      await needEntity(tx, event.parentEntityId, at)
      await tx.run(
        `INSERT INTO world_branches
         VALUES ($1, $2, from_json($3::JSON, '["VARCHAR"]'), $4, $5, $6, $7::TIMESTAMP) ON CONFLICT DO NOTHING`,
        [
          event.branchId,
          event.parentEntityId,
          JSON.stringify(event.childEntityIds),
          event.branchType,
          event.snapshotTimeMs,
          event.gf3Sum,
          at,
        ],
      )
      return measure(tx, metricId(entry), event.parentEntityId, at, {
        snapshot: event.snapshotTimeMs,
        branch: event.branchTimeMs,
      })
    case 'world.executed':
      return tx.run(
        `INSERT INTO worlds (entity_id, keeper_id, verse, state_root, cost, execute_time_ms)
         VALUES ($1, $2, $3, $4, $5::HUGEINT, $6)
         ON CONFLICT (entity_id) DO UPDATE SET
           verse = coalesce(excluded.verse, verse), state_root = excluded.state_root, cost = excluded.cost,
           execute_time_ms = excluded.execute_time_ms`,
        [
          event.entityId,
          entry.keeperId,
          event.verseId,
          event.stateRoot,
          event.cost,
          event.executeTimeMs,
        ],
      )
    case 'world.resolved':
      await needEntity(tx, event.entityId, at)
      // A parent that is frozen is not resolved: it may go on.
      return tx.run(
        `UPDATE world_runtime_entities SET state = $2,
           resolved_at = CASE WHEN $2 = 'snapshotted' THEN resolved_at ELSE $3::TIMESTAMP END
         WHERE entity_id = $1`,
        [event.entityId, event.state, at],
      )
    case 'wev.measured':
      return measuredWev(tx, event, at)
    case 'partition.resolved':
      await tx.run('INSERT INTO resolutions VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING', [
        event.resolutionId,
        entry.keeperId,
        event.parent,
        event.question,
        event.blockNumber,
      ])
      return tx.run(
        `INSERT INTO verse_resolutions (resolution_id, verses, winning_verse, oracle_source, pull_up_time_ms, resolved_at)
         VALUES ($1, from_json($2::JSON, '["VARCHAR"]'), $3, $4, $5, $6::TIMESTAMP) ON CONFLICT DO NOTHING`,
        [
          event.resolutionId,
          JSON.stringify(event.verses),
          event.winningVerse,
          event.oracleSource,
          event.pullUpTimeMs,
          at,
        ],
      )
    // The journal table itself has these, and the chain the rest.
    case 'partition.started':
    case 'partition.reported':
    case 'partition.failed':
    case 'pipeline.completed':
    case 'question.answered':
      return
    default:
      throw new MultiverseError(
        'JOURNAL_INVALID',
        `unknown entry ${JSON.stringify(event satisfies never)}`,
      )
  }
}

type EventOf<K extends JournalEvent['kind']> = Extract<JournalEvent, { kind: K }>

async function createWorld(
  tx: Transaction,
  keeperId: string,
  event: EventOf<'world.created'>,
  metric: string,
  at: string,
): Promise<void> {
  await tx.run(
    `INSERT INTO world_runtime_entities
     VALUES ($1, $2, $3, $4, $5, 'running', $6, $7, $8, $9::TIMESTAMP, NULL)
     ON CONFLICT (entity_id) DO UPDATE SET
       entity_type = excluded.entity_type, parent_id = excluded.parent_id, trit = excluded.trit,
       snapshot_id = coalesce(snapshot_id, excluded.snapshot_id), memory_mib = excluded.memory_mib,
       vcpu_count = excluded.vcpu_count, boot_time_ms = excluded.boot_time_ms, created_at = excluded.created_at`,
    [
      event.entityId,
      event.entityType,
      event.parentId,
      event.snapshotId,
      event.trit,
      event.memoryMib === null ? null : Math.round(event.memoryMib),
      event.vcpuCount,
      event.bootTimeMs,
      at,
    ],
  )
  await tx.run(
    `INSERT INTO worlds (entity_id, keeper_id, provider_id, verse, name) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (entity_id) DO UPDATE SET
       provider_id = excluded.provider_id, verse = coalesce(verse, excluded.verse), name = excluded.name`,
    [event.entityId, keeperId, event.providerId, event.verseId, event.name],
  )
  await measure(tx, metric, event.entityId, at, { boot: event.bootTimeMs })
}

/** Prediction error and free energy are the seeds' own: 1/gap and 1/gap + 0.1, with 1/gap = price of anarchy - 1. */
function measuredWev(tx: Transaction, event: EventOf<'wev.measured'>, at: string): Promise<void> {
  const price = fixed(event.priceOfAnarchy)
  const wev = fixed(event.wevRatio)
  return tx.run(
    `INSERT INTO world_extractable_value VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL, $10::TIMESTAMP)
     ON CONFLICT DO NOTHING`,
    [
      event.wevId,
      event.seedHex,
      event.worldFrom,
      event.worldTo,
      price,
      wev === null ? null : wev + 0.1,
      wev,
      wev,
      wev === null ? null : wev > 0.5 ? 'perceptual_inference' : 'active_inference',
      at,
    ],
  )
}

type Measured = { boot?: number; snapshot?: number; branch?: number; memory?: number }

function measure(
  tx: Transaction,
  id: string,
  entityId: string,
  at: string,
  { boot, snapshot, branch, memory }: Measured,
): Promise<void> {
  return tx.run(
    'INSERT INTO runtime_metrics VALUES ($1, $2, $3, $4, $5, $6, $7::TIMESTAMP) ON CONFLICT DO NOTHING',
    [id, entityId, boot ?? null, snapshot ?? null, branch ?? null, memory ?? null, at],
  )
}

/** A journal that began anew may speak of a provider registered before: the seeds' keys want a row for it. */
function needProvider(tx: Transaction, id: string): Promise<void> {
  return tx.run(
    `INSERT INTO runtime_providers (provider_id, name, status) VALUES ($1, $1, 'unknown') ON CONFLICT DO NOTHING`,
    [id],
  )
}

function needEntity(tx: Transaction, id: string, at: string): Promise<void> {
  return tx.run(
    `INSERT INTO world_runtime_entities (entity_id, entity_type, state, created_at)
     VALUES ($1, 'sandbox', 'unknown', $2::TIMESTAMP) ON CONFLICT DO NOTHING`,
    [id, at],
  )
}

/** Every keeper links its own component, by the same name. */
function linkId(keeperId: string, id: string): string {
  return `${keeperId}/${id}`
}

function metricId({ keeperId, epoch, seq }: JournalEntry): string {
  return `${keeperId}/${epoch}/${seq}`
}

/** ISO 8601 UTC as DuckDB reads a timestamp without a zone. */
function timestamp(iso: string): string {
  return new Date(iso).toISOString().replace('T', ' ').replace('Z', '')
}

/** 18-decimal fixed point as a number, for the seeds' FLOAT columns. */
function fixed(value: string | null): number | null {
  return value === null ? null : Number(value) / 1e18
}
