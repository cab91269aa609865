import type { Hex } from 'viem'
import type { Instance, WorldRuntimeProvider } from '../../providers/provider.ts'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import { childVerse, removeAnswer, ROOT, verseId } from '../../sdk/ids.ts'
import type { JournalEvent } from '../../sdk/journal.ts'
import type { Spec } from '../../sdk/spec.ts'
import { errorFields, type Log } from '../log.ts'
import { COMPONENT } from '../introductions.ts'
import type { Providers } from '../providers.ts'
import type {
  PartitionRecord,
  PartitionStore,
  StepOutputs,
  WorldOutcome,
} from '../store/partitions.ts'
import type { Names } from './key.ts'
import type { KeyedLock } from './lock.ts'
import { failure, laneOf } from './outcome.ts'
import { type Again, runVerse } from './program.ts'
import type { VerseIndex } from './verses.ts'
import { created, resolved, snapshotted } from './worldEvents.ts'

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

/** What an action with worlds came to, and what there is to tell of it. */
type Told<T> = T & { events: JournalEvent[] }

/**
 * The worlds of partitions, each in a provider's instance; all can be made again from what is stored. Actions on one
 * partition are to be called under its lock.
 */
export type Worlds = {
  live(key: Hex): { base: boolean; verses: boolean; any: boolean }
  list(): LiveWorld[]
  /** Makes the world to split. `attempt` distinguishes it from what a crash may have left at the provider. */
  makeBase(record: PartitionRecord, spec: Spec, attempt: number): Promise<Told<StepOutputs['base']>>
  /** Runs the setup in it and snapshots it. @throws the program's fault, when the setup fails */
  snapshotBase(
    record: PartitionRecord,
    spec: Spec,
  ): Promise<Told<StepOutputs['snapshot'] & { snapshotMs: number }>>
  branch(
    record: PartitionRecord,
    spec: Spec,
    attempt: number,
  ): Promise<Told<StepOutputs['branch'] & { branchMs: number }>>
  execute(
    record: PartitionRecord,
    spec: Spec,
  ): Promise<Told<StepOutputs['execute'] & { executeMs: number }>>
  /** The generator of the parent verse's world, which has to go on there; null at ROOT, where there is none. */
  generatorOfParent(record: PartitionRecord): Promise<string | null>
  /** Uses the snapshot that a partition's worlds were branched from, which is made again when it is lost. */
  withSplit<T>(executed: Executed, use: (snapshotId: string) => Promise<T>): Promise<T>
  /**
   * Has a verse's program run once more in a world of its own, with parameters that an optimiser chose. That world takes the
   * place of the verse's when it costs less, and is ended when not. Gives what the verse's world came to then.
   */
  rerun(executed: Executed, lane: WorldOutcome, parameters: number[]): Promise<WorldOutcome>
  /** Ends a verse's world: it is not to be relied on. */
  expel(record: PartitionRecord, outcome: number): Promise<JournalEvent[]>
  /** Keeps the world of `winner` as its parent's continuation and ends the others; null ends all. */
  merge(executed: Executed, winner: number | null): Promise<Told<{ snapshotId: string | null }>>
  /** Ends whatever of a partition lives. */
  release(key: Hex): Promise<JournalEvent[]>
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

type Living = { base: LiveWorld | null; verses: Map<number, LiveWorld>; hasRun: boolean }

export function createWorlds(options: WorldsOptions): Worlds {
  const { providers, names, verses, partitions, locked, log } = options
  const living = new Map<Hex, Living>()
  /** Tells instances that are made again apart from those that an earlier process left at the provider. */
  const process = crypto.randomUUID().slice(0, 8)
  let remade = 0

  const component = COMPONENT
  const providerOf = (record: PartitionRecord): WorldRuntimeProvider =>
    providers.worlds(generatorOf(record))

  function of(key: Hex): Living {
    let all = living.get(key)
    if (!all) living.set(key, (all = { base: null, verses: new Map(), hasRun: false }))
    return all
  }

  function putVerse({ record, spec }: Executed, outcome: number, instanceId: string): LiveWorld {
    const { key, parent, question } = record
    const world = {
      entityId: names.world(key, outcome),
      provider: generatorOf(record),
      instanceId,
      partition: key,
      outcome,
      verseId: childVerse(parent, question.id, outcome),
      name: spec.verses[outcome]!.name,
    }
    of(key).verses.set(outcome, world)
    verses.put(instanceId, world.verseId)
    return world
  }

  async function makeBase(record: PartitionRecord, spec: Spec, attempt: number | string) {
    const { key, path, parent } = record
    const provider = providerOf(record)
    const call = { key: `${key}:base:${attempt}`, component }
    const verse = parent === ROOT ? null : parent
    const earlier = of(key).base
    if (earlier) await end(key, earlier, 'collapsed')
    // A process that was killed may have left one at the provider.
    const left = record.steps.base?.output?.instanceId
    if (left !== undefined && left !== earlier?.instanceId) await provider.destroy(left)
    verses.expect(call.key, [verse])
    const origin = path.length > 0 ? await findOpener(record) : null
    const instance = origin
      ? await branchVerse(origin, call)
      : await provider.create({ ...call, seed: BigInt(spec.seed) })
    const world = {
      entityId: names.world(key, null),
      provider: provider.id,
      instanceId: instance.id,
      partition: key,
      outcome: null,
      verseId: verse,
      name: null,
    }
    verses.put(instance.id, verse)
    of(key).base = world
    const parentId = origin ? names.world(origin.key, origin.outcome) : null
    return {
      instanceId: instance.id,
      snapshotId: instance.snapshotId,
      events: [created(world, instance, 'sandbox', parentId, null)],
    }
  }

  async function snapshotBase(record: PartitionRecord, spec: Spec) {
    const provider = providerOf(record)
    const base = of(record.key).base
    if (!base) throw new MultiverseError('UNKNOWN_INSTANCE', `no world to split for ${record.key}`)
    try {
      if (spec.setup !== '') await provider.execute(base.instanceId, spec.setup, { component })
      const begun = performance.now()
      const snapshot = await provider.snapshot(base.instanceId)
      return {
        snapshotId: snapshot.id,
        stateRoot: snapshot.stateRoot,
        snapshotMs: performance.now() - begun,
        events: [snapshotted(base.entityId, snapshot)],
      }
    } catch (error) {
      // The setup may have run, and must not run twice in one world.
      await end(record.key, base, 'collapsed')
      throw error
    }
  }

  async function branch(record: PartitionRecord, spec: Spec, attempt: number) {
    const { key, steps } = record
    const all = of(key)
    // What a process that was killed has left may have run already.
    for (const id of steps.branch?.output?.instanceIds ?? []) await providerOf(record).destroy(id)
    for (const world of all.verses.values()) await end(key, world, 'collapsed')
    const begun = performance.now()
    const instances = await branchSplit(
      { record, spec },
      [...spec.verses.keys()],
      `branch:${attempt}`,
    )
    const branchMs = performance.now() - begun
    all.hasRun = false
    const children = instances.map(({ id }, outcome) => putVerse({ record, spec }, outcome, id))
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
    const all = of(record.key)
    const verses = [...all.verses.values()]
    all.hasRun = true
    const begun = performance.now()
    const runs = await Promise.allSettled(
      verses.map((world) => providers.turn(() => runIn(world, spec))),
    )
    const executeMs = performance.now() - begun
    const events: JournalEvent[] = []
    const worlds: WorldOutcome[] = []
    for (const run of runs) {
      if (run.status === 'rejected') {
        // Not the program's fault: all of them begin anew from the snapshot.
        await release(record.key)
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
      else events.push(await end(record.key, world, 'collapsed'))
    }
    // The world that was split lives on in its snapshot.
    if (all.base) events.push(await end(record.key, all.base, 'snapshotted'))
    return { worlds, executeMs, events }
  }

  function runIn(
    { provider, instanceId, outcome, entityId }: LiveWorld,
    spec: Spec,
    again?: Again,
  ): Promise<WorldOutcome> {
    if (outcome === null) throw new Error(`${entityId} is split, and runs no program`)
    return runVerse(providers.worlds(provider), instanceId, spec, outcome, again)
  }

  async function generatorOfParent(record: PartitionRecord): Promise<string | null> {
    if (record.path.length === 0) return null
    const { key, outcome } = await findOpener(record)
    return locked(key, async () => generatorOf((await executedParent(key, outcome)).record))
  }

  async function rerun(executed: Executed, lane: WorldOutcome, parameters: number[]) {
    const { record, spec } = executed
    const { outcome } = lane
    const call = `optimized:${process}:${++remade}`
    const [instance] = await branchSplit(executed, [outcome], call)
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
    const all = of(record.key)
    const earlier = all.verses.get(outcome)
    if (earlier) await end(record.key, earlier, 'collapsed')
    all.hasRun = true
    putVerse(executed, outcome, instanceId)
    return { ...run, optimized: { parameters, ownCost: lane.cost! } }
  }

  async function expel({ key }: PartitionRecord, outcome: number) {
    const world = of(key).verses.get(outcome)
    return world ? [await end(key, world, 'collapsed')] : []
  }

  async function merge(executed: Executed, winner: number | null) {
    const { record, spec } = executed
    const ran = [...spec.verses.keys()].filter((verse) => laneOf(record, verse)?.stateRoot)
    let snapshotId: string | null = null
    if (winner !== null && ran.includes(winner)) {
      snapshotId = await snapshotVerse(executed, winner)
      const kept = await liveVerse(executed, winner)
      const all = of(record.key)
      const others = [...all.verses.values()].filter((world) => world !== kept)
      await providerOf(record).merge(
        [kept, ...others].map((world) => world.instanceId),
        { winner: kept.instanceId },
      )
      for (const world of others) {
        all.verses.delete(world.outcome!)
        verses.remove(world.instanceId)
      }
    } else {
      await release(record.key)
    }
    // Those that a restart ended collapse as well.
    const events = ran.map((outcome) =>
      resolved(names.world(record.key, outcome), outcome === winner ? 'running' : 'collapsed'),
    )
    return { snapshotId, events }
  }

  async function release(key: Hex): Promise<JournalEvent[]> {
    const all = of(key)
    const events: JournalEvent[] = []
    for (const world of [...(all.base ? [all.base] : []), ...all.verses.values()])
      events.push(await end(key, world, 'collapsed'))
    living.delete(key)
    return events
  }

  async function end(key: Hex, world: LiveWorld, state: 'collapsed' | 'snapshotted') {
    await providers.worlds(world.provider).destroy(world.instanceId)
    verses.remove(world.instanceId)
    const all = of(key)
    if (world.outcome === null) all.base = null
    else all.verses.delete(world.outcome)
    return resolved(world.entityId, state)
  }

  /** The partition that opened the parent verse first, and the answer to its question that the verse stands for. */
  async function findOpener({ path, parent }: PartitionRecord) {
    const openings = path.map((answer) => ({
      parent: verseId(removeAnswer(path, answer.question)),
      ...answer,
    }))
    const [opener] = await partitions.openers(openings)
    if (!opener) throw parentMissing(parent, 'no partition opened it')
    return opener
  }

  /** An instance that continues from a verse's world as its program left it. */
  async function branchVerse(
    { key, outcome }: { key: Hex; outcome: number },
    call: { key: string; component: string },
  ): Promise<Instance> {
    return locked(key, async () => {
      const executed = await executedParent(key, outcome)
      const provider = providerOf(executed.record)
      const [instance] = await remaking(
        async () => provider.branch(await snapshotVerse(executed, outcome), 1, call),
        () => partitions.setVerseSnapshot(key, outcome, null, []),
      )
      return instance!
    })
  }

  /** A partition one of whose verses is to be split, with that verse's world known to have run. To be called under its lock. */
  async function executedParent(key: Hex, outcome: number): Promise<Executed> {
    const entityId = names.world(key, outcome)
    let executed: Executed
    try {
      executed = await options.ensureExecuted(key)
    } catch (error) {
      if (isMultiverseError(error) && error.isRetryable) throw error
      throw parentMissing(entityId, failure(error).message)
    }
    const lane = laneOf(executed.record, outcome)
    if (!lane?.stateRoot)
      throw parentMissing(
        entityId,
        lane?.error?.message ?? 'its program did not run to the end, or it is void',
      )
    return executed
  }

  /** The snapshot of a verse's world as its program left it, made now if there is none. */
  async function snapshotVerse(executed: Executed, outcome: number): Promise<string> {
    const { key } = executed.record
    const kept = await partitions.verseSnapshot(key, outcome)
    if (kept !== null) return kept
    const world = await liveVerse(executed, outcome)
    const snapshot = await providers.worlds(world.provider).snapshot(world.instanceId)
    const events = [snapshotted(world.entityId, snapshot)]
    await partitions.setVerseSnapshot(key, outcome, snapshot.id, events)
    return snapshot.id
  }

  /** A verse's world, made again when a restart ended it. */
  async function liveVerse(executed: Executed, outcome: number): Promise<LiveWorld> {
    const { key, parent, question } = executed.record
    const present = of(key).verses.get(outcome)
    if (present) return present
    const call = `restore:${process}:${++remade}`
    const kept = await partitions.verseSnapshot(key, outcome)
    if (kept !== null) {
      const as = { key: `${key}:${call}`, component }
      verses.expect(as.key, [childVerse(parent, question.id, outcome)])
      try {
        const [instance] = await providerOf(executed.record).branch(kept, 1, as)
        return putVerse(executed, outcome, instance!.id)
      } catch (error) {
        if (!isGone(error)) throw error
        await partitions.setVerseSnapshot(key, outcome, null, [])
      }
    }
    const [instance] = await branchSplit(executed, [outcome], call)
    const world = putVerse(executed, outcome, instance!.id)
    const lane = laneOf(executed.record, outcome)
    const again = await runIn(world, executed.spec, {
      parameters: lane?.optimized?.parameters,
      answers: lane?.calls ?? [],
    })
    const expected = lane?.stateRoot
    if (again.stateRoot === expected) return world
    await end(key, world, 'collapsed')
    const before = `world ${world.entityId} ended in ${expected} before`
    // A machine that is busy now may have been too slow for it.
    if (again.error)
      throw new MultiverseError(again.error.code, `${before}: ${again.error.message}`, {
        isRetryable: true,
      })
    throw new MultiverseError('WORLD_DIVERGED', `${before}, now in ${again.stateRoot}`)
  }

  /** Branches from the snapshot of the world that was split. */
  function branchSplit(
    executed: Executed,
    outcomes: readonly number[],
    call: string,
  ): Promise<Instance[]> {
    const { key, parent, question } = executed.record
    const as = { key: `${key}:${call}`, component }
    verses.expect(
      as.key,
      outcomes.map((outcome) => childVerse(parent, question.id, outcome)),
    )
    const provider = providerOf(executed.record)
    return withSplit(executed, (snapshotId) => provider.branch(snapshotId, outcomes.length, as))
  }

  function withSplit<T>(
    { record, spec }: Executed,
    use: (snapshotId: string) => Promise<T>,
  ): Promise<T> {
    const { key, steps } = record
    const snapshot = steps.snapshot?.output
    if (!snapshot) throw new MultiverseError('UNKNOWN_SNAPSHOT', `no snapshot of ${key} yet`)
    return remaking(
      () => use(snapshot.snapshotId),
      async () => {
        await makeBase(record, spec, `remake:${process}:${++remade}`)
        const again = await snapshotBase(record, spec)
        if (of(key).base) await end(key, of(key).base!, 'snapshotted')
        if (again.snapshotId !== snapshot.snapshotId)
          throw new MultiverseError(
            'WORLD_DIVERGED',
            `the world split by ${key} is ${again.snapshotId}, before it was ${snapshot.snapshotId}`,
          )
      },
    )
  }

  /** Tries again once, after `remake`, when the provider has lost a snapshot. */
  async function remaking<T>(use: () => Promise<T>, remake: () => Promise<unknown>): Promise<T> {
    try {
      return await use()
    } catch (error) {
      if (!isGone(error)) throw error
      log.warn(errorFields(error), 'snapshot.lost')
      await remake()
      return use()
    }
  }

  return {
    live(key) {
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
      [...living.values()].flatMap(({ base, verses }) => [
        ...(base ? [base] : []),
        ...verses.values(),
      ]),
    makeBase,
    snapshotBase,
    branch,
    execute,
    generatorOfParent,
    withSplit,
    rerun,
    expel,
    merge,
    release,
  }
}

/** The backend that a partition's worlds live in. */
export function generatorOf({ key, steps }: PartitionRecord): string {
  const generator = steps.plan?.output?.generator
  if (generator === undefined)
    throw new MultiverseError('NO_PLAN', `partition ${key} has no providers yet`)
  return generator
}

/** Snapshots may be lost with the provider's folder; what made them is not. */
function isGone(error: unknown): boolean {
  return (
    isMultiverseError(error, 'UNKNOWN_SNAPSHOT') || isMultiverseError(error, 'SNAPSHOT_CORRUPT')
  )
}

function parentMissing(what: string, why: string): MultiverseError {
  return new MultiverseError('PARENT_WORLD_MISSING', `the parent ${what} has no world: ${why}`)
}
