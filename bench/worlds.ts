import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createQuickjsProvider } from '../providers/quickjs/provider.ts'
import { figure, report, type Row, row, summarize, table, time } from './harness.ts'

const MIB = 1_048_576
/** What the issue asks of a snapshot with three branches, milliseconds. */
const BRANCHING_TARGET_MS = 25
const CROWD = 1_000

/** Measures QuickJS worlds: warm, on this machine's own number of workers, snapshots on its disk. */
export async function measureWorlds(note: (text: string) => void = () => {}): Promise<Row[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'bench-worlds-'))
  const provider = createQuickjsProvider()
  const rows: Row[] = []
  try {
    const begun = performance.now()
    await provider.init({ dataDir })
    rows.push(figure('start the provider', performance.now() - begun, 'ms'))

    const create = await time(async (i) => {
      const { id } = await provider.create({ seed: BigInt(i) })
      await provider.destroy(id)
    })
    rows.push(row('create a world', create, 'ms'))

    note('a small world')
    rows.push(...(await measureBranching('small world', 0)))
    note('a world of 8 MiB')
    rows.push(...(await measureBranching('8 MiB world', 8)))

    note('runs')
    const { id } = await provider.create({ seed: 1n })
    const run = (code: string) => async () => {
      await provider.execute(id, code)
    }
    const small = summarize(await time(run('globalThis.n = (globalThis.n ?? 0) + 1'), RUNS))
    rows.push(figure('execute, median', small.median, 'ms'))
    rows.push(figure('execute, p95', small.p95, 'ms'))
    const loop = 'let s = 0; for (let i = 0; i < 1_000_000; i++) s += i; s'
    rows.push(row('execute 1,000,000 turns of a loop', await time(run(`{${loop}}`)), 'ms'))

    note(`${CROWD} branches`)
    const { id: snapshotId } = await provider.snapshot(id)
    const before = process.memoryUsage().rss
    const from = performance.now()
    const crowd = await provider.branch(snapshotId, CROWD)
    rows.push(figure('branch one of 1,000', (performance.now() - from) / CROWD, 'ms'))
    const kept = (process.memoryUsage().rss - before) / CROWD / 1024
    rows.push(figure('memory of one of 1,000', Math.max(0, kept), 'KiB'))
    await provider.merge(
      crowd.map((child) => child.id),
      { winner: crowd[0]?.id ?? '' },
    )
    return rows
  } finally {
    await provider.shutdown()
    await rm(dataDir, { recursive: true, force: true })
  }

  /** A world with `mib` MiB of its own, that runs a little between its snapshots. */
  async function measureBranching(name: string, mib: number): Promise<Row[]> {
    const { id } = await provider.create({ seed: 1n })
    const fill = `const own = new Uint8Array(${mib * MIB}).fill(7); let turn = 0; undefined`
    await provider.execute(id, fill)
    const taken: { snapshot: number[]; branch: number[]; both: number[]; execute: number[] } = {
      snapshot: [],
      branch: [],
      both: [],
      execute: [],
    }
    for (let i = 0; i < RUNS.warmup + RUNS.repetitions; i++) {
      await provider.execute(id, 'turn++')
      const start = performance.now()
      const snapshot = await provider.snapshot(id)
      const middle = performance.now()
      const children = await provider.branch(snapshot.id, 3)
      const end = performance.now()
      await Promise.all(children.map((child, at) => provider.execute(child.id, `turn += ${at}`)))
      const done = performance.now()
      for (const child of children) await provider.destroy(child.id)
      await provider.forget(snapshot.id)
      if (i < RUNS.warmup) continue
      taken.snapshot.push(middle - start)
      taken.branch.push(end - middle)
      taken.both.push(end - start)
      taken.execute.push(done - end)
    }
    await provider.destroy(id)
    const both = summarize(taken.both)
    return [
      row(`${name}: snapshot`, taken.snapshot, 'ms'),
      row(`${name}: three branches`, taken.branch, 'ms'),
      row(`${name}: snapshot and three branches`, taken.both, 'ms', {
        op: '<=',
        value: BRANCHING_TARGET_MS,
      }),
      figure(`${name}: snapshot and three branches, p95`, both.p95, 'ms'),
      row(`${name}: three first runs side by side`, taken.execute, 'ms'),
    ]
  }
}

const RUNS = { warmup: 10, repetitions: 100 }

if (import.meta.main) console.log(table(report('worlds', await measureWorlds())))
