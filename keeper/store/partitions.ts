import type { Address, Hex } from 'viem'
import type { HostCall, Origin } from '../../providers/provider.ts'
import type { Cast } from '../../providers/select.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import type { Path } from '../../sdk/ids.ts'
import type { JournalEvent } from '../../sdk/journal.ts'
import type { StepName } from '../jobs/machine.ts'
import type { Database, Query, Transact } from './database.ts'
import type { Journal } from './journal.ts'
import { record, type Row, SELECT } from './partitionRows.ts'
import { write } from './transitions.ts'

/** Why something failed, in a form that can be stored. */
export type Failure = { code: string; message: string }

/** What a verse's world came to. Costs are 18-decimal integers as text. */
export type WorldOutcome = {
  outcome: number
  /** Null when its program failed, or the world lied about it. */
  stateRoot: Hex | null
  cost: string | null
  error: Failure | null
  tookMs: number
  /** Stands for the whole answer of the program, to be claimed of it. Absent when the program failed. */
  valueHash?: string
  /** What functions of the host answered it, when it called any: it would be another run with other answers. */
  calls?: HostCall[]
  /** What an optimiser chose in place of the verse's own strategy, and what that costs. Absent when nothing cost less. */
  optimized?: { parameters: number[]; ownCost: string }
  /** Re-execution in another process came to the same. */
  isVerified?: boolean
}

/** A block of the keeper's chain that worlds were planned to begin from. */
export type PlannedOrigin = Omit<Origin, 'url'>

/** What each step leaves behind. */
export type StepOutputs = {
  spec: { specHash: Hex }
  /** `origin`: the block of the chain that the worlds begin from; absent when they begin with nothing, or with their parent. */
  plan: Cast & { origin?: PlannedOrigin }
  base: { instanceId: string; snapshotId: string | null }
  snapshot: { snapshotId: string; stateRoot: Hex }
  branch: { instanceIds: string[] }
  execute: { worlds: WorldOutcome[] }
  optimize: { worlds: WorldOutcome[] }
  /** The winner is advice: the least cost among the lanes that were verified. */
  verify: { worlds: WorldOutcome[]; winner: number | null }
  report: { tx: Hex; block: number }
  answer: { outcome: number }
  merge: { outcome: number; snapshotId: string | null }
}

/** Milliseconds each part of a partition took. */
export type Timings = {
  snapshotMs?: number
  branchMs?: number
  executeMs?: number
  optimizeMs?: number
  verifyMs?: number
  reportMs?: number
  /** From the first sight of the push-down's block to the mined report. */
  blockToReportMs?: number
}

export type PartitionState =
  | 'running'
  /** Something other than the chain has to change first: see `waiting`. */
  | 'waiting'
  | 'reported'
  | 'answered'
  | 'resolved'
  | 'failed'
  | 'cancelled'
  /** Its oracle, question or supply is none that this keeper serves. */
  | 'declined'

/** What a partition in state `waiting` waits for. */
export type Waiting = { reason: 'budget' | 'dryRun' | 'supply'; message: string }

/** A question as far as the books know it. Block numbers are null while nothing on the chain says so. */
export type QuestionRecord = {
  id: Hex
  oracle: Address
  outcomes: number
  /** Unix seconds. */
  deadline: number
  specHash: Hex
  askedBlock: number | null
  resolvedBlock: number | null
  winner: number | null
  isExpired: boolean
}

/** A partition with everything that decides about it. */
export type PartitionRecord = {
  key: Hex
  parent: Hex
  path: Path
  question: QuestionRecord
  /** The questions of the parent's path that are known. */
  ancestors: QuestionRecord[]
  triggerBlock: number | null
  /** Of the block that the push-down stands, or last stood, in. */
  triggerHash: Hex | null
  triggerTx: Hex
  seenAt: number
  state: PartitionState
  error: Failure | null
  waiting: Waiting | null
  steps: Partial<{ [K in StepName]: { isDone: boolean; attempt: number; output: StepOutputs[K] } }>
  reportTx: Hex | null
  reportBlock: number | null
  answer: { outcome: number; source: string; state: string; tx: Hex | null } | null
  timings: Timings
  /** The spec's JSON, once it was found. */
  specJson: string | null
}

