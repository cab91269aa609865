import { join } from 'node:path'
import { type Hex, keccak256, numberToHex, toBytes } from 'viem'
import { journalled } from '../../providers/invocation.ts'
import type { Capabilities, WorldRuntimeProvider } from '../../providers/provider.ts'
import { createProvider, listProviders, providerIds } from '../../providers/registry.ts'
import { castPipeline, LOCAL_ROLES } from '../../providers/select.ts'
import type { Call } from '../../providers/triads.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import { completionOf } from '../../sdk/gf3.ts'
import { ROOT } from '../../sdk/ids.ts'
import { costWev } from '../../sdk/wev.ts'
import { balancesOf } from '../jobs/lanes.ts'
import type { Names } from '../jobs/key.ts'
import { pickWinner } from '../jobs/outcome.ts'
import { wevEvent } from '../jobs/report.ts'
import type { VerseIndex } from '../jobs/verses.ts'
import { introduce, type KnownProvider } from '../introductions.ts'
import type { Providers } from '../providers.ts'
import type { WorldOutcome } from '../store/partitions.ts'
import type { Journal } from '../store/journal.ts'
import { gameOf } from './game.ts'
import { createStage, type Split } from './stage.ts'
import { createHandmadeWorlds, type HandmadeWorlds } from './worlds.ts'

/** A lane as it is shown. Costs are 18-decimal integers as text; `ms` is what the program took. */
export type LaneView = {
  outcome: number
  name: string
  /** The verse's own. */
  trit: number
  verseId: Hex
  world: string
  instance: string
  stateRoot: string | null
  cost: string | null
  error: { code: string; message: string } | null
  ms: number
  isVerified: boolean
  optimized: { parameters: number[]; ownCost: string } | null
  /** Who succeeded in it so far, what their trits come to, and the trit that is missing. */
  providers: string[]
  sum: number
  conserved: boolean
  debt: number
}

/** What was played for a seed. Times in milliseconds. */
export type Played = {
  provider: string
  seed: number
  question: Hex
  snapshot: string
  snapshotMs: number
  branchMs: number
  lanes: LaneView[]
}

/** What a pipeline came to. */
export type PipelineView = Played & {
  /** The cheapest verified lane's outcome: advice. */
  winner: number | null
  /** 18 decimals, as text; null when a nash or optimal lane is missing, and the ratio when the optimum costs nothing. */
  wev: { ratio: string | null; abs: string } | null
  gf3: { sum: number; conserved: boolean }
}

/** What a keeper does with its providers beside the partitions of the chain, because somebody asked. */
export type Runtime = HandmadeWorlds & {
  /**
   * Plays a seed's verses on one provider: a generator runs them, an optimiser or a verifier does its part in worlds of the
   * preferred generator. The lanes stay open: their debt is shown.
   * @throws UNKNOWN_PROVIDER, PROVIDER_UNAVAILABLE, NO_CREDENTIALS
   */
  verse: (provider: string, seed: number) => Promise<Played>
  /** Branch, execute, optimise, verify, choose: the whole pipeline for a seed. The same seed has the same end. */
  pipeline: (seed: number, provider?: string) => Promise<PipelineView>
  /** Whether a provider can be used now; what its row says follows. @throws UNKNOWN_PROVIDER */
  status: (provider: string) => Promise<{ status: string; reason: string }>
  /** Snapshots the worlds that were made by hand and ends them; they go on when they are used again. */
  park: () => Promise<void>
  /** Parks the worlds and ends what was opened beside the keeper's own providers. */
  stop: () => Promise<void>
}

export type RuntimeOptions = {
  providers: Providers
  verses: VerseIndex
  journal: Journal
  names: Names
  /** Where providers that the keeper is not configured with keep their worlds. */
  folder: string
  env: Readonly<Record<string, string | undefined>>
}

