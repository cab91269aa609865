import type { Hex } from 'viem'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import { parseSpec, type Spec, specDataUri } from '../../sdk/spec.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { SpecLoader } from '../specs.ts'
import type { Transact } from '../store/database.ts'
import type {
  PartitionRecord,
  PartitionStore,
  StepOutputs,
  Transition,
} from '../store/partitions.ts'
import type { SpecStore } from '../store/specs.ts'
import type { Lanes } from './lanes.ts'
import { planWorlds, STEPS, type StepName, WORLD_STEPS, type WorldStep } from './machine.ts'
import type { Executed } from './worlds/living.ts'
import type { Worlds } from './worlds/worlds.ts'

/** The pipeline of a partition: branch, execute, optimise, verify. */
export type Pipeline = {
  /**
   * Has a partition's worlds run and verified, if they are not, step by step from wherever an earlier run ended. To be called
   * under its lock.
   */
  ensureExecuted: (key: Hex) => Promise<Executed>
  /** The spec that was found for a partition. @throws SPEC_MISSING */
  specOf: (record: PartitionRecord) => Spec
}

export type PipelineOptions = {
  partitions: PartitionStore
  specs: SpecStore
  worlds: Worlds
  lanes: Lanes
  loadSpec: SpecLoader
  metrics: Metrics
  log: Log
}

/** What a step came to, to be committed together. */
type Act<K extends WorldStep> = Promise<
  {
    output: StepOutputs[K]
    /** The spec that it found. */
    specJson?: string
    also?: (tx: Transact) => Promise<void>
  } & Pick<Transition, 'events' | 'timings'>
>

/** A step that was intended and is to be done now. */
type Intended = { step: StepName; attempt: number } | null

const CACHED_SPECS = 256

