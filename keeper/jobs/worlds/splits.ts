import type { Instance, WorldRuntimeProvider } from '../../../providers/provider.ts'
import { isMultiverseError, MultiverseError } from '../../../sdk/errors.ts'
import { childVerse, ROOT } from '../../../sdk/ids.ts'
import type { JournalEvent } from '../../../sdk/journal.ts'
import type { Spec } from '../../../sdk/spec.ts'
import { COMPONENT } from '../../introductions.ts'
import { errorFields, type Log } from '../../log.ts'
import type { Providers } from '../../providers.ts'
import type { PartitionRecord, StepOutputs } from '../../store/partitions.ts'
import type { Names } from '../key.ts'
import type { VerseIndex } from '../verses.ts'
import { created, kindOf, snapshotted } from './events.ts'
import { type Executed, generatorOf, type Living } from './living.ts'
import type { Parents } from './parents.ts'

/** What an action with worlds came to, and what there is to tell of it. */
export type Told<T> = T & { events: JournalEvent[] }

/** The world that a partition splits: how it is made, snapshotted and branched, and made again when its snapshot is lost. */
export type Splits = {
  /** Makes the world to split. `attempt` distinguishes it from what a crash may have left at the provider. */
  makeBase: (
    record: PartitionRecord,
    spec: Spec,
    attempt: number | string,
  ) => Promise<Told<StepOutputs['base']>>
  /** Runs the setup in it and snapshots it. @throws the program's fault, when the setup fails */
  snapshotBase: (
    record: PartitionRecord,
    spec: Spec,
  ) => Promise<Told<StepOutputs['snapshot'] & { snapshotMs: number }>>
  /** Branches a world for each of some outcomes from the snapshot. */
  branchSplit: (
    executed: Executed,
    outcomes: readonly number[],
    call: string,
  ) => Promise<Instance[]>
  /** Uses the snapshot that a partition's worlds were branched from, which is made again when it is lost. */
  withSplit: <T>(executed: Executed, use: (snapshotId: string) => Promise<T>) => Promise<T>
  providerOf: (record: PartitionRecord) => WorldRuntimeProvider
  /** A new name for an instance that is made again, told apart from those that an earlier process left at the provider. */
  again: (what: string) => string
}

export type SplitsOptions = {
  providers: Providers
  verses: VerseIndex
  names: Names
  living: Living
  /** Who finds and continues the worlds of parent verses; they are split from splits themselves. */
  parents: () => Parents
  log: Log
}

export function createSplits(options: SplitsOptions): Splits {
  const { providers, names, verses, living, log } = options
  const process = crypto.randomUUID().slice(0, 8)
  let remade = 0
  const component = COMPONENT
  const again = (what: string) => `${what}:${process}:${++remade}`
  const providerOf = (record: PartitionRecord) => {
    const origin = record.steps.plan?.output?.origin
    const generator = generatorOf(record)
    return origin ? providers.worldsAt(generator, origin) : providers.worlds(generator)
  }

  async function makeBase(record: PartitionRecord, spec: Spec, attempt: number | string) {
    const { key, path, parent } = record
    const provider = providerOf(record)
    const call = { key: `${key}:base:${attempt}`, component }
    const verse = parent === ROOT ? null : parent
    const earlier = living.of(key).base
    if (earlier) await living.end(earlier, 'collapsed')
    // A process that was killed may have left one at the provider.
    const left = record.steps.base?.output?.instanceId
    if (left !== undefined && left !== earlier?.instanceId) await provider.destroy(left)
    verses.expect(call.key, [verse])
    const opener = path.length > 0 ? await options.parents().findOpener(record) : null
    const instance = opener
      ? await options.parents().branchVerse(opener, call)
      : await provider.create({ ...call, seed: BigInt(spec.seed) })
    const world = living.putBase(record, verse, instance.id)
    const parentId = opener ? names.world(opener.key, opener.outcome) : null
    return {
      instanceId: instance.id,
      snapshotId: instance.snapshotId,
      events: [created(world, instance, kindOf(instance), parentId, null)],
    }
  }

  async function snapshotBase(record: PartitionRecord, spec: Spec) {
    const provider = providerOf(record)
    const { base } = living.of(record.key)
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
      await living.end(base, 'collapsed')
      throw error
    }
  }

  function branchSplit(executed: Executed, outcomes: readonly number[], call: string) {
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
        await makeBase(record, spec, again('remake'))
        const remadeSnapshot = await snapshotBase(record, spec)
        const { base } = living.of(key)
        if (base) await living.end(base, 'snapshotted')
        if (remadeSnapshot.snapshotId !== snapshot.snapshotId)
          throw new MultiverseError(
            'WORLD_DIVERGED',
            `the world split by ${key} is ${remadeSnapshot.snapshotId}, before it was ${snapshot.snapshotId}`,
          )
      },
      log,
    )
  }

  return { makeBase, snapshotBase, branchSplit, withSplit, providerOf, again }
}

/** Tries again once, after `remake`, when the provider has lost a snapshot. */
export async function remaking<T>(
  use: () => Promise<T>,
  remake: () => Promise<unknown>,
  log: Log,
): Promise<T> {
  try {
    return await use()
  } catch (error) {
    if (!isGone(error)) throw error
    log.warn(errorFields(error), 'snapshot.lost')
    await remake()
    return use()
  }
}

/** Snapshots may be lost with the provider's folder; what made them is not. */
export function isGone(error: unknown): boolean {
  return (
    isMultiverseError(error, 'UNKNOWN_SNAPSHOT') || isMultiverseError(error, 'SNAPSHOT_CORRUPT')
  )
}
