import { type Hex, keccak256, toBytes } from 'viem'
import type { Instance, WorldRuntimeProvider } from '../../providers/provider.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import type { Names } from '../jobs/key.ts'
import type { VerseIndex } from '../jobs/verses.ts'
import { created, kindOf, resolved, snapshotted } from '../jobs/worlds/events.ts'
import { COMPONENT } from '../introductions.ts'
import type { Journal } from '../store/journal.ts'
import { gameOf } from './game.ts'

/** A world that somebody made by hand. Times in milliseconds. */
export type WorldView = { world: string; provider: string; name: string; bootMs: number }

export type SnapshotView = {
  world: string
  snapshot: string
  stateRoot: Hex
  bytes: number
  snapshotMs: number
}

export type BranchView = {
  branch: string
  parent: string
  snapshot: string
  snapshotMs: number
  branchMs: number
  children: (WorldView & { trit: number })[]
  gf3Sum: number
}

/** Worlds that belong to nobody's partition. They outlive the keeper as snapshots, and go on from there when used again. */
export type HandmadeWorlds = {
  /** A new world of a seed, with the default game set up in it. */
  create: (seed: number, provider?: string) => Promise<WorldView>
  /** @param world its name, or `latest` for the one that was made last. @throws UNKNOWN_WORLD */
  snapshot: (world: string) => Promise<SnapshotView>
  /** Branches a world into nash, optimal and chaos; it goes on itself. @throws UNKNOWN_WORLD */
  branch: (world: string) => Promise<BranchView>
}

type Live = { provider: WorldRuntimeProvider; instanceId: string; name: string }
type Remembered = { providerId: string; name: string; snapshotId: string | null }

/** What the worlds are called: their seed, and below it the verse that one was branched into. */
const nameOf = (seed: number, verse?: string) =>
  `world-${seed}${verse === undefined ? '' : `/${verse}`}`
const seedOf = (name: string) => Number(/^world-(\d+)/.exec(name)?.[1])

