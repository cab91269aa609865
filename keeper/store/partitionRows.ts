import type { Address, Hex } from 'viem'
import { MultiverseError } from '../../sdk/errors.ts'
import type { Path } from '../../sdk/ids.ts'
import type {
  Failure,
  PartitionRecord,
  PartitionState,
  QuestionRecord,
  Timings,
  Waiting,
} from './partitions.ts'

type QuestionRow = {
  id: Hex
  oracle: Address
  outcomes: number
  deadline: number
  spec_hash: Hex
  asked_block: number | null
  resolved_block: number | null
  winner: number | null
  is_expired: boolean | null
}

/** A partition as {@link SELECT} gives it. */
export type Row = {
  key: Hex
  parent: Hex
  path: Path
  trigger_block: number | null
  trigger_hash: Hex | null
  trigger_tx: Hex
  seen_at: number
  state: PartitionState
  error: Failure | null
  waiting: Waiting | null
  report_tx: Hex | null
  report_block: number | null
  timings: Timings
  own: QuestionRow | null
  ancestors: QuestionRow[]
  steps: PartitionRecord['steps']
  answer: PartitionRecord['answer']
  spec_json: string | null
}

/** Selects partitions with everything that decides about them; a condition on `p` follows. */
export const SELECT = `
  select p.key, p.parent, p.path, p.trigger_block, p.trigger_hash, p.trigger_tx, p.seen_at, p.state, p.error, p.waiting,
    p.report_tx, p.report_block, p.timings,
    to_jsonb(q) as own,
    (select coalesce(jsonb_agg(to_jsonb(a)), '[]') from keeper.questions a
      where p.questions ? a.id and a.id <> p.question) as ancestors,
    (select coalesce(jsonb_object_agg(s.name, jsonb_build_object(
        'isDone', s.state = 'done', 'attempt', s.attempt, 'output', s.output)), '{}')
      from keeper.steps s where s.partition = p.key) as steps,
    (select jsonb_build_object('outcome', a.outcome, 'source', a.source, 'state', a.state, 'tx', a.tx)
      from keeper.answers a where a.question = p.question) as answer,
    (select s.json from keeper.specs s where s.spec_hash = q.spec_hash) as spec_json
  from keeper.partitions p left join keeper.questions q on q.id = p.question`

/** @throws UNKNOWN_QUESTION when the books lack the partition's question */
export function record(row: Row): PartitionRecord {
  if (!row.own)
    throw new MultiverseError('UNKNOWN_QUESTION', `the question of partition ${row.key} is unknown`)
  return {
    key: row.key,
    parent: row.parent,
    path: row.path,
    question: question(row.own),
    ancestors: row.ancestors.map(question),
    triggerBlock: row.trigger_block,
    triggerHash: row.trigger_hash,
    triggerTx: row.trigger_tx,
    seenAt: row.seen_at,
    state: row.state,
    error: row.error,
    waiting: row.waiting,
    steps: row.steps,
    reportTx: row.report_tx,
    reportBlock: row.report_block,
    answer: row.answer,
    timings: row.timings,
    specJson: row.spec_json,
  }
}

function question(row: QuestionRow): QuestionRecord {
  return {
    id: row.id,
    oracle: row.oracle,
    outcomes: row.outcomes,
    deadline: row.deadline,
    specHash: row.spec_hash,
    askedBlock: row.asked_block,
    resolvedBlock: row.resolved_block,
    winner: row.winner,
    isExpired: row.is_expired ?? false,
  }
}
