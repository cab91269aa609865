import type { Hex } from 'viem'
import type { Optimized } from '../../providers/grpo/provider.ts'
import type { Verdict } from '../../providers/replay/lane.ts'
import { CHAIN_CALL } from '../../providers/host/chain.ts'
import { ROSTER } from '../../providers/roster.ts'
import { castPipeline, LOCAL_ROLES } from '../../providers/select.ts'
import { type LaneBalance, laneBalances } from '../../providers/triads.ts'
import { journalledVerb } from '../../providers/workload.ts'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import type { Trit } from '../../sdk/gf3.ts'
import { childVerse } from '../../sdk/ids.ts'
import type { JournalEvent } from '../../sdk/journal.ts'
import { parseCost, type Spec } from '../../sdk/spec.ts'
import type { Log } from '../log.ts'
import { COMPONENT } from '../introductions.ts'
import type { Providers } from '../providers.ts'
import type {
  Failure,
  PartitionRecord,
  PlannedOrigin,
  StepOutputs,
  WorldOutcome,
} from '../store/partitions.ts'
import { failure, lanesOf, pickWinner } from './outcome.ts'
import { verseCode } from './program.ts'
import { type Executed, generatorOf } from './worlds/living.ts'
import type { Worlds } from './worlds/worlds.ts'

/** What is done with the lanes of a partition, one for each verse, beside running them. */
export type Lanes = {
  /**
   * Chooses who serves what a spec needs. Worlds of a verse go on where they are, so a nested partition has its parent's
   * generator.
   * @throws NEEDS_UNMET when nobody here can
   */
  cast(record: PartitionRecord, spec: Spec): Promise<StepOutputs['plan']>
  /** Looks for cheaper parameters in every lane that ran, where the spec asks for it. */
  optimize(executed: Executed): Promise<StepOutputs['optimize']>
  /** Does every lane that ran again; one that does not hold fails, by the step that is false. */
  verify(executed: Executed): Promise<StepOutputs['verify'] & { events: JournalEvent[] }>
}

export type LanesOptions = {
  providers: Providers
  worlds: Worlds
  /** Takes the rows of optimiser and verifier. */
  write: (event: JournalEvent) => void
  log: Log
}

