import { ROSTER } from '../../providers/roster.ts'
import { figure, type Row, row, summarize } from '../harness.ts'
import type { Backend, Target } from './backends.ts'
import type { Measured, Operation } from './measure.ts'

const MIB = 1_048_576

/** The columns of the table, after the provider's name, in the order of the seeds' own. */
const COLUMNS = [
  'create',
  'snapshot',
  'branch 3',
  'execute',
  'verify',
  'merge',
  'memory a branch',
  'isolation',
] as const
type Column = (typeof COLUMNS)[number]

/** What vendors say of theirs, under our columns. None of it was measured here. */
const DECLARED: Record<string, Partial<Record<Column, string>>> = {
  morph: {
    create: `${declared('morph', 'createMs')} ms`,
    snapshot: `${declared('morph', 'snapshotMs')} ms`,
    'branch 3': `${declared('morph', 'branch3Ms')} ms`,
    'memory a branch': declared('morph', 'branchOverhead'),
    isolation: declared('morph', 'isolation'),
  },
  modal: { create: `${declared('modal', 'coldStartMs')} ms` },
  primeintellect: {
    execute: declared('primeintellect', 'execute'),
    verify: declared('primeintellect', 'verification'),
  },
  gensyn: { verify: declared('gensyn', 'verify') },
  ritual: { verify: declared('ritual', 'verify') },
  firecracker: {
    create: `${declared('microvm', 'bootMs')} ms`,
    'memory a branch': `${declared('microvm', 'overheadMb')} MB`,
    isolation: declared('microvm', 'isolation'),
  },
}

/** Providers under the seeds' columns: measured (p50 / p95 in milliseconds), then declared, apart. */
export function matrix(all: readonly Measured[]): string {
  const lines = [
    ['measured here, p50 / p95 ms', ...COLUMNS],
    ...all.map((each) => [each.id, ...COLUMNS.map((column) => cell(each, column))]),
    ['declared by vendors', ...COLUMNS.map(() => '')],
    ...Object.entries(DECLARED).map(([id, says]) => [
      id,
      ...COLUMNS.map((column) => says[column] ?? ''),
    ]),
  ]
  const widths = lines[0]!.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)))
  return lines
    .map((line) =>
      line
        .map((text, i) => text.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** What was measured of a backend, line by line, with its targets. */
export function rowsOf({ id, samples, ...measured }: Measured, backend: Backend): Row[] {
  const { targets } = backend
  const under = (target: Target) => {
    const value = targets[target]
    return value === undefined ? undefined : ({ op: '<=', value } as const)
  }
  const rows = Object.entries(samples).map(([operation, sample]) => {
    const target = operation in targets ? under(operation as Target) : undefined
    const { p95 } = summarize(sample)
    const said = Object.entries(DECLARED).flatMap(([vendor, says]) => {
      const text = says[operation as Column]
      return text === undefined ? [] : [`${vendor} ${text}`]
    })
    const beside = { p95, ...(said.length === 0 ? {} : { 'declared by vendors': said.join(', ') }) }
    return { ...row(`${id}: ${operation}`, sample, 'ms', target), beside }
  })
  const { crowd, branchBytes, privateShare } = measured
  rows.push({
    ...figure(`${id}: branch ${crowd.branches}`, crowd.ms, 'ms', under('crowd')),
    beside: { p95: crowd.ms },
  })
  const more = [
    figure(`${id}: memory of a branch, its own`, branchBytes.own / MIB, 'MiB'),
    figure(`${id}: memory of a branch, shared pages shared out`, branchBytes.pss / MIB, 'MiB'),
  ]
  if (privateShare !== null)
    more.push(figure(`${id}: its own of what it holds`, privateShare, '%', under('private share')))
  const { lane, verify } = samples
  if (lane !== undefined && verify !== undefined) {
    const ratio = summarize(verify).median / summarize(lane).median
    more.push(figure(`${id}: verify / execute`, ratio, 'x', under('verify / execute')))
  }
  return [...rows, ...more]
}

function cell({ samples, branchBytes, isolation }: Measured, column: Column): string {
  if (column === 'isolation') return isolation
  if (column === 'memory a branch') return `${(branchBytes.own / MIB).toFixed(2)} MiB`
  const sample = samples[column satisfies Operation]
  if (sample === undefined) return ''
  const { median, p95 } = summarize(sample)
  return `${short(median)} / ${short(p95)}`
}

function short(ms: number): string {
  return ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0)
}

function declared(id: string, figure: string): string {
  const value = ROSTER.find((each) => each.id === id)?.declared[figure]
  if (typeof value !== 'string') throw new RangeError(`the roster declares no ${figure} of ${id}`)
  return value
}
