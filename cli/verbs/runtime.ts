import { listProviders } from '../../providers/registry.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import type {
  BranchOutput,
  LaneOutput,
  PipelineOutput,
  SnapshotOutput,
  VerseOnOutput,
  WorldMadeOutput,
} from '../../sdk/runtimeOutput.ts'
import type { Result } from '../output.ts'
import { present, requireOneForm, type TableOptions } from '../runtime/rows.ts'
import { withRuntime } from '../runtime/session.ts'
import { short } from './question.ts'
import { signed } from './select.ts'

export type MadeOptions = TableOptions & { provider?: string }
export type OfWorldOptions = TableOptions & { world: string }

const LANE_COLUMNS = [
  ['verse', 'VARCHAR'],
  ['trit', 'BIGINT'],
  ['instance', 'VARCHAR'],
  ['cost', 'VARCHAR'],
  ['verified', 'BOOLEAN'],
  ['execute_ms', 'DOUBLE'],
  ['state_root', 'VARCHAR'],
  ['providers', 'VARCHAR'],
  ['sum', 'BIGINT'],
  ['missing', 'BIGINT'],
] as const

/**
 * Plays a seed's verses on one provider. Exit code 1 when a lane failed.
 * @throws NO_CREDENTIALS for a vendor without an account, PROVIDER_UNAVAILABLE, and the keeper's codes
 */
export async function verseOnVerb(
  provider: string,
  seed: number,
  options: TableOptions,
): Promise<Result<VerseOnOutput | null>> {
  requireOneForm(options)
  await requireCredentials([provider])
  const played = await withRuntime(options, (runtime) => runtime.verse(provider, seed))
  const open = played.lanes.filter(({ conserved }) => !conserved)
  const report = {
    json: played,
    columns: LANE_COLUMNS,
    rows: played.lanes.map(laneRow),
    notes: [
      `snapshot ${played.snapshot.slice(0, 18)} in ${ms(played.snapshotMs)}, ${played.lanes.length} branches in ${ms(played.branchMs)}`,
      ...failures(played.lanes),
      open.length === 0
        ? 'GF(3): every lane is closed ✓'
        : `GF(3): ${open.length} of ${played.lanes.length} lanes are open, each wants ${signed(open[0]!.debt)}`,
    ],
    exitCode: played.lanes.every(({ error }) => error === null) ? 0 : 1,
  }
  return present(report, options)
}

/**
 * The whole pipeline for a seed. Exit code 1 when a lane does not close, or none was verified.
 * @throws NO_CREDENTIALS, and the keeper's codes
 */
export async function pipelineVerb(
  seed: number,
  options: MadeOptions,
): Promise<Result<PipelineOutput | null>> {
  requireOneForm(options)
  const { provider } = options
  if (provider !== undefined) await requireCredentials([provider])
  const run = await withRuntime(options, (runtime) => runtime.pipeline(seed, provider))
  const { winner, wev, gf3, lanes } = run
  const report = {
    json: run,
    columns: LANE_COLUMNS,
    rows: lanes.map(laneRow),
    notes: [
      `winner ${winner ?? 'none'}`,
      wev === null ? 'WEV unknown' : `WEV ratio ${wev.ratio ?? 'unbounded'}, absolute ${wev.abs}`,
      ...failures(lanes),
      `GF(3): Σ = ${gf3.sum} ${gf3.conserved ? '✓' : '✗'}`,
    ],
    exitCode: gf3.conserved && winner !== null ? 0 : 1,
  }
  return present(report, options)
}

/** Makes a world of a seed that belongs to no partition. */
export async function createWorldVerb(
  seed: number,
  options: MadeOptions,
): Promise<Result<WorldMadeOutput | null>> {
  requireOneForm(options)
  const { provider } = options
  if (provider !== undefined) await requireCredentials([provider])
  const made = await withRuntime(options, (runtime) => runtime.create(seed, provider))
  const report = {
    json: made,
    columns: [
      ['world', 'VARCHAR'],
      ['provider', 'VARCHAR'],
      ['boot_ms', 'DOUBLE'],
    ] as const,
    rows: [[made.world, made.provider, made.bootMs]],
  }
  return present(report, options)
}

/** Snapshots a world that was made so. @throws UNKNOWN_WORLD */
export async function snapshotWorldVerb(
  options: OfWorldOptions,
): Promise<Result<SnapshotOutput | null>> {
  requireOneForm(options)
  const taken = await withRuntime(options, (runtime) => runtime.snapshot(options.world))
  const report = {
    json: taken,
    columns: [
      ['world', 'VARCHAR'],
      ['snapshot', 'VARCHAR'],
      ['bytes', 'BIGINT'],
      ['snapshot_ms', 'DOUBLE'],
    ] as const,
    rows: [[taken.world, short(taken.stateRoot), taken.bytes, taken.snapshotMs]],
  }
  return present(report, options)
}

/** Branches a world that was made so into the three verses. @throws UNKNOWN_WORLD */
export async function branchWorldVerb(
  options: OfWorldOptions,
): Promise<Result<BranchOutput | null>> {
  requireOneForm(options)
  const branched = await withRuntime(options, (runtime) => runtime.branch(options.world))
  const { children, parent, branchMs, gf3Sum } = branched
  const report = {
    json: branched,
    columns: [
      ['verse', 'VARCHAR'],
      ['trit', 'BIGINT'],
      ['world', 'VARCHAR'],
      ['boot_ms', 'DOUBLE'],
    ] as const,
    rows: children.map(({ name, trit, world, bootMs }) => [name, trit, world, bootMs]),
    notes: [
      `from ${parent}: ${children.length} branches in ${ms(branchMs)}`,
      `GF(3): Σ = ${gf3Sum} ${gf3Sum % 3 === 0 ? '✓' : '✗'}`,
    ],
    exitCode: gf3Sum % 3 === 0 ? 0 : 1,
  }
  return present(report, options)
}

/**
 * Makes sure that the vendors among the providers can be reached with an account, before anything is begun.
 * @throws NO_CREDENTIALS naming the variables, UNKNOWN_PROVIDER
 */
async function requireCredentials(ids: readonly string[]): Promise<void> {
  for (const { id, status, credentials, name } of await listProviders(process.env, ids, 'glance'))
    if (status === 'no-credentials')
      throw new MultiverseError(
        'NO_CREDENTIALS',
        `no credentials are set for ${id} (${name}): set ${credentials.join(' and ')}`,
      )
}

function laneRow(lane: LaneOutput) {
  const { name, trit, instance, cost, verified, executeMs, stateRoot, providers, sum, debt } = lane
  return [
    name,
    trit,
    instance,
    cost,
    verified,
    executeMs,
    stateRoot === null ? null : short(stateRoot),
    providers.join(' '),
    sum,
    debt,
  ]
}

function failures(lanes: readonly LaneOutput[]): string[] {
  return lanes.flatMap(({ name, error }) =>
    error === null ? [] : [`${name} failed: ${error.code}: ${error.message}`],
  )
}

const ms = (value: number) => `${value.toFixed(1)} ms`
