import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGvisorProvider, type GvisorOptions } from '../providers/gvisor/provider.ts'
import { MultiverseError } from '../sdk/errors.ts'
import { figure, report, type Row, row, summarize, table, time } from './harness.ts'

/** What the issue asks of a snapshot with three branches, milliseconds. */
const PUSH_DOWN_TARGET_MS = 700
const ROUNDS = { warmup: 2, repetitions: 15 }
const RUNS = { warmup: 10, repetitions: 200 }
const CROWD = 8
const MIB = 1_048_576

/** Measures gVisor worlds on this machine, snapshots on its disk. The root file system is built first, if there is none. */
export async function measureGvisor(
  note: (text: string) => void = () => {},
  options: GvisorOptions = {},
): Promise<Row[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'bench-gvisor-'))
  const provider = createGvisorProvider(options)
  const rows: Row[] = []
  try {
    await provider.init({ dataDir })
    await provider.shutdown()
    const begun = performance.now()
    await provider.init({ dataDir })
    rows.push(figure('start the provider, warm', performance.now() - begun, 'ms'))

    note('worlds')
    const create = await time(async (i) => {
      const { id } = await provider.create({ seed: BigInt(i) })
      await provider.destroy(id)
    }, ROUNDS)
    rows.push(row('create and destroy a world', create, 'ms'))
    rows.push(...(await measureBranching()))

    note('runs')
    const { id } = await provider.create({ seed: 1n })
    const run = (code: string) => async () => {
      await provider.execute(id, code)
    }
    const small = summarize(await time(run('n = globals().get("n", 0) + 1'), RUNS))
    rows.push(figure('execute Python, median', small.median, 'ms'))
    rows.push(figure('execute Python, p95', small.p95, 'ms'))
    rows.push(row('execute a shell program', await time(run('#!/bin/sh\necho 1 > n')), 'ms'))
    const loop = 's = 0\nfor i in range(1_000_000): s += i'
    rows.push(row('execute 1,000,000 turns of a loop', await time(run(loop)), 'ms'))

    note(`${CROWD} branches side by side`)
    const { id: snapshotId } = await provider.snapshot(id)
    await provider.destroy(id)
    const before = await memoryOf(dataDir)
    const from = performance.now()
    const crowd = await provider.branch(snapshotId, CROWD)
    rows.push(figure(`branch one of ${CROWD}`, (performance.now() - from) / CROWD, 'ms'))
    await Promise.all(crowd.map((child) => provider.execute(child.id, 'n += 1')))
    const after = await memoryOf(dataDir)
    const each = (one: number, other: number) => (one - other) / CROWD / MIB
    rows.push(figure('memory of a branch (PSS)', each(after.pss, before.pss), 'MiB'))
    rows.push(figure('memory of a branch (own)', each(after.own, before.own), 'MiB'))
    return rows
  } finally {
    await provider.shutdown()
    await rm(dataDir, { recursive: true, force: true })
  }

  async function measureBranching(): Promise<Row[]> {
    const { id } = await provider.create({ seed: 1n })
    const taken: Record<'snapshot' | 'one' | 'three' | 'both' | 'wake', number[]> = {
      snapshot: [],
      one: [],
      three: [],
      both: [],
      wake: [],
    }
    let bytes = 0
    for (let i = 0; i < ROUNDS.warmup + ROUNDS.repetitions; i++) {
      const asleep = performance.now()
      await provider.execute(id, `turn = ${i}`)
      const start = performance.now()
      const snapshot = await provider.snapshot(id)
      const middle = performance.now()
      const children = await provider.branch(snapshot.id, 3)
      const end = performance.now()
      const single = await provider.branch(snapshot.id, 1)
      const last = performance.now()
      for (const child of [...children, ...single]) await provider.destroy(child.id)
      await provider.forget(snapshot.id)
      bytes = snapshot.bytes
      if (i < ROUNDS.warmup) continue
      taken.wake.push(start - asleep)
      taken.snapshot.push(middle - start)
      taken.three.push(end - middle)
      taken.both.push(end - start)
      taken.one.push(last - end)
    }
    await provider.destroy(id)
    const target = { op: '<=', value: PUSH_DOWN_TARGET_MS } as const
    return [
      row('snapshot', taken.snapshot, 'ms'),
      row('one branch', taken.one, 'ms'),
      row('three branches', taken.three, 'ms'),
      row('snapshot and three branches', taken.both, 'ms', target),
      figure('snapshot and three branches, p95', summarize(taken.both).p95, 'ms'),
      row('first run of the parent after a snapshot', taken.wake, 'ms'),
      figure('a snapshot on the disk', bytes / MIB, 'MiB'),
    ]
  }
}

/** Memory of all processes of a data folder's worlds, shared pages shared out, and without shared pages; bytes. */
async function memoryOf(dataDir: string): Promise<{ pss: number; own: number }> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const parents = new Map<string, string>()
  const found = new Set<string>()
  for (const pid of pids) {
    // A process may end while it is looked at.
    const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
    parents.set(pid, text.slice(text.lastIndexOf(')') + 2).split(' ')[1] ?? '')
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (command.includes(`--root=${dataDir}/`)) found.add(pid)
  }
  const belongs = (pid: string | undefined): boolean =>
    pid !== undefined && (found.has(pid) || belongs(parents.get(pid)))
  const sums = { pss: 0, own: 0 }
  for (const pid of pids.filter(belongs)) {
    const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '')
    const field = (name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
    sums.pss += field('Pss') * 1024
    sums.own += (field('Private_Clean') + field('Private_Dirty')) * 1024
  }
  return sums
}

if (import.meta.main) {
  try {
    console.log(table(report('worlds-gvisor', await measureGvisor())))
  } catch (error) {
    if (!(error instanceof MultiverseError)) throw error
    console.error(`error ${error.code}: ${error.message}`)
    process.exitCode = 1
  }
}