export function createHandmadeWorlds({
  generator,
  journal,
  names,
  verses,
}: {
  generator: (id?: string) => Promise<WorldRuntimeProvider>
  journal: Journal
  names: Names
  verses: VerseIndex
}): HandmadeWorlds & { park: () => Promise<void> } {
  const live = new Map<string, Live>()

  const newName = () => names.world(keccak256(toBytes(crypto.randomUUID())), null)

  function admit(provider: WorldRuntimeProvider, instance: Instance, name: string): string {
    const entityId = newName()
    live.set(entityId, { provider, instanceId: instance.id, name })
    verses.put(instance.id, null)
    return entityId
  }

  async function create(seed: number, id?: string): Promise<WorldView> {
    const provider = await generator(id)
    const { spec } = gameOf(seed, { id: provider.id, capabilities: provider.capabilities() })
    const instance = await provider.create({ seed: BigInt(seed), component: COMPONENT })
    await provider.execute(instance.id, spec.setup, { component: COMPONENT })
    const name = nameOf(seed)
    const world = admit(provider, instance, name)
    const verse = { entityId: world, verseId: null, name }
    journal.defer(created(verse, instance, kindOf(instance), null, 0))
    await journal.flush()
    return { world, provider: provider.id, name, bootMs: instance.bootMs }
  }

  /** The world, living: continued from its last snapshot when its keeper has ended since. */
  async function resume(asked: string): Promise<{ entityId: string } & Live> {
    const entityId = asked === 'latest' ? await latest() : asked
    const present = live.get(entityId)
    if (present) return { entityId, ...present }
    const kept = await remembered(entityId)
    if (!kept) throw unknownWorld(`there is no world ${entityId}`)
    const { providerId, snapshotId, name } = kept
    if (snapshotId === null)
      throw unknownWorld(`world ${entityId} ended with its keeper before it was snapshotted`)
    const provider = await generator(providerId)
    const [instance] = await provider.branch(snapshotId, 1, { component: COMPONENT })
    const found = { provider, instanceId: instance!.id, name }
    live.set(entityId, found)
    verses.put(instance!.id, null)
    journal.defer(resolved(entityId, 'running'))
    return { entityId, ...found }
  }

  async function latest(): Promise<string> {
    const found = await journal.latest('world.created', 'name', /^world-\d+$/)
    if (found?.kind !== 'world.created')
      throw unknownWorld('no world was made yet: world-runtime-create makes one')
    return found.entityId
  }

  async function remembered(entityId: string): Promise<Remembered | null> {
    const made = await journal.latest('world.created', 'entityId', exactly(entityId))
    if (made?.kind !== 'world.created' || !made.name?.startsWith('world-')) return null
    const kept = await journal.latest('world.snapshotted', 'entityId', exactly(entityId))
    const snapshotId = kept?.kind === 'world.snapshotted' ? kept.snapshotId : made.snapshotId
    return { providerId: made.providerId, name: made.name, snapshotId }
  }

  async function take({ entityId, provider, instanceId }: { entityId: string } & Live) {
    const snapshot = await provider.snapshot(instanceId)
    journal.defer(snapshotted(entityId, snapshot))
    return snapshot
  }

  async function snapshot(asked: string): Promise<SnapshotView> {
    const world = await resume(asked)
    const { id, stateRoot, bytes, tookMs } = await take(world)
    const { entityId } = world
    journal.defer({
      kind: 'world.branched',
      branchId: names.branch(keccak256(toBytes(crypto.randomUUID()))),
      parentEntityId: entityId,
      childEntityIds: [],
      branchType: 'snapshot',
      snapshotTimeMs: tookMs,
      branchTimeMs: 0,
      gf3Sum: 0,
    })
    journal.defer(resolved(entityId, 'running'))
    await journal.flush()
    return { world: entityId, snapshot: id, stateRoot, bytes, snapshotMs: tookMs }
  }

  async function branch(asked: string): Promise<BranchView> {
    const world = await resume(asked)
    const { entityId: parent, provider, name } = world
    const seed = seedOf(name)
    const { spec } = gameOf(seed, { id: provider.id, capabilities: provider.capabilities() })
    const taken = await take(world)
    const begun = performance.now()
    const instances = await provider.branch(taken.id, spec.verses.length, { component: COMPONENT })
    const branchMs = performance.now() - begun
    const children = instances.map((instance, outcome) => {
      const verse = spec.verses[outcome]!
      const name = nameOf(seed, verse.name)
      const child = admit(provider, instance, name)
      journal.defer(
        created({ entityId: child, verseId: null, name }, instance, 'verse', parent, verse.trit),
      )
      return {
        world: child,
        provider: provider.id,
        name,
        bootMs: instance.bootMs,
        trit: verse.trit,
      }
    })
    const branchId = names.branch(keccak256(toBytes(crypto.randomUUID())))
    const gf3Sum = children.reduce((sum, { trit }) => sum + trit, 0)
    journal.defer({
      kind: 'world.branched',
      branchId,
      parentEntityId: parent,
      childEntityIds: children.map(({ world: child }) => child),
      branchType: 'fork',
      snapshotTimeMs: taken.tookMs,
      branchTimeMs: branchMs,
      gf3Sum,
    })
    journal.defer(resolved(parent, 'running'))
    await journal.flush()
    const { id, tookMs } = taken
    return {
      branch: branchId,
      parent,
      snapshot: id,
      snapshotMs: tookMs,
      branchMs,
      children,
      gf3Sum,
    }
  }

  return {
    create,
    snapshot,
    branch,
    async park() {
      for (const [entityId, world] of live) {
        await take({ entityId, ...world })
        await world.provider.destroy(world.instanceId)
        live.delete(entityId)
      }
      await journal.flush()
    },
  }
}

/** Names of worlds are letters, digits and dashes: see `keeper/jobs/key.ts`. */
function exactly(entityId: string): RegExp {
  if (!/^[\w-]+$/.test(entityId)) throw unknownWorld(`there is no world ${entityId}`)
  return new RegExp(`^${entityId}$`)
}

function unknownWorld(message: string): MultiverseError {
  return new MultiverseError('UNKNOWN_WORLD', message)
}
