import type { Hex } from 'viem'
import type { JournalEvent } from '../../../sdk/journal.ts'
import type { Spec } from '../../../sdk/spec.ts'
import type { Log } from '../../log.ts'
import type { Providers } from '../../providers.ts'
import type {
  PartitionRecord,
  PartitionStore,
  StepOutputs,
  WorldOutcome,
} from '../../store/partitions.ts'
import type { Names } from '../key.ts'
import type { KeyedLock } from '../lock.ts'
import { laneOf } from '../outcome.ts'
import { type Again, runVerse } from '../program.ts'
import type { VerseIndex } from '../verses.ts'
import { created, resolved } from './events.ts'
import { createParking } from './parking.ts'
import { createLiving, type Executed, type LiveWorld, type Living } from './living.ts'
import { createParents, type Parents } from './parents.ts'
import { createSplits, type Splits, type Told } from './splits.ts'

/**
 * The worlds of partitions, each in a provider's instance; all can be made again from what is stored. Actions on one
 * partition are to be called under its lock.
 */
export type Worlds = Pick<Living, 'live' | 'list' | 'release'> &
  Pick<Splits, 'makeBase' | 'snapshotBase' | 'withSplit'> &
  Pick<Parents, 'generatorOfParent'> & {
    /** Whether a partition's winner was kept by this process, and not by another keeper on the same books. */
    isMerged: (key: Hex) => boolean
    branch: (
      record: PartitionRecord,
      spec: Spec,
      attempt: number,
    ) => Promise<Told<StepOutputs['branch'] & { branchMs: number }>>
    execute: (
      record: PartitionRecord,
      spec: Spec,
    ) => Promise<Told<StepOutputs['execute'] & { executeMs: number }>>
    /**
     * Has a verse's program run once more in a world of its own, with parameters that an optimiser chose. That world takes the
     * place of the verse's when it costs less, and is ended when not. Gives what the verse's world came to then.
     */
    rerun: (executed: Executed, lane: WorldOutcome, parameters: number[]) => Promise<WorldOutcome>
    /** Ends a verse's world: it is not to be relied on. */
    expel: (record: PartitionRecord, outcome: number) => Promise<JournalEvent[]>
    /** Keeps the world of `winner` as its parent's continuation and ends the others; null ends all. */
    merge: (
      executed: Executed,
      winner: number | null,
    ) => Promise<Told<{ snapshotId: string | null }>>
  }

export type WorldsOptions = {
  providers: Providers
  verses: VerseIndex
  partitions: PartitionStore
  names: Names
  locked: KeyedLock
  /** Has a partition's worlds run, if they have not. To be called under its lock. */
  ensureExecuted(key: Hex): Promise<Executed>
  log: Log
}

