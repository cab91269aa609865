import { errorFields, type Log } from '../../log.ts'
import type { Providers } from '../../providers.ts'
import type { KeyedLock } from '../lock.ts'
import type { Living, LiveWorld } from './living.ts'

/** Worlds that came true and are kept, of which only the newest live. */
export type Parking = {
  /** Takes in a world whose snapshot is stored. The one that has been here longest is ended for it when there are too many. */
  add: (world: LiveWorld) => void
}

/** Each takes some hundred kilobytes; one that is ended lives on in its snapshot, and is branched from it when it is needed. */
const MAX_LIVE = 256

export function createParking({
  providers,
  living,
  locked,
  log,
  max = MAX_LIVE,
}: {
  providers: Pick<Providers, 'worlds'>
  living: Pick<Living, 'of' | 'drop'>
  locked: KeyedLock
  log: Log
  max?: number
}): Parking {
  const kept: LiveWorld[] = []

  async function park(world: LiveWorld): Promise<void> {
    const { partition, outcome, provider, instanceId } = world
    // It may have ended, or been made again, by now.
    if (outcome === null || living.of(partition).verses.get(outcome) !== world) return
    await providers.worlds(provider).destroy(instanceId)
    living.drop(world)
    log.debug({ partition, world: world.entityId }, 'world.parked')
  }

  return {
    add(world) {
      kept.push(world)
      const oldest = kept.length > max ? kept.shift() : undefined
      if (oldest === undefined) return
      // Not waited for: whoever adds one holds the lock of another partition.
      locked(oldest.partition, () => park(oldest)).catch((error: unknown) =>
        log.warn({ world: oldest.entityId, ...errorFields(error) }, 'world.unparked'),
      )
    },
  }
}
