import { z } from 'zod'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import { parameterSchema, parseCost, programCode, trainingSchema } from '../../sdk/spec.ts'
import { WAD } from '../../sdk/wev.ts'
import type { WorldRuntimeProvider } from '../provider.ts'
import { createWorkloads, type Working, type WorkOptions } from '../workload.ts'
import { DEFAULT_TRAINING, type Lesson, train, type Training } from './train.ts'

const task = z.strictObject({
  /** Where every rollout begins: a snapshot of a world in which the scenario's setup has run. */
  snapshotId: z.string(),
  /** What a rollout runs; it finds what was chosen in `input.parameters` and reports `{cost}`. */
  program: z.strictObject({
    language: z.enum(['javascript', 'python', 'evm']).optional(),
    program: z.string(),
    seed: z.int().nonnegative(),
  }),
  verse: z.strictObject({
    name: z.string(),
    strategy: z.string(),
    trit: z.int(),
    outcome: z.int(),
  }),
  parameters: z.array(parameterSchema).min(1).max(16),
  /** See `train.ts`. */
  training: trainingSchema
    .prefault({})
    .transform((given): Omit<Training, 'seed'> => ({ ...DEFAULT_TRAINING, ...present(given) })),
  /** Unsigned 64-bit, decimal. The same seed trains the same policy in deterministic worlds. */
  seed: z.string().regex(/^\d{1,20}$/),
  /** Wall time of one rollout, milliseconds. */
  timeMs: z.number().positive().optional(),
})

/** Without what is undefined: that must not take a default's place. */
function present<values extends object>(
  values: values,
): { [name in keyof values]?: Exclude<values[name], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [name in keyof values]?: Exclude<values[name], undefined>
  }
}

/** What is to be made cheap, and where. */
export type Optimization = z.input<typeof task>
type Task = z.infer<typeof task>

export type Optimized = {
  /**
   * In the order of the task's parameters: the trained policy's means, or the best rollout's parameters when those cost less
   * once more.
   */
  parameters: number[]
  /** What they cost, measured in a world of their own. */
  cost: number
  /** What the verse's own strategy costs, without any parameters; null when it comes to nothing. */
  before: number | null
  rollouts: number
  failed: number
  lessons: Lesson[]
}

/** Codes beside the contract's: ROLLOUTS_FAILED, UNSUPPORTED (the worlds cannot be branched). */
export type Optimizer = Working<'optimize', Optimization, Optimized>

/** What of a program's failure is its own fault: the rollout is worth nothing, and training goes on. */
const FAULTS = [
  'PROGRAM_ERROR',
  'FUNCTION_NOT_LINKED',
  'EXECUTION_TIMEOUT',
  'OUT_OF_MEMORY',
  'RESULT_INVALID',
  'INVALID_COST',
]

/**
 * Group-relative policy optimisation over rollouts in branched worlds: each rollout is a branch of the snapshot, which runs
 * the program with what was drawn and ends. Works on whatever branches.
 * @param worlds where the snapshots are; neither initialised nor shut down here
 */
export function createGrpoProvider({ worlds }: { worlds: WorldRuntimeProvider }): Optimizer {
  return createWorkloads<'optimize', Optimization, Task, Optimized>({
    id: 'grpo',
    name: 'Group-relative policy optimisation',
    trit: 0,
    verb: 'optimize',
    parse: (request) => {
      const parsed = task.safeParse(request)
      if (parsed.success) return parsed.data
      const [issue] = parsed.error.issues
      throw new MultiverseError(
        'INVALID_ARGUMENT',
        `the task is wrong at ${issue?.path.join('.') || 'the top'}: ${issue?.message}`,
        { cause: parsed.error },
      )
    },
    perform: (request, options) => optimize(worlds, request, options),
  })
}

async function optimize(
  worlds: WorldRuntimeProvider,
  task: Task,
  { signal, component }: WorkOptions,
): Promise<Optimized> {
  if (!worlds.capabilities().branch)
    throw new MultiverseError('UNSUPPORTED', `worlds of ${worlds.id} cannot be branched`)
  const rights = component === undefined ? {} : { component }
  const limits = task.timeMs === undefined ? {} : { timeMs: task.timeMs }
  const play = async (choices: readonly (number[] | undefined)[], over: AbortSignal) => {
    const branches = await worlds.branch(task.snapshotId, choices.length, {
      ...rights,
      signal: over,
    })
    const rollouts = branches.map(async ({ id }, i): Promise<number | null> => {
      const code = programCode(task.program, task.verse, choices[i])
      try {
        const { value } = await worlds.execute(id, code, { ...rights, ...limits, signal: over })
        return costOf(value)
      } catch (error) {
        if (isMultiverseError(error) && FAULTS.includes(error.code)) return null
        throw error
      } finally {
        await worlds.destroy(id)
      }
    })
    const played = await Promise.allSettled(rollouts)
    const lost = played.find((rollout) => rollout.status === 'rejected')
    if (lost !== undefined) throw lost.reason
    return played.map((rollout) => (rollout.status === 'fulfilled' ? rollout.value : null))
  }
  const { policy, best, lessons } = await train(
    task.parameters.length,
    { ...task.training, seed: BigInt(task.seed) },
    (draws, over) => {
      const choices = draws.map((draw) => scale(task, draw))
      return play(choices, AbortSignal.any([signal, over]))
    },
  )
  const choices = [scale(task, policy.mean), scale(task, best)]
  const [before = null, ...costs] = await play([undefined, ...choices], signal)
  const [trained = null, drawn = null] = costs
  const isTrained = trained !== null && trained <= (drawn ?? Infinity)
  const cost = isTrained ? trained : drawn
  if (cost === null)
    throw new MultiverseError('ROLLOUTS_FAILED', 'the best rollout came to nothing once more')
  const parameters = choices[isTrained ? 0 : 1] ?? []
  const failed = lessons.reduce((sum, lesson) => sum + lesson.failed, 0)
  const rollouts = lessons.length * task.training.groupSize
  return { parameters, cost, before, rollouts, failed, lessons }
}

/** Parameters of a draw in their own ranges; what is drawn outside counts as the end of its range. */
function scale({ parameters }: Task, draw: readonly number[]): number[] {
  return parameters.map(({ low, high }, i) => {
    const share = Math.min(Math.max(draw[i] ?? 0, 0), 1)
    return low + share * (high - low)
  })
}

function costOf(value: unknown): number {
  const cost =
    typeof value === 'object' && value !== null && 'cost' in value ? value.cost : undefined
  return Number(parseCost(cost)) / Number(WAD)
}
