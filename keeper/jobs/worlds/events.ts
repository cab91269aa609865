import type { Instance, Snapshot } from '../../../providers/provider.ts'
import type { JournalEvent } from '../../../sdk/journal.ts'
import type { LiveWorld } from './living.ts'

/** The journal's event of a world that is there. */
export function created(
  { entityId, verseId, name }: Pick<LiveWorld, 'entityId' | 'verseId' | 'name'>,
  { providerId, snapshotId, bootMs, isWarm }: Instance,
  entityType: 'microvm' | 'sandbox' | 'verse',
  parentId: string | null,
  trit: -1 | 0 | 1 | null,
): JournalEvent {
  return {
    kind: 'world.created',
    entityId,
    entityType,
    providerId,
    parentId,
    snapshotId,
    verseId,
    name,
    trit,
    memoryMib: null,
    vcpuCount: null,
    bootTimeMs: bootMs,
    start: isWarm === true ? 'warm' : 'cold',
  }
}

/** What the seeds call a world that is no verse: a machine where it is one. */
export function kindOf({ providerId }: Pick<Instance, 'providerId'>): 'microvm' | 'sandbox' {
  return providerId === 'microvm' ? 'microvm' : 'sandbox'
}

/** The journal's event of a snapshot of a world. */
export function snapshotted(entityId: string, { id, tookMs, bytes }: Snapshot): JournalEvent {
  return {
    kind: 'world.snapshotted',
    entityId,
    snapshotId: id,
    snapshotTimeMs: tookMs,
    memoryOverheadMb: bytes / 2 ** 20,
  }
}

/** The journal's event of what became of a world. */
export function resolved(
  entityId: string,
  state: 'running' | 'snapshotted' | 'collapsed',
): JournalEvent {
  return { kind: 'world.resolved', entityId, state }
}
