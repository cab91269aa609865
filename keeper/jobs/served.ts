import type { ChainStore } from '../store/chain.ts'
import type { FlowStore } from '../store/flows.ts'
import type { Failure, PartitionRecord, QuestionRecord } from '../store/partitions.ts'
import type { Admit } from './admission.ts'

/** Whom a keeper works for; null for anybody. Addresses and ids in lower case. */
export type Served = {
  /** Questions of these oracles. */
  oracles: ReadonlySet<string> | null
  /** These questions besides. */
  questions: ReadonlySet<string> | null
  /** Partitions in which so much of one of these tokens stands, in its smallest unit. */
  tokens: ReadonlyMap<string, bigint> | null
}

/**
 * Admits what the keeper is told to serve: every question of the partition must be named, or its oracle, and enough must stand in
 * it of a token that is named, at the depth of binding effects: what is pushed and pulled in one block never counts.
 */
export function createServed(
  { oracles, questions, tokens }: Served,
  {
    flows,
    chain,
    confirmations,
  }: {
    flows: Pick<FlowStore, 'supplies'>
    chain: Pick<ChainStore, 'view'>
    confirmations: number
  },
): Admit {
  const isNamed = ({ id, oracle }: QuestionRecord) =>
    (oracles === null && questions === null) ||
    questions?.has(id.toLowerCase()) === true ||
    oracles?.has(oracle.toLowerCase()) === true

  return async (record) => {
    if (record.steps.verify?.isDone) return { kind: 'admit' }
    const stranger = [record.question, ...record.ancestors].find((each) => !isNamed(each))
    if (stranger)
      return decline(
        'QUESTION_NOT_SERVED',
        `neither question ${stranger.id} nor its oracle ${stranger.oracle} is one that is served`,
      )
    if (tokens === null || record.triggerBlock === null) return { kind: 'admit' }
    const supplies = await flows.supplies(record, [...tokens.keys()], chain.view().deep)
    const isEnough = [...tokens].some(([token, least]) => (supplies.get(token) ?? 0n) >= least)
    if (isEnough) return { kind: 'admit' }
    const block = record.triggerBlock + confirmations
    if (block > (chain.view().head?.number ?? -1))
      return {
        kind: 'wait',
        waiting: { reason: 'supply', message: `what stands in it is counted at block ${block}` },
        resume: { kind: 'block', block },
      }
    return decline('SUPPLY_TOO_SMALL', tooSmall(record, tokens, supplies))
  }
}

function tooSmall(
  { key }: PartitionRecord,
  tokens: ReadonlyMap<string, bigint>,
  supplies: ReadonlyMap<string, bigint>,
): string {
  const each = [...tokens].map(
    ([token, least]) => `${supplies.get(token) ?? 0n} of ${token}, not ${least}`,
  )
  return `partition ${key} has ${each.join('; ')}`
}

function decline(code: Failure['code'], message: string): { kind: 'decline'; failure: Failure } {
  return { kind: 'decline', failure: { code, message } }
}