export function createLanes({ providers, worlds, write, log }: LanesOptions): Lanes {
  async function cast(record: PartitionRecord, spec: Spec): Promise<StepOutputs['plan']> {
    const { language = 'javascript', needs, parameters, training } = spec
    if (needs.optimize && parameters === undefined)
      throw unmet('the spec asks to optimise, and names no parameters to choose')
    if (training !== undefined && !needs.optimize)
      throw unmet('the spec says how to train, and does not ask to optimise')
    const parent = await worlds.generatorOfParent(record)
    const candidates = parent === null ? providers.ids : [parent]
    const able = (id: string) => {
      const { languages, snapshot, branch } = providers.worlds(id).capabilities()
      return snapshot && branch && languages.includes(language) && canBegin(id)
    }
    /** Worlds of a nested partition go on from their parent's; but functions are looked at where it was split. */
    const canBegin = (id: string) => {
      if (spec.origin === undefined) return true
      const { origin, functions = [] } = providers.worlds(id).capabilities()
      return origin === true || functions.includes(CHAIN_CALL)
    }
    const generator = candidates.find(able)
    if (generator === undefined) {
      const offered = candidates.map(
        (id) => `${id} runs ${providers.worlds(id).capabilities().languages.join(' and ')}`,
      )
      const whose = parent === null ? 'no provider here' : "not the provider of the parent's world"
      const from = spec.origin === undefined ? '' : ', from a block of the chain'
      throw unmet(`the spec is in ${language}${from}, and ${whose} runs it: ${offered.join(', ')}`)
    }
    const planned = castPipeline(needs, { ...LOCAL_ROLES, generator })
    return spec.origin === undefined ? planned : { ...planned, origin: originOf(record) }
  }

  async function optimize(executed: Executed): Promise<StepOutputs['optimize']> {
    const { record } = executed
    const optimizer = record.steps.plan!.output.optimizer
    if (optimizer === null) return { worlds: [...lanesOf(record)!] }
    return {
      worlds: await each(record, (lane) =>
        providers.trainingTurn(() => optimizeLane(executed, lane, optimizer)),
      ),
    }
  }

  async function optimizeLane(
    executed: Executed,
    lane: WorldOutcome,
    optimizer: string,
  ): Promise<WorldOutcome> {
    let found: Optimized
    try {
      found = await train(executed, lane, optimizer)
    } catch (error) {
      // The program makes nothing of parameters: what was asked for did not come to be.
      if (!isMultiverseError(error, 'ROLLOUTS_FAILED')) throw error
      return failed(lane, failure(error))
    }
    if (parseCost(found.cost) >= BigInt(lane.cost!)) return lane
    return worlds.rerun(executed, lane, found.parameters)
  }

  function train(executed: Executed, lane: WorldOutcome, optimizer: string): Promise<Optimized> {
    const { record, spec } = executed
    const { name, strategy, trit } = spec.verses[lane.outcome]!
    const { language, program, seed, parameters = [] } = spec
    const { seed: drawnFrom = seed, ...training } = spec.training ?? {}
    const verseId = verseOf(record, lane)
    return worlds.withSplit(executed, async (snapshotId) => {
      const grpo = await providers.optimizer(
        generatorOf(record),
        verseId,
        record.steps.plan!.output.origin,
      )
      try {
        return await journalledVerb(
          {
            providerId: optimizer,
            operation: 'optimize',
            verseId,
            input: {
              snapshotId,
              seed: drawnFrom,
              parameters: parameters.map((each) => ({ ...each })),
              training: { ...training } as JsonRecord,
            },
          },
          write,
          () =>
            grpo.optimize(
              {
                snapshotId,
                program: { ...(language ? { language } : {}), program, seed },
                verse: { name, strategy, trit, outcome: lane.outcome },
                parameters,
                training,
                seed: String(drawnFrom),
              },
              { component: COMPONENT },
            ),
          ({ parameters: chosen, cost, before, rollouts, failed: lost }) => ({
            parameters: chosen,
            cost,
            before,
            rollouts,
            failed: lost,
          }),
        )
      } finally {
        await grpo.shutdown()
      }
    })
  }

  async function verify(executed: Executed) {
    const { record, spec } = executed
    const lanes = await each(record, (lane) => providers.turn(() => verifyLane(executed, lane)))
    const events: JournalEvent[] = []
    for (const { outcome, error } of lanes)
      if (error !== null) events.push(...(await worlds.expel(record, outcome)))
    return { worlds: lanes, winner: pickWinner(spec, lanes), events }
  }

  async function verifyLane(executed: Executed, lane: WorldOutcome): Promise<WorldOutcome> {
    const { record, spec } = executed
    const { outcome, stateRoot, valueHash, optimized, calls } = lane
    const code = verseCode(spec, outcome, optimized?.parameters)
    const claim = { stateRoot: stateRoot!, ...(valueHash === undefined ? {} : { valueHash }) }
    const verdict = await worlds.withSplit(executed, (snapshotId) =>
      journalledVerb(
        {
          providerId: record.steps.plan!.output.verifier,
          operation: 'verify',
          verseId: verseOf(record, lane),
          input: { worlds: generatorOf(record), snapshotId, claim },
        },
        write,
        () =>
          providers.verifier.verify(
            {
              worlds: generatorOf(record),
              from: { kind: 'snapshot', snapshotId },
              steps: [{ code, ...claim, ...(calls === undefined ? {} : { calls }) }],
              limits: providers.replayLimits,
            },
            { component: COMPONENT },
          ),
        (told) => JSON.parse(JSON.stringify(told)) as JsonRecord,
      ),
    )
    if (verdict.kind === 'verified') return { ...lane, isVerified: true }
    const fault = faultOf(verdict)
    const name = spec.verses[outcome]!.name
    log.warn({ partition: record.key, verse: name, ...fault }, 'lane.refused')
    return failed(lane, fault)
  }

  return { cast, optimize, verify }
}

