import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Instance, WorldRuntimeProvider } from '../../providers/provider.ts'
import type { Lane } from '../../providers/replay/lane.ts'
import { createReplayProvider } from '../../providers/replay/provider.ts'
import { oneLine } from '../../sdk/errors.ts'
import { time } from '../harness.ts'
import type { Backend } from './backends.ts'
import { memoryOf } from './memory.ts'

/** What is timed of every backend; samples in milliseconds. */
export type Operation =
  | 'start'
  | 'create'
  | 'snapshot'
  | 'branch'
  | 'branch 3'
  | 'push-down'
  | 'first answer'
  | 'first answers 3'
  | 'execute'
  | 'merge'
  | 'lane'
  | 'verify'

export type Measured = {
  id: string
  isolation: string
  samples: Partial<Record<Operation, number[]>>
  crowd: { branches: number; ms: number }
  /** Bytes a live branch adds: no one else's, and with what is shared shared out. */
  branchBytes: { own: number; pss: number }
  /** Of what a branch's processes hold, how much is no one else's, percent; null when it has none of its own. */
  privateShare: number | null
}

const WARMUP = 2
/** Steps of a lane. */
const STEPS = 4

/** Measures one backend: warm, on this machine's own number of cores, snapshots on its disk. */
export async function measure(backend: Backend, note: (text: string) => void): Promise<Measured> {
  const { id, count, repetitions } = backend
  const dataDir = await mkdtemp(join(tmpdir(), `bench-${id}-`))
  const provider = backend.create(note)
  const samples: Measured['samples'] = {}
  const record = (operation: Operation, ms: number) => (samples[operation] ??= []).push(ms)
  try {
    // What is made once for the machine is made now.
    await provider.init({ dataDir })
    await provider.shutdown()
    const begun = performance.now()
    await provider.init({ dataDir })
    record('start', performance.now() - begun)

    note(`${id}: worlds`)
    samples.create = await time(
      async (i) => {
        const { id } = await provider.create({ seed: BigInt(i) })
        await provider.destroy(id)
      },
      { warmup: WARMUP, repetitions },
    )
    const { id: parent } = await provider.create({ seed: 1n })
    for (let i = 0; i < WARMUP + repetitions; i++) {
      const each = await round(provider, parent, count)
      if (i >= WARMUP) for (const [name, ms] of each) record(name, ms)
    }
    samples.execute = await time(() => provider.execute(parent, count), {
      warmup: WARMUP,
      repetitions,
    })
    note(`${id}: ${backend.crowd} branches`)
    const crowded = await crowd(provider, parent, backend, dataDir)
    note(`${id}: verification`)
    try {
      await lanes(provider, parent, backend, dataDir, record)
    } catch (error) {
      // The rest stands all the same, and the table shows that this is missing.
      note(`${id}: not verified, ${oneLine(error)}`)
    }
    const { isolation } = provider.capabilities()
    return { id, isolation, samples, ...crowded }
  } finally {
    await provider.shutdown()
    await rm(dataDir, { recursive: true, force: true })
  }
}

const clock = () => performance.now()

/** One push-down, and what may follow it. */
async function round(
  provider: WorldRuntimeProvider,
  parent: string,
  count: string,
): Promise<[Operation, number][]> {
  const end = async (instances: readonly Instance[]) => {
    for (const { id } of instances) await provider.destroy(id)
  }
  await provider.execute(parent, count)
  const start = clock()
  const snapshot = await provider.snapshot(parent)
  const taken = clock()
  const children = await provider.branch(snapshot.id, 3)
  const branched = clock()
  await Promise.all(children.map((child) => provider.execute(child.id, count)))
  const answered = clock()
  const ids = children.map((child) => child.id)
  const merging = clock()
  const winner = await provider.merge(ids, { winner: ids[1]! })
  const merged = clock()
  await end([winner])
  const alone = clock()
  const [single] = await provider.branch(snapshot.id, 1)
  const made = clock()
  await provider.execute(single!.id, count)
  const first = clock()
  await end([single!])
  await provider.forget(snapshot.id)
  return [
    ['snapshot', taken - start],
    ['branch 3', branched - taken],
    ['push-down', branched - start],
    ['first answers 3', answered - taken],
    ['merge', merged - merging],
    ['branch', made - alone],
    ['first answer', first - alone],
  ]
}

/** Many branches at a time, each of which has run. */
async function crowd(
  provider: WorldRuntimeProvider,
  parent: string,
  { crowd: branches, count }: Backend,
  dataDir: string,
): Promise<Pick<Measured, 'crowd' | 'branchBytes' | 'privateShare'>> {
  const { id: snapshotId } = await provider.snapshot(parent)
  const before = await memoryOf(dataDir)
  const begun = performance.now()
  const children = await provider.branch(snapshotId, branches)
  const ms = performance.now() - begun
  await Promise.all(children.map((child) => provider.execute(child.id, count)))
  const after = await memoryOf(dataDir)
  for (const { id } of children) await provider.destroy(id)
  await provider.forget(snapshotId)
  const each = (field: 'own' | 'pss' | 'rss') =>
    Math.max(0, after[field] - before[field]) / branches
  const hasProcesses = after.processes - before.processes >= branches
  return {
    crowd: { branches, ms },
    branchBytes: { own: each('own'), pss: each('pss') },
    privateShare: hasProcesses ? (100 * each('own')) / each('rss') : null,
  }
}

/** Lanes of a few steps, and their verification in another process. */
async function lanes(
  provider: WorldRuntimeProvider,
  parent: string,
  { id, work, repetitions }: Backend,
  dataDir: string,
  record: (operation: Operation, ms: number) => void,
): Promise<void> {
  const replay = createReplayProvider({ worlds: { [id]: { dataDir } } })
  await replay.init({ dataDir: join(dataDir, 'replay') })
  try {
    const { id: snapshotId } = await provider.snapshot(parent)
    for (let i = 0; i < WARMUP + Math.min(repetitions, 20); i++) {
      const begun = performance.now()
      const [child] = await provider.branch(snapshotId, 1)
      const steps: Lane['steps'] = []
      for (let step = 0; step < STEPS; step++) {
        const { stateRoot, value } = await provider.execute(child!.id, work)
        steps.push({ code: work, stateRoot, value: value as number })
      }
      const ran = performance.now()
      const verdict = await replay.verify({
        worlds: id,
        from: { kind: 'snapshot', snapshotId },
        steps,
      })
      const verified = performance.now()
      if (verdict.kind !== 'verified') throw new Error(`a lane of ${id} is ${verdict.kind}`)
      await provider.destroy(child!.id)
      if (i < WARMUP) continue
      record('lane', ran - begun)
      record('verify', verified - ran)
    }
  } finally {
    await replay.shutdown()
  }
}
