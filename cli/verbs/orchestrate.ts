import { MultiverseError } from '../../sdk/errors.ts'
import { ROOT } from '../../sdk/ids.ts'
import type { OrchestrateOutput, PulledOutput, PushedOutput } from '../../sdk/runtimeOutput.ts'
import type { Progress, Result } from '../output.ts'
import { type PlayOptions, pullBack, pushSeed } from '../runtime/round.ts'
import { present, requireOneForm } from '../runtime/rows.ts'
import { onLocalStack, type OwnedOptions } from '../runtime/site.ts'
import { OUTCOMES, type Outcome } from '../scenario/spec.ts'
import { short } from './question.ts'

type Deps = { progress: Progress; signal: AbortSignal }

/** Asks about a seed, pushes down into its verses, and waits until the keeper has reported their worlds. */
export async function pushSeedVerb(
  seed: number,
  options: PlayOptions,
  deps: Deps,
): Promise<Result<PushedOutput | null>> {
  requireOneForm(options)
  return onLocalStack(options, deps, async (site) => {
    const { partition: _, ...json } = await pushSeed(site, seed, options)
    return present(splitReport(json), options)
  })
}

/** Has the keeper answer the question that was pushed down into last, and pulls up. @throws NOTHING_PUSHED_DOWN */
export async function pullUpVerb(
  outcome: Outcome,
  options: OwnedOptions,
  deps: Deps,
): Promise<Result<PulledOutput | null>> {
  requireOneForm(options)
  return onLocalStack(options, deps, async (site) => {
    const partitions = await site.keeper.partitions()
    const partition = partitions.findLast(
      ({ state, parent, worlds }) =>
        state === 'reported' && parent === ROOT && worlds.length === OUTCOMES.length - 1,
    )
    if (partition === undefined)
      throw new MultiverseError(
        'NOTHING_PUSHED_DOWN',
        'no partition waits for its answer: world-runtime-push-down makes one',
      )
    const json = { question: partition.question, ...(await pullBack(site, partition, outcome)) }
    return present(endReport(json), options)
  })
}

/** From an amount at ROOT to an amount at ROOT: push-down, pipeline, oracle, pull-up. Exit code 1 when a lane does not close. */
export async function orchestrateVerb(
  seed: number,
  outcome: Outcome,
  options: PlayOptions,
  deps: Deps,
): Promise<Result<OrchestrateOutput | null>> {
  requireOneForm(options)
  return onLocalStack(options, deps, async (site) => {
    const { partition, ...split } = await pushSeed(site, seed, options)
    const end = await pullBack(site, partition, outcome)
    const json = { seed, ...split, ...end }
    const shown = splitReport(json)
    return present({ ...shown, json, notes: [...shown.notes, ...endNotes(json)] }, options)
  })
}

function splitReport<T extends Omit<PushedOutput, 'tx' | 'block'>>(json: T) {
  return {
    json,
    columns: [
      ['verse', 'VARCHAR'],
      ['trit', 'BIGINT'],
      ['world', 'VARCHAR'],
      ['cost', 'VARCHAR'],
      ['verified', 'BOOLEAN'],
      ['balance', 'VARCHAR'],
      ['lane', 'BIGINT'],
    ] as const,
    rows: json.verses.map(({ name, trit, world, cost, verified, balance, sum }) => [
      name,
      trit,
      world,
      cost,
      verified,
      balance,
      sum,
    ]),
    notes: [
      `question ${short(json.question)}: ${json.amount} in every verse`,
      `GF(3): Σ = ${json.gf3Sum} ${json.conserved ? '✓' : '✗'}`,
    ],
    exitCode: json.conserved ? 0 : 1,
  }
}

type Ended = Omit<PulledOutput, 'tx' | 'block'>

function endReport<T extends Ended>(json: T) {
  const { wev } = json
  return {
    json,
    columns: [
      ['winner', 'VARCHAR'],
      ['collapsed', 'VARCHAR'],
      ['redeemed', 'VARCHAR'],
      ['wev_ratio', 'VARCHAR'],
      ['wev_abs', 'VARCHAR'],
      ['wev_nominal', 'VARCHAR'],
      ['wev_realized', 'VARCHAR'],
    ] as const,
    rows: [
      [
        json.winner,
        json.collapsed.join(' '),
        json.redeemed,
        wev.ratio,
        wev.abs,
        wev.nominal,
        wev.realized,
      ],
    ],
  }
}

function endNotes({
  oracle,
  advised,
  collapsed,
  redeemed,
  wev,
}: Omit<Ended, 'question'>): string[] {
  return [
    `the pipeline advised ${advised ?? 'nothing'}, the oracle said ${oracle}: ${collapsed.join(', ')} collapsed`,
    `WEV ratio ${wev.ratio ?? 'unbounded'}, absolute ${wev.abs ?? 'unknown'}, nominal ${wev.nominal}, realized ${wev.realized ?? 'unknown'}`,
    `pulled up ${redeemed}`,
  ]
}
