import type { Hex } from 'viem'
import type { Instance, Snapshot, WorldRuntimeProvider } from '../../providers/provider.ts'
import { journalledVerb } from '../../providers/workload.ts'
import { isMultiverseError } from '../../sdk/errors.ts'
import type { JournalEvent } from '../../sdk/journal.ts'
import { parseCost } from '../../sdk/spec.ts'
import { LOCAL_ROLES } from '../../providers/select.ts'
import type { Names } from '../jobs/key.ts'
import { failure } from '../jobs/outcome.ts'
import { runVerse, verseCode } from '../jobs/program.ts'
import type { VerseIndex } from '../jobs/verses.ts'
import { created, kindOf, resolved, snapshotted } from '../jobs/worlds/events.ts'
import { COMPONENT } from '../introductions.ts'
import type { Providers } from '../providers.ts'
import type { WorldOutcome } from '../store/partitions.ts'
import type { Game } from './game.ts'

/** Somebody waits for it: it is trained less long than for a partition. */
const TRAINING = { groups: 8, groupSize: 6 }

/** A world in play: its name for ever, and where it lives now. */
export type PlayedWorld = { entityId: string; instanceId: string; verseId: Hex; name: string }

/** A game whose world was split: one world a verse, by outcome. */
export type Split = {
  game: Game
  provider: WorldRuntimeProvider
  /** Sets this run's names and keys apart. */
  run: Hex
  baseId: string
  snapshot: Snapshot
  worlds: PlayedWorld[]
  branchMs: number
}

/** Plays a game beside any partition of the chain. Every call and every world is journalled. */
export type Stage = {
  /** Makes a world, prepares it, and branches it into the verses; the world itself ends, and its snapshot stays. */
  split: (provider: WorldRuntimeProvider, game: Game, run: Hex) => Promise<Split>
  /** Has every verse's program run. What a program does wrong is in its lane. */
  execute: (split: Split) => Promise<WorldOutcome[]>
  /** Looks for cheaper parameters in every lane that ran, and has the verse run with them when they cost less. */
  optimize: (split: Split, lanes: readonly WorldOutcome[]) => Promise<WorldOutcome[]>
  /** Does every lane that ran again in another process; one that comes to something else has failed. */
  verify: (split: Split, lanes: readonly WorldOutcome[]) => Promise<WorldOutcome[]>
  /** Lets the winner's world go on as a snapshot and ends the others; null ends all. Gives the snapshot. */
  end: (split: Split, winner: number | null) => Promise<Snapshot | null>
}

