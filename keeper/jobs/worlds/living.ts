import type { Hex } from 'viem'
import { childVerse } from '../../../sdk/ids.ts'
import type { JournalEvent } from '../../../sdk/journal.ts'
import type { Spec } from '../../../sdk/spec.ts'
import { MultiverseError } from '../../../sdk/errors.ts'
import type { Providers } from '../../providers.ts'
import type { PartitionRecord } from '../../store/partitions.ts'
import type { Names } from '../key.ts'
import type { VerseIndex } from '../verses.ts'
import { resolved } from './events.ts'

/** A world that lives in this process. Its entity id is for ever; the instance it lives in is not. */
export type LiveWorld = {
  entityId: string
  provider: string
  instanceId: string
  partition: Hex
  /** Null for the world that is split. */
  outcome: number | null
  verseId: Hex | null
  name: string | null
}

/** A partition whose worlds have run; once it is verified, all of them that are left can be relied on. */
export type Executed = { record: PartitionRecord; spec: Spec }

/** The worlds of one partition that live here. */
export type LiveWorlds = {
  base: LiveWorld | null
  /** By outcome. */
  verses: Map<number, LiveWorld>
  /** Whether the verses' programs have begun in them. */
  hasRun: boolean
  /** Whether what is left is the winner, kept by this process. */
  isMerged: boolean
}

/** Which worlds live in this process, and how they come to be known and end. */
export type Living = {
  of: (key: Hex) => LiveWorlds
  live: (key: Hex) => { base: boolean; verses: boolean; any: boolean }
  list: () => LiveWorld[]
  putBase: (record: PartitionRecord, verseId: Hex | null, instanceId: string) => LiveWorld
  putVerse: (executed: Executed, outcome: number, instanceId: string) => LiveWorld
  /** Ends a world at its provider. */
  end: (world: LiveWorld, state: 'collapsed' | 'snapshotted') => Promise<JournalEvent>
  /** Takes a world that its provider has ended already out of the books. */
  drop: (world: LiveWorld) => void
  /** Ends whatever of a partition lives. */
  release: (key: Hex) => Promise<JournalEvent[]>
}

export type LivingOptions = { providers: Providers; names: Names; verses: VerseIndex }

export function createLiving({ providers, names, verses }: LivingOptions): Living {
  const living = new Map<Hex, LiveWorlds>()

  function of(key: Hex): LiveWorlds {
    let all = living.get(key)
    if (!all)
      living.set(key, (all = { base: null, verses: new Map(), hasRun: false, isMerged: false }))
    return all
  }

  function drop({ partition, outcome, instanceId }: LiveWorld): void {
    verses.remove(instanceId)
    const all = of(partition)
    if (outcome === null) all.base = null
    else all.verses.delete(outcome)
  }

  async function end(world: LiveWorld, state: 'collapsed' | 'snapshotted') {
    await providers.worlds(world.provider).destroy(world.instanceId)
    drop(world)
    return resolved(world.entityId, state)
  }

  return {
    of,
    drop,
    end,
    live: (key) => {
      const all = living.get(key)
      if (!all) return { base: false, verses: false, any: false }
      const hasVerses = all.verses.size > 0
      return {
        base: all.base !== null,
        verses: hasVerses && !all.hasRun,
        any: all.base !== null || hasVerses,
      }
    },
    list: () =>
      [...living.values()].flatMap(({ base, verses: each }) => [
        ...(base ? [base] : []),
        ...each.values(),
      ]),
    putBase: (record, verseId, instanceId) => {
      const { key } = record
      const world: LiveWorld = {
        entityId: names.world(key, null),
        provider: generatorOf(record),
        instanceId,
        partition: key,
        outcome: null,
        verseId,
        name: null,
      }
      of(key).base = world
      verses.put(instanceId, verseId)
      return world
    },
    putVerse: ({ record, spec }, outcome, instanceId) => {
      const { key, parent, question } = record
      const verseId = childVerse(parent, question.id, outcome)
      const world: LiveWorld = {
        entityId: names.world(key, outcome),
        provider: generatorOf(record),
        instanceId,
        partition: key,
        outcome,
        verseId,
        name: spec.verses[outcome]!.name,
      }
      of(key).verses.set(outcome, world)
      verses.put(instanceId, verseId)
      return world
    },
    release: async (key) => {
      const { base, verses: each } = of(key)
      const events: JournalEvent[] = []
      for (const world of [...(base ? [base] : []), ...each.values()])
        events.push(await end(world, 'collapsed'))
      living.delete(key)
      return events
    },
  }
}

/** The backend that a partition's worlds live in. @throws NO_PLAN */
export function generatorOf({ key, steps }: PartitionRecord): string {
  const generator = steps.plan?.output?.generator
  if (generator === undefined)
    throw new MultiverseError('NO_PLAN', `partition ${key} has no providers yet`)
  return generator
}
