import { availableParallelism } from 'node:os'
import { performance } from 'node:perf_hooks'

/** A figure an issue asks for. */
export type Target = { op: '<=' | '>='; value: number }

/**
 * One line of a bench's table. `spread` is the distance from the first to the third quartile, in the same unit; `beside`
 * holds further columns by their heading.
 */
export type Row = {
  name: string
  value: number
  unit: string
  spread?: number
  target?: Target
  ok?: boolean
  beside?: Record<string, string | number>
}

/** What `--json` prints as its last line. `ok` is false when any row misses its target. */
export type Report = {
  bench: string
  machine: { cores: number; node: string; platform: string }
  rows: Row[]
  /** What could not be measured here, and why. */
  skipped: string[]
  ok: boolean
}

/** What a bench gives when rows do not say all of it; `above` is for people, and stands above the table. */
export type Findings = { rows: Row[]; above?: string; skipped?: string[] }

/** A bench: measures, and gives its rows in the order of the table. Notes on how go to stderr. */
export type Bench = {
  name: string
  summary: string
  run: (options: BenchOptions) => Promise<Row[] | Findings>
}

/** Says on stderr what a bench is at. */
export type Note = (text: string) => void

/** `args` are what stood after the bench's name, without the harness's own flags. */
export type BenchOptions = { args: readonly string[]; note: Note }

/** Middle, quartiles and ends of a sample. */
export type Summary = {
  n: number
  min: number
  p25: number
  median: number
  p75: number
  p95: number
  max: number
}

/** Sums up a sample by linear interpolation between closest ranks. */
export function summarize(sample: readonly number[]): Summary {
  if (sample.length === 0) throw new RangeError('cannot sum up an empty sample')
  const sorted = sample.toSorted((a, b) => a - b)
  const at = (quantile: number) => {
    const rank = (sorted.length - 1) * quantile
    const below = sorted[Math.floor(rank)]!
    const above = sorted[Math.ceil(rank)]!
    return below + (above - below) * (rank - Math.floor(rank))
  }
  return {
    n: sorted.length,
    min: sorted[0]!,
    p25: at(0.25),
    median: at(0.5),
    p75: at(0.75),
    p95: at(0.95),
    max: sorted.at(-1)!,
  }
}

/**
 * Times `work` in milliseconds: `warmup` runs that do not count, then `repetitions` that do; fewer, but at least one, when these take
 * longer than `withinMs`.
 */
export async function time(
  work: (iteration: number) => Promise<unknown>,
  {
    warmup = 3,
    repetitions = 20,
    withinMs = Infinity,
  }: { warmup?: number; repetitions?: number; withinMs?: number } = {},
): Promise<number[]> {
  const sample: number[] = []
  let since = performance.now()
  for (let iteration = 0; iteration < warmup + repetitions; iteration++) {
    const from = performance.now()
    if (iteration === warmup) since = from
    if (sample.length > 0 && from - since > withinMs) break
    await work(iteration)
    if (iteration >= warmup) sample.push(performance.now() - from)
  }
  return sample
}

/**
 * Times two things in turn, so that both see the same moods of the machine, and gives the sample of ratios a / b.
 */
export async function timePairs(
  a: (iteration: number) => Promise<unknown>,
  b: (iteration: number) => Promise<unknown>,
  { warmup = 2, repetitions = 10 }: { warmup?: number; repetitions?: number } = {},
): Promise<{ a: number[]; b: number[]; ratios: number[] }> {
  const samples = { a: [] as number[], b: [] as number[], ratios: [] as number[] }
  for (let iteration = 0; iteration < warmup + repetitions; iteration++) {
    const start = performance.now()
    await a(iteration)
    const middle = performance.now()
    await b(iteration)
    const end = performance.now()
    if (iteration < warmup) continue
    samples.a.push(middle - start)
    samples.b.push(end - middle)
    samples.ratios.push((middle - start) / (end - middle))
  }
  return samples
}

/** A row of a sample's median with its spread, judged against `target` when there is one. */
export function row(name: string, sample: readonly number[], unit: string, target?: Target): Row {
  const { median, p25, p75 } = summarize(sample)
  return judge({ name, value: median, unit, spread: p75 - p25, ...(target && { target }) })
}

/** A row of a single figure. */
export function figure(name: string, value: number, unit: string, target?: Target): Row {
  return judge({ name, value, unit, ...(target && { target }) })
}

function judge(measured: Row): Row {
  const { target, value } = measured
  if (target === undefined) return measured
  return { ...measured, ok: target.op === '<=' ? value <= target.value : value >= target.value }
}

/** The report of a bench's rows on this machine. */
export function report(bench: string, rows: Row[], skipped: string[] = []): Report {
  return {
    bench,
    machine: {
      cores: availableParallelism(),
      node: process.version,
      platform: `${process.platform}-${process.arch}`,
    },
    rows,
    skipped,
    ok: rows.every((each) => each.ok !== false),
  }
}

/** The report as an aligned table for people. */
export function table({ bench, machine, rows, skipped, ok }: Report): string {
  const headings = [...new Set(rows.flatMap(({ beside }) => Object.keys(beside ?? {})))]
  const cells = rows.map((each) => [
    each.name,
    format(each.value),
    each.unit,
    each.spread === undefined ? '' : `± ${format(each.spread)}`,
    each.target === undefined ? '' : `${each.target.op} ${format(each.target.value)}`,
    each.ok === undefined ? '' : each.ok ? 'ok' : 'MISSED',
    ...headings.map((heading) => {
      const cell = each.beside?.[heading] ?? ''
      return typeof cell === 'number' ? format(cell) : cell
    }),
  ])
  const lines = [['', 'value', 'unit', 'spread', 'target', '', ...headings], ...cells]
  const widths = lines[0]!.map((_, column) =>
    Math.max(...lines.map((line) => line[column]!.length)),
  )
  const isFigure = lines[0]!.map((_, column) =>
    cells.every((line) => /^[^A-Za-z]*$/.test(line[column]!)),
  )
  const body = lines.map((line) =>
    line
      .map((cell, column) =>
        isFigure[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd(),
  )
  const head = `${bench} on ${machine.cores} cores, Node ${machine.node}, ${machine.platform}`
  const left = skipped.map((each) => `skipped: ${each}`)
  return [head, ...body, ...left, ok ? 'all targets met' : 'a target was missed'].join('\n')
}

function format(value: number): string {
  if (Number.isInteger(value)) return value.toLocaleString('en-US')
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 3
  return value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  })
}