export function createStage({
  providers,
  verses,
  names,
  write,
}: {
  providers: Providers
  verses: VerseIndex
  names: Names
  write: (event: JournalEvent) => void
}): Stage {
  async function split(provider: WorldRuntimeProvider, game: Game, run: Hex): Promise<Split> {
    const { spec } = game
    const base = await provider.create({
      key: `${run}:base`,
      component: COMPONENT,
      seed: BigInt(spec.seed),
    })
    const baseId = names.world(run, null)
    write(created({ entityId: baseId, verseId: null, name: null }, base, kindOf(base), null, null))
    let state: 'snapshotted' | 'collapsed' = 'collapsed'
    try {
      if (spec.setup !== '') await provider.execute(base.id, spec.setup, { component: COMPONENT })
      const snapshot = await provider.snapshot(base.id)
      write(snapshotted(baseId, snapshot))
      state = 'snapshotted'
      const key = `${run}:branch`
      verses.expect(key, game.verses)
      const begun = performance.now()
      const children = await provider.branch(snapshot.id, game.verses.length, {
        key,
        component: COMPONENT,
      })
      const branchMs = performance.now() - begun
      const worlds = children.map((child, outcome) => admit(game, run, outcome, child))
      for (const [outcome, { entityId, verseId, name }] of worlds.entries())
        write(
          created(
            { entityId, verseId, name },
            children[outcome]!,
            'verse',
            baseId,
            spec.verses[outcome]!.trit,
          ),
        )
      write({
        kind: 'world.branched',
        branchId: names.branch(run),
        parentEntityId: baseId,
        childEntityIds: worlds.map(({ entityId }) => entityId),
        branchType: 'fork',
        snapshotTimeMs: snapshot.tookMs,
        branchTimeMs: branchMs,
        gf3Sum: spec.verses.reduce((sum, { trit }) => sum + trit, 0),
      })
      return { game, provider, run, baseId, snapshot, worlds, branchMs }
    } finally {
      await provider.destroy(base.id)
      write(resolved(baseId, state))
    }
  }

  function admit(game: Game, run: Hex, outcome: number, { id }: Instance): PlayedWorld {
    const verseId = game.verses[outcome]!
    verses.put(id, verseId)
    const { name } = game.spec.verses[outcome]!
    return { entityId: names.world(run, outcome), instanceId: id, verseId, name }
  }

  async function execute({ game, provider, worlds }: Split): Promise<WorldOutcome[]> {
    const lanes = await Promise.all(
      worlds.map(({ instanceId }, outcome) =>
        providers.turn(() => runVerse(provider, instanceId, game.spec, outcome)),
      ),
    )
    for (const lane of lanes) tellExecuted(worlds[lane.outcome]!, lane)
    return lanes
  }

  function tellExecuted({ entityId, verseId }: PlayedWorld, lane: WorldOutcome): void {
    if (lane.stateRoot !== null)
      write({
        kind: 'world.executed',
        entityId,
        verseId,
        stateRoot: lane.stateRoot,
        cost: lane.cost,
        executeTimeMs: lane.tookMs,
      })
  }

  const optimize: Stage['optimize'] = (split, lanes) =>
    eachThatRan(lanes, (lane) => providers.trainingTurn(() => optimizeLane(split, lane)))

  async function optimizeLane(split: Split, lane: WorldOutcome): Promise<WorldOutcome> {
    const { game, provider, snapshot, worlds, run } = split
    const { outcome } = lane
    const { verseId } = worlds[outcome]!
    const { language, program, seed, parameters = [] } = game.spec
    const { name, strategy, trit } = game.spec.verses[outcome]!
    const optimizer = await providers.optimizer(provider.id, verseId)
    let found
    try {
      found = await journalledVerb(
        {
          providerId: LOCAL_ROLES.coordinator,
          operation: 'optimize',
          verseId,
          input: { snapshotId: snapshot.id, seed },
        },
        write,
        () =>
          optimizer.optimize(
            {
              snapshotId: snapshot.id,
              program: { ...(language ? { language } : {}), program, seed },
              verse: { name, strategy, trit, outcome },
              parameters,
              training: TRAINING,
              seed: String(seed),
            },
            { component: COMPONENT },
          ),
        ({ parameters: chosen, cost, before, rollouts }) => ({
          parameters: chosen,
          cost,
          before,
          rollouts,
        }),
      )
    } catch (error) {
      if (!isMultiverseError(error, 'ROLLOUTS_FAILED')) throw error
      return refused(lane, failure(error))
    } finally {
      await optimizer.shutdown()
    }
    if (parseCost(found.cost) >= BigInt(lane.cost!)) return lane
    const key = `${run}:optimized:${outcome}`
    verses.expect(key, [verseId])
    const [instance] = await provider.branch(snapshot.id, 1, { key, component: COMPONENT })
    const before = worlds[outcome]!
    const world = admit(game, run, outcome, instance!)
    const again = await runVerse(provider, world.instanceId, game.spec, outcome, {
      parameters: found.parameters,
    })
    const isBetter = again.cost !== null && BigInt(again.cost) < BigInt(lane.cost!)
    const lost = isBetter ? before : world
    if (isBetter) worlds[outcome] = world
    verses.remove(lost.instanceId)
    await provider.destroy(lost.instanceId)
    if (!isBetter) return lane
    tellExecuted(world, again)
    return { ...again, optimized: { parameters: found.parameters, ownCost: lane.cost! } }
  }

  const verify: Stage['verify'] = (split, lanes) =>
    eachThatRan(lanes, (lane) => providers.turn(() => verifyLane(split, lane)))

  async function verifyLane(split: Split, lane: WorldOutcome): Promise<WorldOutcome> {
    const { game, provider, snapshot, worlds } = split
    const { stateRoot, valueHash, optimized, outcome } = lane
    const code = verseCode(game.spec, outcome, optimized?.parameters)
    const claim = { stateRoot: stateRoot!, ...(valueHash === undefined ? {} : { valueHash }) }
    const verdict = await journalledVerb(
      {
        providerId: LOCAL_ROLES.validator,
        operation: 'verify',
        verseId: worlds[outcome]!.verseId,
        input: { worlds: provider.id, snapshotId: snapshot.id, claim },
      },
      write,
      () =>
        providers.verifier.verify(
          {
            worlds: provider.id,
            from: { kind: 'snapshot', snapshotId: snapshot.id },
            steps: [{ code, ...claim }],
            limits: providers.replayLimits,
          },
          { component: COMPONENT },
        ),
      (told) => ({ kind: told.kind, tookMs: told.tookMs }),
    )
    return verdict.kind === 'verified'
      ? { ...lane, isVerified: true }
      : refused(lane, {
          code: verdict.kind === 'diverged' ? 'LANE_DIVERGED' : 'LANE_UNDECIDED',
          message: `its program came to something else when it was run again`,
        })
  }

  async function end({ provider, worlds }: Split, winner: number | null) {
    let snapshot: Snapshot | null = null
    const kept = winner === null ? undefined : worlds[winner]
    if (kept) {
      const ids = worlds.map(({ instanceId }) => instanceId)
      await provider.merge(ids, { winner: kept.instanceId })
      snapshot = await provider.snapshot(kept.instanceId)
      write(snapshotted(kept.entityId, snapshot))
    }
    for (const { instanceId, entityId } of worlds) {
      await provider.destroy(instanceId)
      verses.remove(instanceId)
      write(resolved(entityId, entityId === kept?.entityId ? 'snapshotted' : 'collapsed'))
    }
    return snapshot
  }

  return { split, execute, optimize, verify, end }
}

async function eachThatRan(
  lanes: readonly WorldOutcome[],
  work: (lane: WorldOutcome) => Promise<WorldOutcome>,
): Promise<WorldOutcome[]> {
  return Promise.all(lanes.map(async (lane) => (lane.stateRoot === null ? lane : work(lane))))
}

function refused(
  { outcome, tookMs }: WorldOutcome,
  error: NonNullable<WorldOutcome['error']>,
): WorldOutcome {
  return { outcome, stateRoot: null, cost: null, error, tookMs }
}