export function createPipeline(options: PipelineOptions): Pipeline {
  const { partitions, worlds, lanes, log, metrics } = options
  const parsed = new Map<Hex, Spec>()

  async function ensureExecuted(key: Hex): Promise<Executed> {
    let record = await partitions.load(key)
    if (record.state === 'failed' || record.state === 'cancelled')
      throw new MultiverseError(
        record.error?.code ?? 'PARTITION_CANCELLED',
        record.error?.message ?? `partition ${key} was cancelled`,
      )
    if (isMoved(record)) {
      // What was done from another block is not to be gone on with.
      await partitions.commit(key, { restart: true, events: await worlds.release(key) })
      record = await partitions.load(key)
    }
    let intended: Intended = null
    try {
      for (;;) {
        const step = planWorlds({ done: doneOf(record), live: worlds.live(key) })
        if (step === null || !isWorldStep(step)) return { record, spec: specOf(record) }
        const acted = await act(record, step, intended)
        ;({ record, intended } = acted)
      }
    } catch (error) {
      // Whoever goes on with it makes worlds of its own.
      if (isMultiverseError(error, 'STEP_SUPERSEDED'))
        await partitions.commit(key, { events: await worlds.release(key) })
      throw error
    }
  }

  /**
   * Does one step. Gives the record as it is stored then, and the step that was intended along with its end. Nobody else
   * changes what a partition's steps are decided from without taking their attempts back.
   */
  async function act(
    record: PartitionRecord,
    step: WorldStep,
    intended: Intended,
  ): Promise<{ record: PartitionRecord; intended: Intended }> {
    const { key } = record
    const stopTimer = metrics.step(step)
    const attempt =
      intended?.step === step ? intended.attempt : await partitions.commit(key, { intend: step })
    log.debug({ partition: key, step, attempt }, 'step.intended')
    const { output, specJson, also, ...told } = await acts[step](record, attempt)
    const done = { step, output, attempt } as NonNullable<Transition['done']>
    // The next one's intent is recorded along with this one's end: it follows whatever happens.
    const next = step === WORLD_STEPS.at(-1) ? undefined : STEPS[STEPS.indexOf(step) + 1]
    const nextAttempt = await partitions.commit(key, { ...told, done, intend: next }, also)
    stopTimer()
    log.debug({ partition: key, step }, 'step.done')
    return {
      record: {
        ...record,
        specJson: specJson ?? record.specJson,
        timings: { ...record.timings, ...told.timings },
        steps: { ...record.steps, [step]: { isDone: true, attempt, output } },
      },
      intended: next ? { step: next, attempt: nextAttempt } : null,
    }
  }

  const acts: { [K in WorldStep]: (record: PartitionRecord, attempt: number) => Act<K> } = {
    async spec(record) {
      const { specHash } = record.question
      const json = await findSpec(record)
      return {
        output: { specHash },
        specJson: json,
        also: (tx) => options.specs.put(tx, specHash, json),
      }
    },
    async plan(record) {
      const output = await lanes.cast(record, specOf(record))
      log.info({ partition: record.key, ...output }, 'partition.planned')
      return { output }
    },
    async base(record, attempt) {
      const { events, ...output } = await worlds.makeBase(record, specOf(record), attempt)
      return { output, events }
    },
    async snapshot(record) {
      const told = await worlds.snapshotBase(record, specOf(record))
      const { events, snapshotMs, ...output } = told
      return { output, events, timings: { snapshotMs } }
    },
    async branch(record, attempt) {
      const told = await worlds.branch(record, specOf(record), attempt)
      const { events, branchMs, ...output } = told
      return { output, events, timings: { branchMs } }
    },
    async execute(record) {
      const told = await worlds.execute(record, specOf(record))
      const { events, executeMs, ...output } = told
      log.info({ partition: record.key, executeMs }, 'partition.executed')
      return { output, events, timings: { executeMs } }
    },
    async optimize(record) {
      const begun = performance.now()
      const output = await lanes.optimize({ record, spec: specOf(record) })
      const isAsked = record.steps.plan!.output.optimizer !== null
      return { output, ...(isAsked ? { timings: { optimizeMs: performance.now() - begun } } : {}) }
    },
    async verify(record) {
      const begun = performance.now()
      const { events, ...output } = await lanes.verify({ record, spec: specOf(record) })
      const verifyMs = performance.now() - begun
      log.info({ partition: record.key, winner: output.winner, verifyMs }, 'partition.verified')
      return { output, events, timings: { verifyMs } }
    },
  }

  async function findSpec({ question, specJson }: PartitionRecord): Promise<string> {
    const { id, specHash, outcomes } = question
    const uris =
      specJson === null
        ? await options.specs.uris(id)
        : // Found for another question: only the number of outcomes is left to check.
          [specDataUri(specJson)]
    const { json } = await options.loadSpec({ question: id, specHash, outcomes, uris })
    return json
  }

  function specOf({ key, question, specJson }: PartitionRecord): Spec {
    if (specJson === null) throw new MultiverseError('SPEC_MISSING', `no spec is kept for ${key}`)
    const known = parsed.get(question.specHash)
    if (known) return known
    const { spec } = parseSpec(specJson)
    if (parsed.size >= CACHED_SPECS) parsed.clear()
    parsed.set(question.specHash, spec)
    return spec
  }

  return { ensureExecuted, specOf }
}

/** The steps that are done. Those of worlds that began from a block which is not the push-down's any more do not count. */
export function doneOf(record: PartitionRecord): ReadonlySet<StepName> {
  const { steps } = record
  const counts = (name: StepName) => name === 'spec' || !isMoved(record)
  return new Set(STEPS.filter((name) => steps[name]?.isDone && counts(name)))
}

/** Whether worlds were planned from a block of the chain, and the push-down stands in another one by now. */
function isMoved({ steps, triggerHash }: PartitionRecord): boolean {
  const origin = steps.plan?.output?.origin
  return origin !== undefined && origin.blockHash !== triggerHash
}

export function isWorldStep(step: StepName): step is WorldStep {
  return WORLD_STEPS.some((each) => each === step)
}
