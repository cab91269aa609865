import { availableParallelism } from 'node:os'
import { MultiverseError } from '../../sdk/errors.ts'
import type { Limits } from '../provider.ts'
import { createWorkloads, type VerbOptions, type Working } from '../workload.ts'
import { type Lane, laneSchema, type Verdict, type Work } from './lane.ts'
import { createProcesses, type Processes } from './processes.ts'
import type { Source } from './protocol.ts'
import { type Claimant, dispute, type Redo, sample, type Sampled, verify } from './verify.ts'

/** How a verifier uses this machine, and where it finds what it verifies. */
export type ReplayOptions = {
  /**
   * By the worlds' provider: the folder its snapshots are in, its limits unless they are its defaults, and a module to make
   * it with that exports `createProvider`, unless it is made by its name. Limits bound what a lane may ask for: with lower
   * ones than the lane ran under, its steps may fail.
   */
  worlds: Readonly<Record<string, { dataDir: string; limits?: Limits; module?: string }>>
  /** Processes that do lanes again; by default one for each core. */
  processes?: number
  /** What a step may take beyond its own time limit before its process is given up, milliseconds. */
  graceMs?: number
}

/**
 * Codes beside the contract's: REPLAY_TIMEOUT, REPLAY_DIED (both may be tried again), REPLAY_INVALID; and those that the
 * worlds' provider refuses the beginning with, such as UNKNOWN_SNAPSHOT. With an error nothing is known of the lane; what is
 * wrong with a lane is in its verdict.
 */
export type Verifier = Working<'verify', Lane, Verdict> & {
  /** Has every process there can be open providers, so that the first lane does not wait for it. */
  warm: (ids: readonly string[]) => Promise<void>
  /** See `verify.ts`. */
  sample: (
    lanes: readonly Lane[],
    how: { rate: number; seed: bigint; against?: number },
    options?: VerbOptions,
  ) => Promise<Sampled>
  /** Verifies a lane whose claims are asked for one by one. */
  dispute: (
    lane: Omit<Lane, 'steps'> & { steps: readonly Work[] },
    claimant: Claimant,
    signal?: AbortSignal,
  ) => Promise<Verdict>
}

const GRACE_MS = 5_000
/** A step without a limit of its own has its provider's, which is not known here. */
const STEP_MS = 60_000

/** A verifier that does lanes again from where they began, in a fresh world in another process. */
export function createReplayProvider({
  worlds,
  processes: count = availableParallelism(),
  graceMs = GRACE_MS,
}: ReplayOptions): Verifier {
  let processes: Processes | null = null

  function sourceOf(id: string): Source {
    const found = Object.hasOwn(worlds, id) ? worlds[id] : undefined
    if (found === undefined)
      throw new MultiverseError('UNKNOWN_PROVIDER', `nothing is known of worlds of ${id}`)
    const { dataDir, module = null, limits = null } = found
    return { id, module, dataDir, limits }
  }

  const redoing =
    (signal: AbortSignal): Redo =>
    async ({ worlds: id, from, limits = {} }, steps, next) => {
      if (processes === null)
        throw new MultiverseError('NOT_INITIALIZED', 'replay is not initialised')
      const { timeMs, memoryBytes } = limits
      const bounds = {
        ...(timeMs === undefined ? {} : { timeMs }),
        ...(memoryBytes === undefined ? {} : { memoryBytes }),
      }
      const source = sourceOf(id)
      const stepMs = (timeMs ?? STEP_MS) + graceMs
      const task = { source, from, steps: [...steps], limits: bounds }
      await processes.perform(task, next, { signal, stepMs })
    }

  const provider = createWorkloads<'verify', Lane, Lane, Verdict>({
    id: 'replay',
    name: 'Re-execution in another process',
    trit: -1,
    verb: 'verify',
    parse: (request) => {
      const parsed = laneSchema.safeParse(request)
      if (parsed.success) return parsed.data
      const [issue] = parsed.error.issues
      throw new MultiverseError(
        'INVALID_ARGUMENT',
        `the lane is wrong at ${issue?.path.join('.') || 'the top'}: ${issue?.message}`,
        { cause: parsed.error },
      )
    },
    perform: (lane, { signal }) => verify(lane, redoing(signal)),
    open: async () => {
      processes = createProcesses(count)
    },
    close: async () => {
      const closing = processes
      processes = null
      await closing?.close()
    },
  })

  return {
    ...provider,
    warm: async (ids) => processes?.prepare(ids.map(sourceOf)),
    sample: (lanes, how, options) => {
      if (!(how.rate >= 0 && how.rate <= 1))
        throw new MultiverseError('INVALID_ARGUMENT', `rate ${how.rate} is not from 0 to 1`)
      return sample(lanes, how, (lane) => provider.verify(lane, options))
    },
    dispute: (lane, claimant, signal = new AbortController().signal) =>
      dispute(lane, claimant, redoing(signal)),
  }
}
