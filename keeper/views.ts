import type { Hex } from 'viem'
import type { LaneBalance } from '../providers/triads.ts'
import { completionOf, type Trit } from '../sdk/gf3.ts'
import { childVerse } from '../sdk/ids.ts'
import { parseSpec } from '../sdk/spec.ts'
import type { Names } from './jobs/key.ts'
import { probabilitiesOf } from './jobs/report.ts'
import type { PartitionRecord, Timings, Waiting } from './store/partitions.ts'

/** A partition as the keeper shows it. Costs and probabilities are 18-decimal integers as text. */
export type PartitionView = {
  parent: Hex
  question: Hex
  state: string
  winner: number | null
  /** One for each outcome but void, which has none; empty while the spec is not known. */
  worlds: {
    outcome: number
    name: string
    trit: number
    /** Null until it is known who serves what the spec needs. */
    provider: string | null
    entityId: string
    verseId: Hex
    stateRoot: Hex | null
    cost: string | null
    error: { code: string; message: string } | null
    /** Re-execution in another process came to the same. */
    isVerified: boolean
    /** What an optimiser chose in place of the strategy, and what that costs; null when it is the strategy's own run. */
    optimized: { parameters: number[]; ownCost: string } | null
    /** The providers that the journal says succeeded for this verse, their trits' sum, and the trit still missing. */
    lane: { providers: string[]; sum: number; conserved: boolean; debt: Trit }
  }[]
  probabilities: string[]
  reportTx: Hex | null
  answerTx: Hex | null
  error: { code: string; message: string } | null
  /** What it waits for in state `waiting`. */
  waiting: Waiting | null
  timings: { [K in keyof Required<Timings>]: number | null }
}

/** How a partition is shown. */
export function partitionView(
  record: PartitionRecord,
  balances: ReadonlyMap<string, LaneBalance>,
  names: Names,
): PartitionView {
  const { key, parent, question, steps, timings, specJson } = record
  const spec = specJson === null ? null : parseSpec(specJson).spec
  const verified = steps.verify?.isDone ? steps.verify.output : null
  const provider = steps.plan?.isDone ? steps.plan.output.generator : null
  return {
    parent,
    question: question.id,
    state: record.state,
    winner: verified?.winner ?? null,
    worlds: (spec?.verses ?? []).map(({ name, trit }, outcome) => {
      const world = verified?.worlds.find((each) => each.outcome === outcome)
      const verseId = childVerse(parent, question.id, outcome)
      return {
        outcome,
        name,
        trit,
        provider,
        entityId: names.world(key, outcome),
        verseId,
        stateRoot: world?.stateRoot ?? null,
        cost: world?.cost ?? null,
        error: world?.error ?? null,
        isVerified: world?.isVerified ?? false,
        optimized: world?.optimized ?? null,
        lane: laneView(balances.get(verseId)),
      }
    }),
    probabilities: spec ? probabilitiesOf(spec).map(String) : [],
    reportTx: record.reportTx,
    answerTx: record.answer?.tx ?? null,
    error: record.error,
    waiting: record.waiting,
    timings: {
      snapshotMs: timings.snapshotMs ?? null,
      branchMs: timings.branchMs ?? null,
      executeMs: timings.executeMs ?? null,
      optimizeMs: timings.optimizeMs ?? null,
      verifyMs: timings.verifyMs ?? null,
      reportMs: timings.reportMs ?? null,
      blockToReportMs: timings.blockToReportMs ?? null,
    },
  }
}

function laneView(balance: LaneBalance | undefined): PartitionView['worlds'][number]['lane'] {
  const { providers = [], sum = 0, conserved = true } = balance ?? {}
  return { providers, sum, conserved, debt: completionOf(sum) }
}
