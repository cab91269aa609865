import type { Hex } from 'viem'
import type { Instance } from '../../../providers/provider.ts'
import { isMultiverseError, MultiverseError } from '../../../sdk/errors.ts'
import { childVerse, removeAnswer, verseId } from '../../../sdk/ids.ts'
import { COMPONENT } from '../../introductions.ts'
import type { Log } from '../../log.ts'
import type { Providers } from '../../providers.ts'
import type { PartitionRecord, PartitionStore, WorldOutcome } from '../../store/partitions.ts'
import type { Names } from '../key.ts'
import type { KeyedLock } from '../lock.ts'
import { failure, laneOf } from '../outcome.ts'
import type { Again } from '../program.ts'
import type { VerseIndex } from '../verses.ts'
import { snapshotted } from './events.ts'
import { type Executed, generatorOf, type LiveWorld, type Living } from './living.ts'
import { isGone, remaking, type Splits } from './splits.ts'

/** The worlds of verses after their programs have run, as what comes next goes on from them. */
export type Parents = {
  /** The partition that opened the parent verse first, and the answer to its question that the verse stands for. */
  findOpener: (record: PartitionRecord) => Promise<{ key: Hex; outcome: number }>
  /** An instance that continues from a verse's world as its program left it. @throws PARENT_WORLD_MISSING */
  branchVerse: (
    verse: { key: Hex; outcome: number },
    call: { key: string; component: string },
  ) => Promise<Instance>
  /** The generator of the parent verse's world, which has to go on there; null at ROOT, where there is none. */
  generatorOfParent: (record: PartitionRecord) => Promise<string | null>
  /** The snapshot of a verse's world as its program left it, made now if there is none. */
  snapshotVerse: (executed: Executed, outcome: number) => Promise<string>
  /** A verse's world, made again when a restart ended it. @throws WORLD_DIVERGED */
  liveVerse: (executed: Executed, outcome: number) => Promise<LiveWorld>
}

export type ParentsOptions = {
  providers: Providers
  verses: VerseIndex
  partitions: PartitionStore
  names: Names
  locked: KeyedLock
  living: Living
  splits: Splits
  /** Runs a verse's program in its world. */
  runIn: (world: LiveWorld, executed: Executed, again: Again) => Promise<WorldOutcome>
  /** Has a partition's worlds run, if they have not. To be called under its lock. */
  ensureExecuted: (key: Hex) => Promise<Executed>
  log: Log
}

export function createParents(options: ParentsOptions): Parents {
  const { providers, names, verses, partitions, locked, living, splits, log } = options

  async function findOpener({ path, parent }: PartitionRecord) {
    const openings = path.map((answer) => ({
      parent: verseId(removeAnswer(path, answer.question)),
      ...answer,
    }))
    const [opener] = await partitions.openers(openings)
    if (!opener) throw parentMissing(parent, 'no partition opened it')
    return opener
  }

  async function generatorOfParent(record: PartitionRecord): Promise<string | null> {
    if (record.path.length === 0) return null
    const { key, outcome } = await findOpener(record)
    return locked(key, async () => generatorOf((await executedParent(key, outcome)).record))
  }

  async function branchVerse(
    { key, outcome }: { key: Hex; outcome: number },
    call: { key: string; component: string },
  ): Promise<Instance> {
    return locked(key, async () => {
      const executed = await executedParent(key, outcome)
      const provider = splits.providerOf(executed.record)
      const [instance] = await remaking(
        async () => provider.branch(await snapshotVerse(executed, outcome), 1, call),
        () => partitions.setVerseSnapshot(key, outcome, null, []),
        log,
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

  async function liveVerse(executed: Executed, outcome: number): Promise<LiveWorld> {
    const { key, parent, question } = executed.record
    const present = living.of(key).verses.get(outcome)
    if (present) return present
    const call = splits.again('restore')
    const kept = await partitions.verseSnapshot(key, outcome)
    if (kept !== null) {
      const as = { key: `${key}:${call}`, component: COMPONENT }
      verses.expect(as.key, [childVerse(parent, question.id, outcome)])
      try {
        const [instance] = await splits.providerOf(executed.record).branch(kept, 1, as)
        return living.putVerse(executed, outcome, instance!.id)
      } catch (error) {
        if (!isGone(error)) throw error
        await partitions.setVerseSnapshot(key, outcome, null, [])
      }
    }
    return redo(executed, outcome, call)
  }

  /** Has a verse's program run once more, as it did the first time, to have its world back. */
  async function redo(executed: Executed, outcome: number, call: string): Promise<LiveWorld> {
    const [instance] = await splits.branchSplit(executed, [outcome], call)
    const world = living.putVerse(executed, outcome, instance!.id)
    const lane = laneOf(executed.record, outcome)
    const again = await options.runIn(world, executed, {
      parameters: lane?.optimized?.parameters,
      answers: lane?.calls ?? [],
    })
    const expected = lane?.stateRoot
    if (again.stateRoot === expected) return world
    await living.end(world, 'collapsed')
    const before = `world ${world.entityId} ended in ${expected} before`
    // A machine that is busy now may have been too slow for it.
    if (again.error)
      throw new MultiverseError(again.error.code, `${before}: ${again.error.message}`, {
        isRetryable: true,
      })
    throw new MultiverseError('WORLD_DIVERGED', `${before}, now in ${again.stateRoot}`)
  }

  return { findOpener, branchVerse, generatorOfParent, snapshotVerse, liveVerse }
}

function parentMissing(what: string, why: string): MultiverseError {
  return new MultiverseError('PARENT_WORLD_MISSING', `the parent ${what} has no world: ${why}`)
}
