import { oneLine } from '../../sdk/errors.ts'
import { parseArgs } from 'node:util'
import { performance } from 'node:perf_hooks'
import { fingerprint } from '../analytics/compare.ts'
import { type Peer, startPeer } from '../analytics/postgres.ts'
import { findSubjects, listQuestions, type Question } from '../analytics/questions.ts'
import { fileOf, mirrorOn, openAnalytics, setStage } from '../analytics/stage.ts'
import { type Bench, figure, type Row, summarize, time } from '../harness.ts'
import { usageOf } from '../indexer/machine.ts'

// Each question is put to the real process over HTTP, as the commands do, on a warehouse of a tenth and on the whole one, and to
// Postgres with the same rows.

const REPETITIONS = 20
/** Of Postgres, whose median alone counts, and whose answers can take a minute. */
const PEER_MS = 3_000
const LIMIT_MS = 300

export const bench: Bench = {
  name: 'analytics',
  summary: 'every analytics command on ten million events, beside Postgres; memory of the mirror',
  async run({ args, note }) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        events: { type: 'string', default: '10000000' },
        positions: { type: 'string', default: '1000000' },
      },
    })
    const size = {
      events: whole('events', values.events),
      positions: whole('positions', values.positions),
    }
    const tenth = { events: size.events / 10, positions: size.positions / 10 }
    const stage = await setStage(size.events)
    try {
      const { chain } = stage
      note(`drawing warehouses of ${tenth.events} and ${size.events} events`)
      const small = await stage.warehouse(tenth)
      const folder = await stage.warehouse(size)
      const before = await measure(await openAnalytics(small, chain))
      note('asking')
      const now = await measure(await openAnalytics(folder, chain))
      note('copying to Postgres')
      const peer = await startPeer(fileOf(folder), note)
      const skipped: string[] = []
      const compared: Compared[] = []
      try {
        for (const answer of now.answers.values()) {
          const each = await compare(answer, before.answers.get(answer.question.name), peer)
          note(`${answer.question.name}: ${each.row.value.toFixed(0)} ms`)
          compared.push(each)
          if (each.reason !== null)
            skipped.push(`${answer.question.name} on Postgres: ${each.reason}`)
        }
      } finally {
        await peer.stop()
      }
      const rows = compared.map(({ row }) => row)
      const ratios = compared.flatMap(({ ratio }) => ratio ?? [])
      const growths = rows.flatMap(({ beside }) => Number(beside?.['growth x10']) || [])
      const live = await mirrorOn(folder, chain, note)
      return {
        rows: [
          ...rows,
          figure('Postgres / DuckDB, median of all', summarize(ratios).median, 'x', {
            op: '>=',
            value: 10,
          }),
          figure('growth of time for ten times the events, most', Math.max(...growths), 'x', {
            op: '<=',
            value: 10,
          }),
          figure('memory after all questions', now.peakMiB, 'MiB'),
          figure('memory of the mirror at that size', live.peakMiB, 'MiB', {
            op: '<=',
            value: 500,
          }),
          figure(
            'a block of 500 events seen at that size, p95',
            summarize(live.latencies).p95,
            'ms',
            { op: '<=', value: 1_000 },
          ),
        ],
        skipped,
      }
    } finally {
      await stage.stop()
    }
  },
}

type Answer = {
  question: Question
  kind: 'command' | 'view'
  rows: readonly (readonly unknown[])[]
  sample: number[]
}

/** Puts every question to a process that it then ends. */
async function measure({ service, api }: Awaited<ReturnType<typeof openAnalytics>>): Promise<{
  answers: Map<string, Answer>
  peakMiB: number
}> {
  try {
    const { commands, views } = await listQuestions(api, await findSubjects(api))
    const answers = new Map<string, Answer>()
    for (const [kind, questions] of [
      ['command', commands],
      ['view', views],
    ] as const)
      for (const question of questions) {
        const { rows } = await api.sql(question.sql, question.values).catch((cause: unknown) => {
          throw new Error(`${question.name}: ${oneLine(cause)}`, { cause })
        })
        const ask = () => api.sql(question.sql, question.values)
        const sample = await time(ask, { warmup: 2, repetitions: REPETITIONS })
        answers.set(question.name, { question, kind, rows, sample })
      }
    return { answers, peakMiB: (await usageOf(service.process.pid!)).peakMiB }
  } finally {
    await service.stop()
  }
}

type Compared = { row: Row; ratio: number | null; reason: string | null }

/** One line of the table; `reason` says why there is no fair comparison. */
async function compare(answer: Answer, before: Answer | undefined, peer: Peer): Promise<Compared> {
  const { question, kind, rows, sample } = answer
  const { p95, median } = summarize(sample)
  const theirs = await askPeer(() => peer.ask(question))
  const reason = theirs === null ? 'it has no equivalent' : disagreement(answer, theirs.rows)
  const ratio = theirs === null || reason !== null ? null : theirs.median / median
  const row = {
    ...figure(`${kind} ${question.name}, p95`, p95, 'ms', { op: '<=', value: LIMIT_MS }),
    beside: {
      rows: rows.length,
      median,
      ...(before && { 'growth x10': median / summarize(before.sample).median }),
      ...(theirs && { 'Postgres median': theirs.median }),
      ...(ratio !== null && { 'Postgres / DuckDB': ratio }),
    },
  }
  return { row, ratio, reason }
}

/** As often as fits into three seconds, at most as often as DuckDB. */
async function askPeer(
  ask: () => Promise<(string | null)[][]> | undefined,
): Promise<{ rows: (string | null)[][]; median: number } | null> {
  const first = ask()
  if (first === undefined) return null
  const rows = await first
  const since = performance.now()
  const sample: number[] = []
  while (
    sample.length < REPETITIONS &&
    (sample.length === 0 || performance.now() - since < PEER_MS)
  ) {
    const from = performance.now()
    await ask()
    sample.push(performance.now() - from)
  }
  return { rows, median: summarize(sample).median }
}

/** What Postgres says otherwise; null when it agrees. Of a page of something larger each may show another. */
function disagreement({ question, rows }: Answer, theirs: (string | null)[][]): string | null {
  const limit = Number(/LIMIT (\d+)$/.exec(question.sql)?.[1] ?? Infinity)
  if (rows.length !== theirs.length) return `it has ${theirs.length} rows and not ${rows.length}`
  if (rows.length === limit || fingerprint(rows) === fingerprint(theirs)) return null
  return `it has other rows: ${differ(rows, theirs)}`
}

/** The first row that only one side has. */
function differ(
  ours: readonly (readonly unknown[])[],
  theirs: readonly (readonly unknown[])[],
): string {
  const [mine, other] = [fingerprint(ours).split('\n'), fingerprint(theirs).split('\n')]
  return `${mine.find((row) => !other.includes(row))} and ${other.find((row) => !mine.includes(row))}`
}

function whole(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 100_000)
    throw new Error(`--${name} takes a whole number from 100000, not ${text}`)
  return value
}
