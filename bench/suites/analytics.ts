import { parseArgs } from 'node:util'
import { performance } from 'node:perf_hooks'
import { type Compared, compare } from '../analytics/compare.ts'
import { openEngine } from '../analytics/duckdb.ts'
import { measure, type Measured } from '../analytics/measure.ts'
import { startPeer } from '../analytics/postgres.ts'
import { findSubjects, listQuestions, type Reads } from '../analytics/questions.ts'
import { fileOf, mirrorOn, openAnalytics, REORG_DEPTH, setStage } from '../analytics/stage.ts'
import { type Bench, figure, type Note, type Row, summarize, type Target } from '../harness.ts'
import { usageOf } from '../indexer/machine.ts'

// Every question is put to the real process over HTTP, as the commands do, which says how long people wait. Which engine is faster is
// asked of both alike: of DuckDB in this process, on a tenth of the events and on all, and of a Postgres with the same rows over its
// socket, through one connection each.

const LIMIT_MS = 300
const TEN_TIMES: Target = { op: '>=', value: 10 }

export const bench: Bench = {
  name: 'analytics',
  summary: 'every analytics command on ten million events, beside Postgres; memory of the mirror',
  async run({ args, note: say }) {
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
    const note = stopwatch(say)
    const stage = await setStage(size.events)
    try {
      const { chain } = stage
      note(`drawing a warehouse of ${tenth.events} events`)
      const small = await stage.warehouse(tenth)
      note(`drawing a warehouse of ${size.events} events`)
      const folder = await stage.warehouse(size)

      note('asking DuckDB on a tenth')
      const before = await askEngine(fileOf(small))
      note('asking DuckDB on all')
      const engine = await askEngine(fileOf(folder))
      note('asking the process over HTTP')
      const served = await askProcess(await openAnalytics(folder, chain))
      note('copying to Postgres')
      const peer = await startPeer(fileOf(folder), note)
      const compared: Compared[] = []
      try {
        note('asking Postgres')
        for (const ours of engine) compared.push(await compare(ours, peer))
      } finally {
        await peer.stop()
      }
      note('mirroring on')
      const live = await mirrorOn(folder, chain)
      note('done')

      const growths = new Map(
        before.map(({ question, median }, nth) => [question.name, engine[nth]!.median / median]),
      )
      return {
        rows: [
          ...compared.map((each) =>
            rowOf(
              each,
              served.answers.get(each.ours.question.name),
              growths.get(each.ours.question.name)!,
            ),
          ),
          ...ratiosOf(compared),
          figure(
            'growth of time of commands and views for ten times the events, most',
            Math.max(
              ...engine.flatMap(({ question }) =>
                question.kind === 'ad hoc' ? [] : growths.get(question.name)!,
              ),
            ),
            'x',
            {
              op: '<=',
              value: 10,
            },
          ),
          figure('memory after all questions', served.peakMiB, 'MiB', { op: '<=', value: 500 }),
          figure('memory of the mirror at that size', live.peakMiB, 'MiB', {
            op: '<=',
            value: 500,
          }),
          figure(
            'a block of 500 events seen at that size, p95',
            summarize(live.latencies).p95,
            'ms',
            {
              op: '<=',
              value: 1_000,
            },
          ),
          figure(`a reorg of ${REORG_DEPTH} such blocks followed`, live.reorgMs, 'ms'),
        ],
        skipped: compared.flatMap(({ ours, reason }) =>
          reason === null ? [] : [`${ours.question.name} on Postgres: ${reason}`],
        ),
      }
    } finally {
      await stage.stop()
    }
  },
}

/** Puts every question to DuckDB in this process. */
async function askEngine(file: string): Promise<Measured[]> {
  const engine = await openEngine(file)
  try {
    return await measure(engine, await listQuestions(engine, await findSubjects(engine)))
  } finally {
    engine.close()
  }
}

/** Puts what people are given to ask to a process that it then ends: an analyst's own questions may take longer than it allows. */
async function askProcess({ service, api }: Awaited<ReturnType<typeof openAnalytics>>): Promise<{
  answers: Map<string, Measured>
  peakMiB: number
}> {
  try {
    const questions = await listQuestions(api, await findSubjects(api))
    const given = questions.filter(({ kind }) => kind !== 'ad hoc')
    const answers = new Map(
      (await measure(api, given)).map((each) => [each.question.name, each] as const),
    )
    return { answers, peakMiB: (await usageOf(service.process.pid!)).peakMiB }
  } finally {
    await service.stop()
  }
}

/** One line of the table: what people wait for, and what DuckDB alone took where there is no such thing. */
function rowOf(
  { ours, ratio, theirs }: Compared,
  served: Measured | undefined,
  growth: number,
): Row {
  const { name, kind, reads } = ours.question
  const target: Target = { op: '<=', value: LIMIT_MS }
  const p95 = summarize((served ?? ours).sample).p95
  return {
    ...figure(`${kind} ${name}, p95`, p95, 'ms', served && target),
    beside: {
      class: reads,
      rows: ours.rows.length,
      ...(served && { median: served.median }),
      'DuckDB alone': ours.median,
      'growth x10': growth,
      ...(theirs !== null && { Postgres: theirs }),
      ...(ratio !== null && { 'Postgres / DuckDB': ratio }),
    },
  }
}

/** How much longer Postgres took, in the middle: of each class of questions, and of all. */
function ratiosOf(compared: readonly Compared[]): Row[] {
  const of = (reads?: Reads) =>
    compared.flatMap(({ ours, ratio }) =>
      ratio === null || (reads !== undefined && ours.question.reads !== reads) ? [] : [ratio],
    )
  const classes: [string, number[]][] = [
    ['analyses', of('analysis')],
    ['look-ups', of('look-up')],
    ['all', of()],
  ]
  return classes.map(([name, ratios]) =>
    figure(
      `Postgres / DuckDB, median of ${ratios.length} ${name}`.replace(' all', ''),
      summarize(ratios).median,
      'x',
      TEN_TIMES,
    ),
  )
}

/** Notes that say how many seconds it has been. */
function stopwatch(note: Note): Note {
  const from = performance.now()
  return (text) => note(`${((performance.now() - from) / 1_000).toFixed(0).padStart(4)} s  ${text}`)
}

function whole(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 100_000)
    throw new Error(`--${name} takes a whole number from 100000, not ${text}`)
  return value
}
