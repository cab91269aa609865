import { performance } from 'node:perf_hooks'
import { summarize, time } from '../harness.ts'
import type { Measured } from './measure.ts'
import type { Peer, PeerRows } from './postgres.ts'

// What the same question takes Postgres, and whether it answers the same.

/** A median needs fewer of them, and some answers take many seconds. */
const REPETITIONS = { warmup: 0, repetitions: 20, withinMs: 1_500 }

export type Compared = {
  ours: Measured
  /** Postgres' median, milliseconds; null when it cannot be asked. */
  theirs: number | null
  /** How many times as long as DuckDB it took; null when there is no fair comparison. */
  ratio: number | null
  /** Why not. */
  reason: string | null
}

/** Puts a question that DuckDB has answered to Postgres too. */
export async function compare(ours: Measured, peer: Peer): Promise<Compared> {
  const asking = peer.ask(ours.question)
  if (asking === undefined)
    return { ours, theirs: null, ratio: null, reason: 'it has no equivalent' }
  const from = performance.now()
  const rows = await asking
  const first = performance.now() - from
  // Of what takes so long already, the pages that it may have had to read are the least.
  const theirs =
    first > REPETITIONS.withinMs
      ? first
      : summarize(await time(async () => peer.ask(ours.question), REPETITIONS)).median
  const reason = disagreement(ours, rows)
  return { ours, theirs, ratio: reason === null ? theirs / ours.median : null, reason }
}

/** What Postgres says otherwise; null when it agrees. Of a page of something larger each may show another. */
function disagreement({ question, rows }: Measured, theirs: PeerRows): string | null {
  const limit = Number(/LIMIT (\d+)$/.exec(question.sql)?.[1] ?? Infinity)
  if (rows.length !== theirs.length) return `it has ${theirs.length} rows and not ${rows.length}`
  if (rows.length === limit) return null
  const [mine, other] = [lines(rows), lines(theirs)]
  const [all, others] = [new Set(mine), new Set(other)]
  const [odd, instead] = [mine.find((row) => !others.has(row)), other.find((row) => !all.has(row))]
  return odd === undefined && instead === undefined
    ? null
    : `it has other rows: ${odd ?? 'none'} and ${instead ?? 'none'}`
}

/** Rows as text; `…` stands for lists and documents, which each writes in its own way. */
function lines(rows: readonly (readonly unknown[])[]): string[] {
  return rows.map((row) => row.map((cell) => plain(cell)).join('|'))
}

/** Numbers to six digits: floats are added in whatever order. */
function plain(cell: unknown): string {
  if (cell === null || cell === undefined) return ''
  if (typeof cell === 'boolean') return cell ? 't' : 'f'
  if (typeof cell === 'object') return '…'
  const text = typeof cell === 'string' ? cell : JSON.stringify(cell)
  if (/^[[{(]/.test(text)) return '…'
  if (/^-?\d+(\.\d+)?(e[-+]?\d+)?$/i.test(text)) return `${+Number(text).toPrecision(6)}`
  return text.replace(/^(\d{4}-\d\d-\d\d) 00:00:00$/, '$1')
}
