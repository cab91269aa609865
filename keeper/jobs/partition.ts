import { type Address, type Hex, isAddressEqual } from 'viem'
import { readContract } from 'viem/actions'
import { worldsAbi } from '../../sdk/abi.ts'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import { childPaths, verseId } from '../../sdk/ids.ts'
import { parseSpec, type Spec, specDataUri } from '../../sdk/spec.ts'
import { type Rpc, rpcError } from '../chain/rpc.ts'
import { errorFields, type Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { SpecLoader } from '../specs.ts'
import type { AnswerStore } from '../store/answers.ts'
import type { ChainStore } from '../store/chain.ts'
import type { Transact } from '../store/database.ts'
import type {
  PartitionRecord,
  PartitionStore,
  QuestionRecord,
  StepOutputs,
  Transition,
} from '../store/partitions.ts'
import type { JobRun, Queue } from '../store/queue.ts'
import type { SpecStore } from '../store/specs.ts'
import type { Mined, Sender } from '../tx/send.ts'
import type { Names } from './key.ts'
import type { KeyedLock } from './lock.ts'
import { type Plan, plan, planWorlds, type Progress, STEPS, type StepName } from './machine.ts'
import { failure } from './outcome.ts'
import {
  reportCall,
  type ReportedWorld,
  reportedEvent,
  reportHash,
  reportOf,
  wevEvent,
} from './report.ts'
import type { Executed, Worlds } from './worlds.ts'

/** The work on partitions. */
export type PartitionJobs = {
  /** Takes a partition as far as it can go now. Throws to have the job come again later. */
  run: (job: JobRun) => Promise<void>
  /** Has a partition's worlds run, if they have not. To be called under its lock. */
  ensureExecuted: (key: Hex) => Promise<Executed>
}

export type PartitionJobsOptions = {
  rpc: Rpc
  chain: ChainStore
  partitions: PartitionStore
  specs: SpecStore
  answers: AnswerStore
  queue: Queue
  worlds: Worlds
  names: Names
  sender: Sender
  loadSpec: SpecLoader
  locked: KeyedLock
  notebook: Address
  confirmations: number
  isStopping: () => boolean
  metrics: Metrics
  log: Log
}

/** Steps that make worlds, and those that act on the chain or on an answer. */
type WorldStep = 'spec' | 'base' | 'snapshot' | 'branch' | 'execute'
type OtherStep = Exclude<StepName, WorldStep>

/** What a step that makes worlds came to, to be committed together. */
type Act<K extends WorldStep> = Promise<
  { output: StepOutputs[K]; also?: (tx: Transact) => Promise<void> } & Pick<
    Transition,
    'events' | 'timings'
  >
>

/** A step that was intended and is to be done now. */
type Intended = { step: StepName; attempt: number } | null

/** What stands for the endpoint, the database or the process going away: a partition never fails for it. */
const OUTAGES = ['RPC_FAILED', 'DATABASE_FAILED', 'TX_PENDING', 'REPORT_UNSEEN']
/** Other failures that may pass are met so often before the partition fails. */
const MAX_FAILURES = 5
const CACHED_SPECS = 256

export function createPartitionJobs(options: PartitionJobsOptions): PartitionJobs {
  const { chain, partitions, worlds, sender, locked, confirmations, log, metrics } = options
  const failures = new Map<Hex, number>()
  const parsed = new Map<Hex, Spec>()

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

  async function ensureExecuted(key: Hex): Promise<Executed> {
    let intended: Intended = null
    for (;;) {
      const record = await partitions.load(key)
      if (record.state === 'failed' || record.state === 'cancelled')
        throw new MultiverseError(
          record.error?.code ?? 'PARTITION_CANCELLED',
          record.error?.message ?? `partition ${key} was cancelled`,
        )
      const step = planWorlds({ done: doneOf(record), live: worlds.live(key) })
      if (step === null || !isWorldStep(step)) return { record, spec: specOf(record) }
      intended = await actOnWorlds(record, step, intended)
    }
  }

  /** Does one step of a partition's worlds. Gives the step that was intended along with its end. */
  async function actOnWorlds(
    record: PartitionRecord,
    step: WorldStep,
    intended: Intended,
  ): Promise<Intended> {
    const { key } = record
    const stopTimer = metrics.step(step)
    const attempt =
      intended?.step === step ? intended.attempt : await partitions.commit(key, { intend: step })
    log.debug({ partition: key, step, attempt }, 'step.intended')
    const { output, also, ...told } = await worldActs[step](record, attempt)
    const done = { step, output } as NonNullable<Transition['done']>
    // The next one's intent is recorded along with this one's end: it follows whatever happens.
    const next = step === 'execute' ? undefined : STEPS[STEPS.indexOf(step) + 1]
    const nextAttempt = await partitions.commit(key, { ...told, done, intend: next }, also)
    stopTimer()
    log.debug({ partition: key, step }, 'step.done')
    return next ? { step: next, attempt: nextAttempt } : null
  }

  const worldActs: { [K in WorldStep]: (record: PartitionRecord, attempt: number) => Act<K> } = {
    async spec(record) {
      const { specHash } = record.question
      const json = await findSpec(record)
      return { output: { specHash }, also: (tx) => options.specs.put(tx, specHash, json) }
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
      log.info({ partition: record.key, winner: output.winner, executeMs }, 'partition.executed')
      return { output, events, timings: { executeMs } }
    },
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
    const executed = steps.execute!.output
    if (executed.winner === null) {
      const errors = executed.worlds.map(
        ({ outcome, error }) => `${spec.verses[outcome]!.name} ${error?.code}: ${error?.message}`,
      )
      throw new MultiverseError('WORLDS_FAILED', `no world ran to its end: ${errors.join('; ')}`)
    }
    const stopTimer = metrics.step('report')
    await partitions.commit(key, { intend: 'report' })
    const begun = performance.now()
    const content = reportOf(spec, executed.worlds)
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
        reportedEvent(record, spec, executed, mined, blockToReportMs),
        ...wevEvent(record, spec, executed.worlds, options.names),
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
    const outcome = steps.execute!.output.winner!
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

  function planOf(record: PartitionRecord): Plan {
    return plan(progressOf(record))
  }

  function progressOf(record: PartitionRecord): Progress {
    const { question, steps, answer } = record
    const winner = steps.execute?.isDone ? steps.execute.output.winner : null
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

  return { run, ensureExecuted }
}

/** The answer of a question that is decided: past its deadline, void. */
function winnerOf({ winner, outcomes }: QuestionRecord): number {
  return winner ?? outcomes - 1
}

function sourceOf({ question, answer }: PartitionRecord): string {
  if (question.winner === null || question.isExpired) return 'deadline'
  return answer?.state === 'mined' ? answer.source : 'oracle'
}

function doneOf({ steps }: PartitionRecord): ReadonlySet<StepName> {
  return new Set(STEPS.filter((name) => steps[name]?.isDone))
}

function isWorldStep(step: StepName): step is WorldStep {
  return ['spec', 'base', 'snapshot', 'branch', 'execute'].includes(step)
}

/** Whether another run may go well with nothing changed. */
function mayPass(error: unknown): boolean {
  if (!isMultiverseError(error)) return true
  const isProviders = ['PROVIDER_FAILED', 'UNKNOWN_INSTANCE', 'NOT_INITIALIZED'].includes(
    error.code,
  )
  return error.isRetryable || isProviders
}