export function createWorlds(options: WorldsOptions): Worlds {
  const { providers, names } = options
  const living = createLiving(options)
  const splits = createSplits({ ...options, living, parents: () => parents })
  const parents: Parents = createParents({ ...options, living, splits, runIn })
  const { providerOf } = splits
  const parking = createParking({ ...options, living })

  async function branch(record: PartitionRecord, spec: Spec, attempt: number) {
    const { key, steps } = record
    const all = living.of(key)
    // What a process that was killed has left may have run already.
    for (const id of steps.branch?.output?.instanceIds ?? []) await providerOf(record).destroy(id)
    for (const world of all.verses.values()) await living.end(world, 'collapsed')
    const begun = performance.now()
    const executed = { record, spec }
    const outcomes = [...spec.verses.keys()]
    const instances = await splits.branchSplit(executed, outcomes, `branch:${attempt}`)
    const branchMs = performance.now() - begun
    all.hasRun = false
    const children = instances.map(({ id }, outcome) => living.putVerse(executed, outcome, id))
    const base = names.world(key, null)
    return {
      instanceIds: instances.map(({ id }) => id),
      branchMs,
      events: [
        ...children.map((world, outcome) =>
          created(world, instances[outcome]!, 'verse', base, spec.verses[outcome]!.trit),
        ),
        {
          kind: 'world.branched' as const,
          branchId: names.branch(key),
          parentEntityId: base,
          childEntityIds: children.map((world) => world.entityId),
          branchType: 'push_down' as const,
          snapshotTimeMs: record.timings.snapshotMs ?? 0,
          branchTimeMs: branchMs,
          gf3Sum: spec.verses.reduce((sum, { trit }) => sum + trit, 0),
        },
      ],
    }
  }

  async function execute(record: PartitionRecord, spec: Spec) {
    const all = living.of(record.key)
    const verses = [...all.verses.values()]
    all.hasRun = true
    const begun = performance.now()
    const runs = await Promise.allSettled(
      verses.map((world) => providers.turn(() => runIn(world, { record, spec }))),
    )
    const executeMs = performance.now() - begun
    const events: JournalEvent[] = []
    const worlds: WorldOutcome[] = []
    for (const run of runs) {
      if (run.status === 'rejected') {
        // Not the program's fault: all of them begin anew from the snapshot.
        await living.release(record.key)
        throw run.reason
      }
      worlds.push(run.value)
    }
    for (const world of verses) {
      const { stateRoot, cost, tookMs } = worlds[world.outcome!]!
      if (stateRoot !== null)
        events.push({
          kind: 'world.executed',
          entityId: world.entityId,
          verseId: world.verseId,
          stateRoot,
          cost,
          executeTimeMs: tookMs,
        })
      else events.push(await living.end(world, 'collapsed'))
    }
    // The world that was split lives on in its snapshot.
    if (all.base) events.push(await living.end(all.base, 'snapshotted'))
    return { worlds, executeMs, events }
  }

  function runIn(
    { provider, instanceId, outcome, entityId }: LiveWorld,
    { spec }: Executed,
    again?: Again,
  ): Promise<WorldOutcome> {
    if (outcome === null) throw new Error(`${entityId} is split, and runs no program`)
    return runVerse(providers.worlds(provider), instanceId, spec, outcome, again)
  }

  async function rerun(executed: Executed, lane: WorldOutcome, parameters: number[]) {
    const { record, spec } = executed
    const { outcome } = lane
    const [instance] = await splits.branchSplit(executed, [outcome], splits.again('optimized'))
    const instanceId = instance!.id
    const provider = providerOf(record)
    const discard = () => provider.destroy(instanceId)
    let run: WorldOutcome
    try {
      run = await runVerse(provider, instanceId, spec, outcome, { parameters })
    } catch (error) {
      await discard()
      throw error
    }
    if (run.cost === null || BigInt(run.cost) >= BigInt(lane.cost!)) {
      await discard()
      return lane
    }
    const all = living.of(record.key)
    const earlier = all.verses.get(outcome)
    if (earlier) await living.end(earlier, 'collapsed')
    all.hasRun = true
    living.putVerse(executed, outcome, instanceId)
    return { ...run, optimized: { parameters, ownCost: lane.cost! } }
  }

  async function merge(executed: Executed, winner: number | null) {
    const { record, spec } = executed
    const ran = [...spec.verses.keys()].filter((verse) => laneOf(record, verse)?.stateRoot)
    let snapshotId: string | null = null
    if (winner !== null && ran.includes(winner)) {
      snapshotId = await parents.snapshotVerse(executed, winner)
      const kept = await parents.liveVerse(executed, winner)
      const all = living.of(record.key)
      const others = [...all.verses.values()].filter((world) => world !== kept)
      await providerOf(record).merge(
        [kept, ...others].map((world) => world.instanceId),
        { winner: kept.instanceId },
      )
      for (const world of others) living.drop(world)
      all.isMerged = true
      parking.add(kept)
    } else {
      await living.release(record.key)
    }
    // Those that a restart ended collapse as well.
    const events = ran.map((outcome) =>
      resolved(names.world(record.key, outcome), outcome === winner ? 'running' : 'collapsed'),
    )
    return { snapshotId, events }
  }

  return {
    live: living.live,
    list: living.list,
    isMerged: (key) => living.of(key).isMerged,
    release: living.release,
    makeBase: splits.makeBase,
    snapshotBase: splits.snapshotBase,
    withSplit: splits.withSplit,
    generatorOfParent: parents.generatorOfParent,
    branch,
    execute,
    rerun,
    expel: async ({ key }, outcome) => {
      const world = living.of(key).verses.get(outcome)
      return world ? [await living.end(world, 'collapsed')] : []
    },
    merge,
  }
}
