import { type Address, type Hex, isAddressEqual } from 'viem'
import { readContract } from 'viem/actions'
import { worldsAbi } from '../../sdk/abi.ts'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import { childPaths, verseId } from '../../sdk/ids.ts'
import { type Rpc, rpcError } from '../chain/rpc.ts'
import { errorFields, type Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { AnswerStore } from '../store/answers.ts'
import type { ChainStore } from '../store/chain.ts'
import type { Journal } from '../store/journal.ts'
import type { PartitionRecord, PartitionStore, QuestionRecord } from '../store/partitions.ts'
import type { JobRun, Queue } from '../store/queue.ts'
import type { Mined, Sender } from '../tx/send.ts'
import type { Names } from './key.ts'
import type { KeyedLock } from './lock.ts'
import { balancesOf, laneVerses, requireClosed } from './lanes.ts'
import { type Plan, plan, type Progress, type StepName, type WorldStep } from './machine.ts'
import { failure } from './outcome.ts'
import { doneOf, isWorldStep, type Pipeline } from './pipeline.ts'
import {
  reportCall,
  type ReportedWorld,
  reportedEvent,
  reportHash,
  reportOf,
  wevEvent,
} from './report.ts'
import type { Worlds } from './worlds.ts'

/** The work on partitions. */
export type PartitionJobs = {
  /** Takes a partition as far as it can go now. Throws to have the job come again later. */
  run: (job: JobRun) => Promise<void>
}

export type PartitionJobsOptions = {
  rpc: Rpc
  chain: ChainStore
  partitions: PartitionStore
  answers: AnswerStore
  queue: Queue
  worlds: Worlds
  pipeline: Pipeline
  journal: Pick<Journal, 'calls'>
  names: Names
  sender: Sender
  locked: KeyedLock
  notebook: Address
  confirmations: number
  isStopping: () => boolean
  metrics: Metrics
  log: Log
}

/** The steps that act on the chain or on an answer. */
type OtherStep = Exclude<StepName, WorldStep>

/** What stands for something that comes back, or is brought back: a partition never fails for it. */
const OUTAGES = ['RPC_FAILED', 'DATABASE_FAILED', 'TX_PENDING', 'REPORT_UNSEEN', 'PROVIDER_MISSING']
/** Other failures that may pass are met so often before the partition fails. */
const MAX_FAILURES = 5

export function createPartitionJobs(options: PartitionJobsOptions): PartitionJobs {
  const { chain, partitions, worlds, pipeline, sender, locked, confirmations, log, metrics } =
    options
  const { ensureExecuted, specOf } = pipeline
  const failures = new Map<Hex, number>()

  async function run({ key }: JobRun): Promise<void> {
    const id = key as Hex
    try {
      await advance(id)
      failures.delete(id)
    } catch (error) {
      if (options.isStopping()) throw error
      const count = (failures.get(id) ?? 0) + 1
      const isOutage = isMultiverseError(error) && OUTAGES.includes(error.code)
      if (!isOutage) failures.set(id, count)
      if (isOutage || (mayPass(error) && count < MAX_FAILURES)) {
        log.warn({ partition: id, ...errorFields(error) }, 'partition.delayed')
        throw error
      }
      if (!isMultiverseError(error)) log.error({ partition: id, err: error }, 'partition.crashed')
      await fail(id, error)
      failures.delete(id)
    }
  }

  async function advance(key: Hex): Promise<void> {
    for (;;) {
      const record = await partitions.load(key)
      // What undoes a resolution says so in the state.
      if (record.state === 'resolved') return
      const next = planOf(record)
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
          if (await rest(key)) return
          break
      }
    }
  }

  /** Ends the run, unless something has come meanwhile. Says whether it did. */
  function rest(key: Hex): Promise<boolean> {
    return partitions.decide(key, (record) => {
      const next = planOf(record)
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

  /** Ends the run until the head is `block`, unless it is already. Says whether it did. */
  function restUntil(key: Hex, block: number): Promise<boolean> {
    return partitions.decide(key, () => {
      const { head } = chain.view()
      return head && head.number >= block ? null : { waitBlock: block }
    })
  }

  /** The other steps. Each says whether the run goes on. */
  const otherActs: Record<OtherStep, (record: PartitionRecord) => Promise<boolean>> = {
    report,
    answer,
    merge: ({ key }) => locked(key, () => merge(key)),
  }

  async function report(record: PartitionRecord): Promise<boolean> {
    const { key, steps } = record
    const spec = specOf(record)
    const verified = steps.verify!.output
    if (verified.winner === null) {
      const errors = verified.worlds.map(
        ({ outcome, error }) => `${spec.verses[outcome]!.name} ${error?.code}: ${error?.message}`,
      )
      throw new MultiverseError('WORLDS_FAILED', `no world ran to its end: ${errors.join('; ')}`)
    }
    requireClosed(record, spec, balancesOf(await options.journal.calls(laneVerses(record))))
    const stopTimer = metrics.step('report')
    await partitions.commit(key, { intend: 'report' })
    const begun = performance.now()
    const content = reportOf(spec, verified.worlds)
    const purpose = `report:${key}`
    const mined =
      (await sender.performed(purpose)) ??
      (await alreadyReported(record, content)) ??
      (await sender.perform(purpose, reportCall(options.notebook, record, content)))
    const { head } = chain.view()
    const depth = mined.block + confirmations
    if (confirmations > 0 && (!head || head.number < depth)) return !(await restUntil(key, depth))
    const reportMs = performance.now() - begun
    const blockToReportMs = Math.max(0, Date.now() - record.seenAt)
    await partitions.commit(key, {
      done: { step: 'report', output: mined },
      report: mined,
      timings: { reportMs, blockToReportMs },
      events: [
        reportedEvent(record, spec, verified, mined, blockToReportMs),
        ...wevEvent(record, spec, verified.worlds, options.names),
      ],
    })
    stopTimer()
    metrics.reported(blockToReportMs)
    log.info({ partition: key, ...mined, blockToReportMs }, 'partition.reported')
    return true
  }

  /** Where the chain has this keeper's report of the partition already, from a life that left no books. */
  async function alreadyReported(
    record: PartitionRecord,
    content: readonly ReportedWorld[],
  ): Promise<Mined | null> {
    const { parent, question } = record
    const present = await readContract(options.rpc, {
      address: options.notebook,
      abi: worldsAbi,
      functionName: 'reportHash',
      args: [sender.address, parent, question.id],
    }).catch((error: unknown) => {
      throw rpcError(error)
    })
    if (BigInt(present) === 0n) return null
    if (present !== reportHash(content))
      throw new MultiverseError(
        'ALREADY_REPORTED',
        `${sender.address} reported partition ${record.key} before, with another content`,
      )
    if (record.reportTx === null || record.reportBlock === null)
      throw new MultiverseError('REPORT_UNSEEN', 'the report is in a block not followed yet', {
        isRetryable: true,
      })
    return { tx: record.reportTx, block: record.reportBlock }
  }

  /** Decides to answer the question with the pipeline's choice. Another job posts it. */
  async function answer({ key, question, steps }: PartitionRecord): Promise<boolean> {
    const outcome = steps.verify!.output.winner!
    const wanted = { question: question.id, outcome, source: 'pipeline' as const }
    await partitions.commit(key, { done: { step: 'answer', output: { outcome } } }, async (tx) => {
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
    await partitions.commit(key, { intend: 'merge' })
    const begun = performance.now()
    const { snapshotId, events } = await worlds.merge(executed, outcome)
    const verses = childPaths(path, question.id).map((child) => verseId(child))
    await partitions.commit(key, {
      done: { step: 'merge', output: { outcome, snapshotId } },
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

  async function fail(key: Hex, error: unknown): Promise<void> {
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

  function planOf(record: PartitionRecord): Plan {
    return plan(progressOf(record))
  }

  function progressOf(record: PartitionRecord): Progress {
    const { question, steps, answer } = record
    const winner = steps.verify?.isDone ? steps.verify.output.winner : null
    const isPipeline = winner !== null && specOf(record).outcome.source === 'pipeline'
    return {
      isOnChain: record.triggerBlock !== null,
      isTriggerDeep: record.triggerBlock !== null && record.triggerBlock <= chain.view().deep,
      hasFailed: record.state === 'failed',
      done: doneOf(record),
      live: worlds.live(record.key),
      isAnswerOurs: isPipeline && isAddressEqual(question.oracle, sender.address),
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

  return { run }
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

/** Whether another run may go well with nothing changed. */
function mayPass(error: unknown): boolean {
  if (!isMultiverseError(error)) return true
  const isProviders = ['PROVIDER_FAILED', 'UNKNOWN_INSTANCE', 'NOT_INITIALIZED'].includes(
    error.code,
  )
  return error.isRetryable || isProviders
}