export function createRuntime(options: RuntimeOptions): Runtime {
  const { providers, verses, journal, names, folder, env } = options
  const write = journal.defer
  const stage = createStage({ providers, verses, names, write })
  const opened = new Map<string, Promise<WorldRuntimeProvider>>()

  /** A generator that is ready: one of the keeper's own, or one that is opened now, and stays open. */
  async function generator(id: string = providers.ids[0]!): Promise<WorldRuntimeProvider> {
    if (providers.ids.includes(id)) return providers.worlds(id)
    const opening = opened.get(id) ?? open(id)
    opened.set(id, opening)
    opening.catch(() => opened.delete(id))
    return opening
  }

  async function open(id: string): Promise<WorldRuntimeProvider> {
    const row = await requireAvailable(id)
    const provider = await createProvider(id)
    await provider.init({ dataDir: join(folder, id), limits: providers.limits })
    for (const event of await introduce([provider], [row])) write(event)
    return journalled(provider, write, { verseOf: verses.of })
  }

  async function requireAvailable(id: string): Promise<KnownProvider> {
    const [row] = await listProviders(env, [id])
    if (row!.status === 'available') return row!
    throw new MultiverseError(
      row!.status === 'no-credentials' ? 'NO_CREDENTIALS' : 'PROVIDER_UNAVAILABLE',
      `${id}: ${row!.reason}`,
    )
  }

  /** Plays a game from its split to its end; whatever happens, no world of it is left running. */
  async function play(
    split: Split,
    work: () => Promise<{ winner: number | null; lanes: WorldOutcome[] }>,
  ): Promise<{ winner: number | null; lanes: WorldOutcome[] }> {
    let winner: number | null = null
    try {
      const done = await work()
      winner = done.winner
      return done
    } finally {
      await stage.end(split, winner)
      await journal.flush()
    }
  }

  async function verse(id: string, seed: number): Promise<Played> {
    await requireAvailable(id)
    const isGenerator = providerIds.includes(id)
    const provider = await generator(isGenerator ? id : undefined)
    const game = gameOf(seed, { id: provider.id, capabilities: provider.capabilities() })
    const split = await stage.split(provider, game, newRun())
    const { lanes } = await play(split, async () => {
      const ran = await stage.execute(split)
      const lanes =
        id === LOCAL_ROLES.coordinator
          ? await stage.optimize(split, ran)
          : id === LOCAL_ROLES.validator
            ? await stage.verify(split, ran)
            : ran
      return { winner: null, lanes }
    })
    return show(id, seed, split, lanes)
  }

  async function pipeline(seed: number, id?: string): Promise<PipelineView> {
    const run = newRun()
    const provider = await generator(id)
    requireVerifiable(provider.id)
    const game = gameOf(seed, { id: provider.id, capabilities: provider.capabilities() }, run)
    const needs = { parallel: true, optimize: true, verify: true }
    const cast = castPipeline(needs, { ...LOCAL_ROLES, generator: provider.id })
    const { spec, question } = game
    const split = await stage.split(provider, game, run)
    const { lanes, winner } = await play(split, async () => {
      const ran = await stage.execute(split)
      const tuned = spec.parameters === undefined ? ran : await stage.optimize(split, ran)
      const lanes = await stage.verify(split, tuned)
      const winner = pickWinner(spec, lanes)
      for (const event of wevEvent(
        { key: run, parent: ROOT, question: { id: question } },
        spec,
        lanes,
        names,
      ))
        write(event)
      write({
        kind: 'pipeline.completed',
        pipelineId: run,
        seedHex: numberToHex(seed),
        question,
        verses: lanes
          .filter(({ isVerified }) => isVerified)
          .map(({ outcome }) => game.verses[outcome]!),
        winner: winner === null ? null : game.verses[winner]!,
      })
      return { winner, lanes }
    })
    const shown = await show(cast.generator, seed, split, lanes)
    const sums = shown.lanes.map(({ sum }) => sum)
    return {
      ...shown,
      winner,
      wev: wevOf(lanes),
      gf3: {
        sum: sums.reduce((total, sum) => total + sum, 0),
        conserved: shown.lanes.every(({ conserved }) => conserved),
      },
    }
  }

  /** The verifier finds the snapshots of the keeper's own providers only. */
  function requireVerifiable(id: string): void {
    if (!providers.ids.includes(id))
      throw new MultiverseError(
        'PROVIDER_MISSING',
        `this keeper verifies worlds of ${providers.ids.join(', ')} only: see KEEPER_PROVIDERS`,
      )
  }

  async function show(
    provider: string,
    seed: number,
    { game, snapshot, branchMs, worlds }: Split,
    lanes: readonly WorldOutcome[],
  ): Promise<Played> {
    const calls: readonly Call[] = await journal.calls(game.verses)
    const balances = balancesOf(calls)
    return {
      provider,
      seed,
      question: game.question,
      snapshot: snapshot.id,
      snapshotMs: snapshot.tookMs,
      branchMs,
      lanes: lanes.map((lane) => {
        const { outcome, stateRoot, cost, error, tookMs, isVerified = false, optimized } = lane
        const world = worlds[outcome]!
        const balance = balances.get(world.verseId)
        const sum = balance?.sum ?? 0
        return {
          outcome,
          name: world.name,
          trit: game.spec.verses[outcome]!.trit,
          verseId: world.verseId,
          world: world.entityId,
          instance: world.instanceId,
          stateRoot,
          cost,
          error,
          ms: tookMs,
          isVerified,
          optimized: optimized ?? null,
          providers: (balance?.providers ?? []).toSorted(),
          sum,
          conserved: balance?.conserved ?? true,
          debt: completionOf(sum),
        }
      }),
    }
  }

  async function statusOf(id: string) {
    const [row] = await listProviders(env, [id])
    const live = capabilitiesOf(id)
    const known = live === null ? row! : { ...row!, capabilities: { ...live } }
    for (const event of await introduce([], [known])) write(event)
    await journal.flush()
    const { status, reason } = row!
    return { status, reason }
  }

  /** What a provider says of itself, where it is open; null when only the registry speaks for it. */
  function capabilitiesOf(id: string): Capabilities | null {
    if (providers.ids.includes(id)) return providers.worlds(id).capabilities()
    return id === providers.verifier.id ? providers.verifier.capabilities() : null
  }

  const handmade = createHandmadeWorlds({ generator, journal, names, verses })
  return {
    ...handmade,
    verse,
    pipeline,
    status: statusOf,
    async stop() {
      await handmade.park()
      for (const provider of opened.values()) await (await provider).shutdown()
    },
  }
}

/** A name for a run, unlike any other. */
function newRun(): Hex {
  return keccak256(toBytes(crypto.randomUUID()))
}

/** What the costs of a nash and an optimal lane say; selfish players cost what they came to by themselves. */
function wevOf(lanes: readonly WorldOutcome[]): PipelineView['wev'] {
  const [nash, optimal] = lanes
  const costNash = nash?.optimized?.ownCost ?? nash?.cost
  if (costNash == null || optimal?.cost == null) return null
  const { wevRatio, wevAbs } = costWev(BigInt(costNash), BigInt(optimal.cost))
  return { ratio: wevRatio?.toString() ?? null, abs: wevAbs.toString() }
}
