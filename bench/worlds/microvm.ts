import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chooseEngine, findEngines } from '../../providers/microvm/engines.ts'
import { defaultCacheDir, openGuest } from '../../providers/microvm/guest.ts'
import { createMicrovmProvider } from '../../providers/microvm/provider.ts'
import { makeTemplate } from '../../providers/microvm/template.ts'
import { figure, type Row, row } from '../harness.ts'

const REPETITIONS = 8
/** Long enough for new processes to be made ready. */
const REST_MS = 400

/** A cold boot, from nothing to an answer in every language: what a machine does once, and the template stands for later. */
export async function measureBoot(note: (text: string) => void): Promise<Row> {
  note('microvm: a cold boot')
  const folder = await mkdtemp(join(tmpdir(), 'bench-microvm-'))
  try {
    const guest = await openGuest(defaultCacheDir(), note)
    const { engine } = await chooseEngine(await findEngines({}), guest, defaultCacheDir(), note)
    const begun = performance.now()
    await makeTemplate(engine, guest, join(folder, 'cold'), { limitMs: 120_000 })
    return figure(`microvm: cold boot (${engine.name})`, performance.now() - begun, 'ms')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What a pool of processes that are kept ready gains. */
export async function measureReady(note: (text: string) => void): Promise<Row[]> {
  note('microvm: with three processes kept ready')
  const dataDir = await mkdtemp(join(tmpdir(), 'bench-microvm-'))
  const provider = createMicrovmProvider({ spares: 3 })
  const samples = { made: [] as number[], answered: [] as number[] }
  try {
    await provider.init({ dataDir })
    const { id } = await provider.create({ seed: 1n })
    await provider.execute(id, '1 + 1')
    const { id: snapshotId } = await provider.snapshot(id)
    for (let i = 0; i < REPETITIONS; i++) {
      await new Promise((resolve) => setTimeout(resolve, REST_MS))
      const begun = performance.now()
      const children = await provider.branch(snapshotId, 3)
      const made = performance.now()
      await Promise.all(children.map((child) => provider.execute(child.id, '1 + 1')))
      samples.made.push(made - begun)
      samples.answered.push(performance.now() - begun)
      await Promise.all(children.map((child) => provider.destroy(child.id)))
    }
  } finally {
    await provider.shutdown()
    await rm(dataDir, { recursive: true, force: true })
  }
  return [
    row('microvm, warm pool: branch 3', samples.made, 'ms'),
    row('microvm, warm pool: first answers 3', samples.answered, 'ms'),
  ]
}
