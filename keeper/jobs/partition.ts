import { type Address, type Hex, isAddressEqual } from 'viem'
import { childPaths, verseId } from '../../sdk/ids.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { AnswerStore } from '../store/answers.ts'
import type { ChainStore } from '../store/chain.ts'
import type {
  Failure,
  PartitionRecord,
  PartitionStore,
  QuestionRecord,
} from '../store/partitions.ts'
import type { Queue } from '../store/queue.ts'
import type { Admission, Admit } from './admission.ts'
import type { Names } from './key.ts'
import type { KeyedLock } from './lock.ts'
import { type Plan, plan, type Progress, type StepName, type WorldStep } from './machine.ts'
import { failure } from './outcome.ts'
import { doneOf, isWorldStep, type Pipeline } from './pipeline.ts'
import type { Report } from './reporting.ts'
import type { Work } from './retries.ts'
import type { Worlds } from './worlds/worlds.ts'

/** The work on partitions. */
export type PartitionJobs = Omit<Work, 'queue'>

export type PartitionJobsOptions = {
  chain: Pick<ChainStore, 'view'>
  partitions: PartitionStore
  answers: Pick<AnswerStore, 'want'>
  queue: Pick<Queue, 'add' | 'addLater' | 'wake'>
  worlds: Worlds
  pipeline: Pipeline
  names: Names
  /** The step that posts the report. Says whether the run goes on. */
  report: Report
  /** What the keeper signs with. */
  address: Address
  locked: KeyedLock
  confirmations: number
  admit: Admit
  metrics: Metrics
  log: Log
}

/** The steps that act on the chain or on an answer. */
type OtherStep = Exclude<StepName, WorldStep>

