import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGrpoProvider } from '../../providers/grpo/provider.ts'
import { createGate } from '../../providers/host/gate.ts'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { createQuickjsProvider } from '../../providers/quickjs/provider.ts'
import { createReplayProvider, type Verifier } from '../../providers/replay/provider.ts'
import { pigou } from '../../providers/scenarios/pigou.ts'
import { scenarioSpec } from '../../providers/scenarios/scenario.ts'
import { programCode } from '../../sdk/spec.ts'
import { figure, type Row, row, time } from '../harness.ts'

const VERSES = 1_000
const CROWD = 5_000
const GB = 1e9

/** What the default worlds do together with the default verifier and optimiser: three lanes, 1,000 verses, 5,000 branches. */
export async function measureVerses(note: (text: string) => void): Promise<Row[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'bench-verses-'))
  const worlds = createQuickjsProvider()
  const replay = createReplayProvider({ worlds: { quickjs: { dataDir: join(dataDir, 'worlds') } } })
  try {
    await worlds.init({ dataDir: join(dataDir, 'worlds') })
    await replay.init({ dataDir: join(dataDir, 'replay') })
    const spec = scenarioSpec(pigou(2))
    const { id } = await worlds.create({ seed: 1n })
    await worlds.execute(id, spec.setup)
    const { id: snapshotId } = await worlds.snapshot(id)
    const codes = spec.verses.map((verse, outcome) => programCode(spec, { ...verse, outcome }))

    note('three lanes')
    const three = await time(() => lanes(worlds, replay, snapshotId, codes, 3), {
      warmup: 3,
      repetitions: 20,
    })
    note(`${VERSES} verses`)
    const begun = performance.now()
    await lanes(worlds, replay, snapshotId, codes, VERSES)
    const took = performance.now() - begun
    note('training')
    const training = await trained(worlds, snapshotId, spec)
    note(`${CROWD} branches`)
    const crowd = await worlds.branch(snapshotId, CROWD)
    await Promise.all(crowd.map((child) => worlds.execute(child.id, 'globalThis.own = 1')))
    const { rss } = process.memoryUsage()
    await worlds.merge(
      crowd.map((child) => child.id),
      { winner: crowd[0]!.id },
    )
    return [
      row('three lanes branched, executed and verified', three, 'ms', { op: '<=', value: 150 }),
      figure(`${VERSES} verses branched, executed and verified`, took, 'ms'),
      figure('throughput', (VERSES / took) * 1_000, 'verses/s'),
      figure('training of a strategy (480 rollouts)', training, 'ms'),
      figure(`this process with ${CROWD} live branches that have run`, rss / GB, 'GB', {
        op: '<=',
        value: 1.3,
      }),
    ]
  } finally {
    await replay.shutdown()
    await worlds.shutdown()
    await rm(dataDir, { recursive: true, force: true })
  }
}

/** Branches a world for every verse, plays it and has it verified, as many at a time as there is room for. */
async function lanes(
  worlds: WorldRuntimeProvider,
  replay: Verifier,
  snapshotId: string,
  codes: readonly string[],
  count: number,
): Promise<void> {
  const gate = createGate(2 * availableParallelism())
  const children = await worlds.branch(snapshotId, count)
  await Promise.all(
    children.map((child, i) =>
      gate(async () => {
        const code = codes[i % codes.length]!
        const { stateRoot } = await worlds.execute(child.id, code)
        const lane = { from: { kind: 'snapshot', snapshotId }, steps: [{ code, stateRoot }] }
        const verdict = await replay.verify({ worlds: 'quickjs', ...lane } as Parameters<
          Verifier['verify']
        >[0])
        if (verdict.kind !== 'verified') throw new Error(`verse ${i} is ${verdict.kind}`)
        await worlds.destroy(child.id)
      }),
    ),
  )
}

async function trained(
  worlds: WorldRuntimeProvider,
  snapshotId: string,
  spec: ReturnType<typeof scenarioSpec>,
): Promise<number> {
  const grpo = createGrpoProvider({ worlds })
  const folder = await mkdtemp(join(tmpdir(), 'bench-grpo-'))
  try {
    await grpo.init({ dataDir: folder })
    const begun = performance.now()
    await grpo.optimize({
      snapshotId,
      program: { program: spec.program, seed: spec.seed },
      verse: { name: 'optimal', strategy: 'selfish', trit: 0, outcome: 1 },
      parameters: spec.parameters!,
      seed: '1',
    })
    return performance.now() - begun
  } finally {
    await grpo.shutdown()
    await rm(folder, { recursive: true, force: true })
  }
}
