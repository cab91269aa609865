import type { Hex } from 'viem'
import { childVerse } from '../sdk/ids.ts'
import { parseSpec } from '../sdk/spec.ts'
import type { Names } from './jobs/key.ts'
import { probabilitiesOf } from './jobs/report.ts'
import type { PartitionRecord, Timings } from './store/partitions.ts'

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
    provider: string
    entityId: string
    verseId: Hex
    stateRoot: Hex | null
    cost: string | null
    error: { code: string; message: string } | null
  }[]
  probabilities: string[]
  reportTx: Hex | null
  answerTx: Hex | null
  error: { code: string; message: string } | null
  timings: { [K in keyof Required<Timings>]: number | null }
}

/** How a partition is shown. */
export function partitionView(
  record: PartitionRecord,
  provider: string,
  names: Names,
): PartitionView {
  const { key, parent, question, steps, timings, specJson } = record
  const spec = specJson === null ? null : parseSpec(specJson).spec
  const executed = steps.execute?.isDone ? steps.execute.output : null
  return {
    parent,
    question: question.id,
    state: record.state,
    winner: executed?.winner ?? null,
    worlds: (spec?.verses ?? []).map(({ name, trit }, outcome) => {
      const world = executed?.worlds.find((each) => each.outcome === outcome)
      return {
        outcome,
        name,
        trit,
        provider,
        entityId: names.world(key, outcome),
        verseId: childVerse(parent, question.id, outcome),
        stateRoot: world?.stateRoot ?? null,
        cost: world?.cost ?? null,
        error: world?.error ?? null,
      }
    }),
    probabilities: spec ? probabilitiesOf(spec).map(String) : [],
    reportTx: record.reportTx,
    answerTx: record.answer?.tx ?? null,
    error: record.error,
    timings: {
      snapshotMs: timings.snapshotMs ?? null,
      branchMs: timings.branchMs ?? null,
      executeMs: timings.executeMs ?? null,
      reportMs: timings.reportMs ?? null,
      blockToReportMs: timings.blockToReportMs ?? null,
    },
  }
}