/** Changes of a partition that commit together. */
export type Transition = {
  /** A step that is done, with what it came to. `attempt` is the one that was intended; null for one that needs no intent. */
  done?: { [K in StepName]: { step: K; output: StepOutputs[K]; attempt: number | null } }[StepName]
  /** A step whose effect comes next. */
  intend?: StepName | undefined
  state?: PartitionState
  error?: Failure | null
  waiting?: Waiting | null
  /** Does its worlds anew, unless they are reported. */
  restart?: true
  /** Do nothing before the head is this block. */
  waitBlock?: number
  report?: { tx: Hex; block: number }
  timings?: Timings
  events?: readonly JournalEvent[]
}

/** A verse as one of the answers to a question that split a parent. */
export type Opening = { parent: Hex; question: Hex; outcome: number }

/** The partitions' side of the keeper's database. */
export type PartitionStore = {
  load(key: Hex): Promise<PartitionRecord>
  list(): Promise<PartitionRecord[]>
  find(parent: Hex, question: Hex): Promise<PartitionRecord | null>
  /** Those of the given partitions that were begun, first begun first. */
  openers(openings: Opening[]): Promise<{ key: Hex; outcome: number }[]>
  /**
   * Commits the transition decided from the partition as it is in the same transaction, unless that is null; says
   * whether it did.
   */
  decide(key: Hex, decide: (record: PartitionRecord) => Transition | null): Promise<boolean>
  /** The snapshot of a verse's world after its program ran, if one was made. */
  verseSnapshot(key: Hex, outcome: number): Promise<string | null>
  /** Remembers it, or with null forgets it. */
  setVerseSnapshot(
    key: Hex,
    outcome: number,
    snapshotId: string | null,
    events: readonly JournalEvent[],
  ): Promise<void>
  /**
   * Commits a transition, and with it whatever `also` writes. Gives the attempt of the step intended, else 0.
   * @throws STEP_SUPERSEDED (retryable) when the attempt that is done is not the one that stands
   */
  commit(key: Hex, transition: Transition, also?: (tx: Transact) => Promise<void>): Promise<number>
  counts(): Promise<{ state: string; count: number }[]>
}

/** Partitions and their steps. */
export function createPartitionStore(db: Database, journal: Journal): PartitionStore {
  return {
    load: (key) => load(db.query, key),
    async list() {
      const rows = await db.query<Row>(
        `${SELECT} where p.state <> 'cancelled' order by p.trigger_block, p.trigger_index`,
      )
      return rows.map(record)
    },
    async find(parent, question) {
      const [row] = await db.query<Row>(
        `${SELECT} where p.parent = $1 and p.question = $2 and p.state <> 'cancelled'`,
        [parent, question],
      )
      return row ? record(row) : null
    },
    openers: (openings) =>
      db.query<{ key: Hex; outcome: number }>(
        `select p.key, opening.outcome from keeper.partitions p
        join jsonb_to_recordset($1::jsonb) as opening (parent text, question text, outcome int)
          on p.parent = opening.parent and p.question = opening.question
        where p.trigger_block is not null order by p.trigger_block, p.trigger_index`,
        [JSON.stringify(openings)],
      ),
    commit: (key, transition, also) =>
      db.transaction(async (tx) => {
        const attempt = await write(tx, key, transition)
        await also?.(tx)
        await journal.append(tx, transition.events ?? [])
        return attempt
      }),
    decide: (key, decide) =>
      db.transaction(async (tx) => {
        const transition = decide(await load(tx.query, key))
        if (!transition) return false
        await write(tx, key, transition)
        await journal.append(tx, transition.events ?? [])
        return true
      }),
    async verseSnapshot(key, outcome) {
      const [row] = await db.query<{ snapshot_id: string }>(
        `select snapshot_id from keeper.verse_snapshots where partition = $1 and outcome = $2`,
        [key, outcome],
      )
      return row?.snapshot_id ?? null
    },
    setVerseSnapshot: (key, outcome, snapshotId, events) =>
      db.transaction(async (tx) => {
        await tx.query(`delete from keeper.verse_snapshots where partition = $1 and outcome = $2`, [
          key,
          outcome,
        ])
        if (snapshotId !== null)
          await tx.query(
            `insert into keeper.verse_snapshots (partition, outcome, snapshot_id) values ($1, $2, $3)`,
            [key, outcome, snapshotId],
          )
        await journal.append(tx, events)
      }),
    counts: () =>
      db.query(`select state, count(*)::int as count from keeper.partitions group by state`),
  }
}

async function load(query: Query, key: Hex): Promise<PartitionRecord> {
  const [row] = await query<Row>(`${SELECT} where p.key = $1`, [key])
  if (!row) throw new MultiverseError('UNKNOWN_PARTITION', `no partition ${key}`)
  return record(row)
}