export function createPartitionJobs(options: PartitionJobsOptions): PartitionJobs {
  const { chain, partitions, worlds, pipeline, locked, confirmations, log, metrics } = options
  const { ensureExecuted, specOf } = pipeline

  /** Takes a partition as far as it can go now. */
  async function advance(key: Hex): Promise<void> {
    for (;;) {
      const record = await partitions.load(key)
      // What undoes a resolution says so in the state.
      if (record.state === 'resolved') return
      const admission = await options.admit(record)
      const next = planOf(record, admission)
      const isHeld = next.kind === 'wait' && next.state === 'waiting'
      if (record.state === 'waiting' && !isHeld)
        await partitions.commit(key, { state: 'running', waiting: null })
      switch (next.kind) {
        case 'run':
          if (isWorldStep(next.step)) await locked(key, () => ensureExecuted(key))
          else if (!(await otherActs[next.step](record))) return
          break
        case 'release':
          await release(key)
          break
        case 'wait':
        case 'finish':
          if (admission.kind === 'wait' && isHeld) return hold(record, admission)
          if (admission.kind === 'decline' && next.kind === 'finish' && next.state === 'declined')
            return decline(record, admission.failure)
          if (await rest(key, admission)) return
          break
      }
    }
  }

  /** Ends the run, unless something has come meanwhile. Says whether it did. */
  function rest(key: Hex, admission: Admission): Promise<boolean> {
    return partitions.decide(key, (record) => {
      const next = planOf(record, admission)
      if (next.kind !== 'wait' && next.kind !== 'finish') return null
      // What waits for its trigger to be deep has not been reported.
      const waitsForDepth = next.kind === 'wait' && next.state === 'running'
      return {
        ...(record.state === next.state ? {} : { state: next.state }),
        ...(waitsForDepth && record.triggerBlock !== null
          ? { waitBlock: record.triggerBlock + confirmations }
          : {}),
      }
    })
  }

  /** Ends the run until something other than the chain has changed, or a block has come. */
  async function hold(
    { key, state, waiting: before }: PartitionRecord,
    { waiting, resume }: Extract<Admission, { kind: 'wait' }>,
  ): Promise<void> {
    const waitBlock = resume?.kind === 'block' ? { waitBlock: resume.block } : {}
    await partitions.commit(key, { state: 'waiting', waiting, ...waitBlock }, async (tx) => {
      if (resume?.kind === 'time')
        await options.queue.addLater(tx, 'partition', key, resume.afterMs)
    })
    if (state !== 'waiting' || before?.reason !== waiting.reason)
      log.warn({ partition: key, ...waiting }, 'partition.held')
  }

  async function decline({ key, state }: PartitionRecord, error: Failure): Promise<void> {
    if (state === 'declined') return
    await partitions.commit(key, { state: 'declined', error, waiting: null })
    metrics.declined(error.code)
    log.info({ partition: key, code: error.code, error: error.message }, 'partition.declined')
  }

  async function withhold(key: string, error: unknown): Promise<void> {
    const waiting = { reason: 'dryRun' as const, message: failure(error).message }
    await partitions.commit(key as Hex, { state: 'waiting', waiting })
  }

  /** The other steps. Each says whether the run goes on. */
  const otherActs: Record<OtherStep, (record: PartitionRecord) => Promise<boolean>> = {
    report: options.report,
    answer,
    merge: ({ key }) => locked(key, () => merge(key)),
  }

  /** Decides to answer the question with the pipeline's choice. Another job posts it. */
  async function answer({ key, question, steps }: PartitionRecord): Promise<boolean> {
    const outcome = steps.verify!.output.winner!
    const wanted = { question: question.id, outcome, source: 'pipeline' as const }
    const done = { step: 'answer' as const, output: { outcome }, attempt: null }
    await partitions.commit(key, { done }, async (tx) => {
      await options.answers.want(tx, wanted)
      await options.queue.add(tx, 'answer', [question.id])
    })
    options.queue.wake('answer', 1)
    return true
  }

  async function merge(key: Hex): Promise<boolean> {
    const record = await partitions.load(key)
    const executed = { record, spec: specOf(record) }
    const { question, parent, path } = record
    const outcome = winnerOf(question)
    const stopTimer = metrics.step('merge')
    const attempt = await partitions.commit(key, { intend: 'merge' })
    const begun = performance.now()
    const { snapshotId, events } = await worlds.merge(executed, outcome)
    const verses = childPaths(path, question.id).map((child) => verseId(child))
    await partitions.commit(key, {
      done: { step: 'merge', output: { outcome, snapshotId }, attempt },
      state: 'resolved',
      events: [
        ...events,
        {
          kind: 'partition.resolved',
          resolutionId: options.names.resolution(key),
          parent,
          question: question.id,
          verses,
          winningVerse: verses[outcome]!,
          oracleSource: sourceOf(record),
          blockNumber: question.resolvedBlock ?? chain.view().deep,
          pullUpTimeMs: performance.now() - begun,
        },
      ],
    })
    stopTimer()
    log.info({ partition: key, outcome }, 'partition.resolved')
    return true
  }

  async function release(key: Hex): Promise<void> {
    await locked(key, async () => {
      const events = await worlds.release(key)
      await partitions.commit(key, { events })
    })
  }

  async function fail(id: string, error: unknown): Promise<void> {
    const key = id as Hex
    const { parent, question } = await partitions.load(key)
    const { code, message } = failure(error)
    await locked(key, async () => {
      const events = await worlds.release(key)
      await partitions.commit(key, {
        state: 'failed',
        error: { code, message },
        events: [
          ...events,
          { kind: 'partition.failed', parent, question: question.id, code, message },
        ],
      })
    })
    log.warn({ partition: key, code, error: message }, 'partition.failed')
  }

  function planOf(record: PartitionRecord, admission: Admission): Plan {
    return plan(progressOf(record, admission))
  }

  function progressOf(record: PartitionRecord, admission: Admission): Progress {
    const { question, steps, answer } = record
    const winner = steps.verify?.isDone ? steps.verify.output.winner : null
    const isPipeline = winner !== null && specOf(record).outcome.source === 'pipeline'
    return {
      isOnChain: record.triggerBlock !== null,
      isTriggerDeep: record.triggerBlock !== null && record.triggerBlock <= chain.view().deep,
      hasFailed: record.state === 'failed',
      isDeclined: admission.kind === 'decline',
      isHeld: admission.kind === 'wait',
      done: doneOf(record),
      live: worlds.live(record.key),
      isAnswerOurs: isPipeline && isAddressEqual(question.oracle, options.address),
      isAnswered: question.resolvedBlock !== null || answer?.state === 'mined',
      isResolved: isDecided(question),
      isCollapsed: record.ancestors.some(
        (ancestor) =>
          isDecided(ancestor) &&
          record.path.some(
            (step) => step.question === ancestor.id && step.outcome !== winnerOf(ancestor),
          ),
      ),
    }
  }

  /** Whether a question's answer is as deep as binding effects need, or time has decided it. */
  function isDecided({ resolvedBlock, deadline }: QuestionRecord): boolean {
    const { deep, deepTime } = chain.view()
    return resolvedBlock === null ? deadline <= deepTime : resolvedBlock <= deep
  }

  return { run: (key) => advance(key as Hex), bury: fail, withhold }
}

/** The answer of a question that is decided: past its deadline, void. */
function winnerOf({ winner, outcomes }: QuestionRecord): number {
  return winner ?? outcomes - 1
}

function sourceOf({ question, answer }: PartitionRecord): string {
  if (question.winner === null || question.isExpired) return 'deadline'
  // Its own answer may be seen on the chain before its receipt was: nobody else answers for it.
  return answer?.outcome === question.winner ? answer.source : 'oracle'
}
