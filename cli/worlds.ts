import { type Address, formatUnits, type Hex, isAddressEqual, zeroHash } from 'viem'
import { isMultiverseError } from '../sdk/errors.ts'
import { childPaths, type Path, verseId } from '../sdk/ids.ts'
import { keeperSocketPath } from '../sdk/node/keeperSocket.ts'
import type { WorldOutput } from '../sdk/output.ts'
import type { Context } from './context.ts'
import { createKeeperApi, type PartitionView } from './services.ts'
import type { ReportFacts, ReportedWorld, Universe } from './universe.ts'

/** A world and the verse it is the world of. */
export type WorldRow = {
  verse: Hex
  path: Path
  parent: Hex
  question: Hex
  outcome: number
  /** Conditional on the parent, 18 decimals. */
  probability: string | null
  world: WorldOutput
}

const VERDICTS = ['no world', 'ran', 'verified', 'failed'] as const

/** The keeper that runs on the data folder, and what it works on. */
type RunningKeeper = { address: Address; partitions: PartitionView[] }

/**
 * Every world there is or was: those that keepers reported on the chain, and those that the keeper of the data folder has
 * now, where one runs. Only that one's worlds have a provider and a name.
 */
export async function listWorlds(
  { dataDir }: Pick<Context, 'dataDir'>,
  universe: Universe,
  keeper?: Address,
): Promise<WorldRow[]> {
  const running = await runningKeeper(dataDir)
  /** The running keeper's view of a partition, when the report is its own. */
  const viewOf = (report: ReportFacts) =>
    running !== undefined && isAddressEqual(running.address, report.keeper)
      ? running.partitions.find((view) => isSame(view, report))
      : undefined
  const reported = universe.reports.flatMap((report) => reportedWorlds(report, viewOf(report)))
  const seen = universe.reports.map(viewOf)
  const unreported = (running?.partitions ?? []).flatMap((view) => {
    const partition = universe.partitions.find((each) => isSame(view, each))
    return running === undefined || partition === undefined || seen.includes(view)
      ? []
      : runningWorlds(running.address, view, partition.path)
  })
  return [...reported, ...unreported].filter(
    ({ world }) => keeper === undefined || isAddressEqual(world.keeper, keeper),
  )
}

/** A reported world as people and programs are told about it; null for an outcome without one. */
export function describeWorld(reported: ReportedWorld) {
  const verdict = VERDICTS[reported.verdict] ?? 'no world'
  return {
    trit: reported.trit as -1 | 0 | 1,
    cost: formatUnits(reported.cost, 18),
    stateRoot: reported.stateRoot,
    verdict,
  }
}

function reportedWorlds(report: ReportFacts, view: PartitionView | undefined): WorldRow[] {
  return childPaths(report.path, report.question).flatMap((path, outcome) => {
    const reported = report.worlds[outcome]
    if (reported === undefined || reported.verdict === 0) return []
    const at = view?.worlds.find((each) => each.outcome === outcome)
    const world = describeWorld(reported)
    const hasFailed = reported.stateRoot === zeroHash
    return {
      verse: verseId(path),
      path,
      parent: report.parent,
      question: report.question,
      outcome,
      probability: formatUnits(reported.probability, 18),
      world: {
        keeper: report.keeper,
        provider: at?.provider ?? null,
        world: at?.entityId ?? null,
        ...world,
        ...(hasFailed ? { cost: null, stateRoot: null } : {}),
      },
    }
  })
}

function runningWorlds(keeper: Address, view: PartitionView, parent: Path): WorldRow[] {
  const paths = childPaths(parent, view.question)
  return view.worlds.map((world) => {
    const probability = view.probabilities[world.outcome]
    const { cost, stateRoot, trit, provider } = world
    return {
      verse: world.verseId,
      path: paths[world.outcome] ?? [],
      parent: view.parent,
      question: view.question,
      outcome: world.outcome,
      probability: probability === undefined ? null : formatUnits(BigInt(probability), 18),
      world: {
        keeper,
        provider,
        world: world.entityId,
        trit,
        cost: cost === null ? null : formatUnits(BigInt(cost), 18),
        stateRoot,
        verdict: null,
      },
    }
  })
}

async function runningKeeper(dataDir: string): Promise<RunningKeeper | undefined> {
  const keeper = createKeeperApi(() => keeperSocketPath(dataDir))
  try {
    const [address, partitions] = await Promise.all([keeper.address(), keeper.partitions()])
    return { address, partitions }
  } catch (error) {
    // The chain tells the rest without it: none runs, or it is starting.
    if (isMultiverseError(error, 'NO_KEEPER') || isMultiverseError(error, 'UNAVAILABLE'))
      return undefined
    throw error
  }
}

type Partition = { parent: Hex; question: Hex }

function isSame(a: Partition, b: Partition): boolean {
  return a.parent === b.parent && a.question === b.question
}