/** Does something with every lane that ran; the others stay as they are. */
async function each(
  record: PartitionRecord,
  work: (lane: WorldOutcome) => Promise<WorldOutcome>,
): Promise<WorldOutcome[]> {
  const done = await Promise.allSettled(
    lanesOf(record)!.map(async (lane) => (lane.stateRoot === null ? lane : work(lane))),
  )
  return done.map((lane) => {
    if (lane.status === 'rejected') throw lane.reason
    return lane.value
  })
}

type JsonRecord = Extract<JournalEvent, { kind: 'provider.invoked' }>['input']

/**
 * The trits of a partition's lanes, from the providers that the journal says succeeded in them.
 * @param calls what the journal has of the partition's verses
 */
export function balancesOf(calls: Parameters<typeof laneBalances>[0]): Map<string, LaneBalance> {
  return new Map(laneBalances(calls, tritOf).map((lane) => [lane.verseId, lane]))
}

/** The verses of a partition that have worlds, by outcome. */
export function laneVerses({ parent, question }: PartitionRecord): Hex[] {
  return Array.from({ length: question.outcomes - 1 }, (_, outcome) =>
    childVerse(parent, question.id, outcome),
  )
}

/**
 * Refuses lanes that would be reported while their providers' trits do not sum to 0 mod 3.
 * @throws LANE_OPEN naming the first
 */
export function requireClosed(
  record: PartitionRecord,
  spec: Spec,
  balances: ReadonlyMap<string, LaneBalance>,
): void {
  for (const lane of lanesOf(record) ?? []) {
    if (lane.stateRoot === null) continue
    const balance = balances.get(verseOf(record, lane))
    if (balance?.conserved) continue
    const who = balance?.providers.join(' and ') || 'none'
    throw new MultiverseError(
      'LANE_OPEN',
      `the providers of lane ${spec.verses[lane.outcome]!.name} (${who}) sum to ${balance?.sum ?? 0}, not to 0`,
    )
  }
}

function tritOf(providerId: string): Trit {
  const row = ROSTER.find(({ id }) => id === providerId)
  if (!row)
    throw new MultiverseError('UNKNOWN_PROVIDER', `no provider ${providerId} in the registry`)
  return row.trit
}

function verseOf({ parent, question }: PartitionRecord, { outcome }: WorldOutcome): Hex {
  return childVerse(parent, question.id, outcome)
}

/** A lane that is not to be reported, nor to be built on. */
function failed({ outcome, tookMs }: WorldOutcome, error: Failure): WorldOutcome {
  return { outcome, stateRoot: null, cost: null, error, tookMs }
}

/** What is wrong with a lane whose re-execution came to something else. */
function faultOf(verdict: Exclude<Verdict, { kind: 'verified' }>): Failure {
  // The setup is step 0, run before the snapshot; a lane's own steps follow it.
  const step = verdict.step + 1
  if (verdict.kind === 'undecided')
    return {
      code: 'LANE_UNDECIDED',
      message: `step ${step} does not repeat itself: its state cannot be verified`,
    }
  const { what, claimed, computed } = verdict
  const came =
    computed?.kind === 'failed'
      ? `${computed.code}: ${computed.message}`
      : what === 'value'
        ? 'another answer'
        : (computed?.stateRoot ?? 'nothing: the claim is none')
  return failure(
    new MultiverseError(
      'LANE_DIVERGED',
      `step ${step} (code ${verdict.codeHash.slice(0, 18)}) claims ${what === 'value' ? 'an answer' : claimed.stateRoot.slice(0, 66)}, re-executed it comes to ${came}`,
    ),
  )
}

/** The block of the push-down. */
function originOf({ key, triggerBlock, triggerHash }: PartitionRecord): PlannedOrigin {
  if (triggerBlock === null || triggerHash === null)
    throw new MultiverseError('ORIGIN_UNKNOWN', `the push-down of ${key} stands in no block now`, {
      isRetryable: true,
    })
  return { blockNumber: triggerBlock, blockHash: triggerHash }
}

function unmet(message: string): MultiverseError {
  return new MultiverseError('NEEDS_UNMET', message)
}
