import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createWarmWorlds } from '../../keeper/warm.ts'
import { type Row, row } from '../harness.ts'
import type { Backend } from './backends.ts'

const REPETITIONS = 8
const COMPONENT = 'bench'

/** What a new world takes that a keeper had made before it was asked for. Those that nobody made before are on `create`'s line. */
export async function measureWarm(backend: Backend, note: (text: string) => void): Promise<Row> {
  note(`${backend.id}: worlds kept ready`)
  const dataDir = await mkdtemp(join(tmpdir(), 'bench-warm-'))
  const raw = backend.create(note)
  const samples: number[] = []
  const faults: unknown[] = []
  const { provider } = createWarmWorlds(raw, {
    size: 1,
    component: COMPONENT,
    onCreated: (start, ms) => {
      if (start === 'warm') samples.push(ms)
    },
    onError: (error) => void faults.push(error),
  })
  try {
    await raw.init({ dataDir })
    await raw.receiveLinkConfig({ source: COMPONENT, target: raw.id, name: 'default', config: {} })
    const next = async () => {
      const { id } = await provider.create({ seed: 1n, component: COMPONENT })
      await provider.destroy(id)
      // One that is not handed out yet is no world of the provider's, only of the raw one's.
      while ((await raw.list()).length === 0) {
        if (faults.length > 0) throw faults[0]
        await sleep(10)
      }
    }
    for (let i = 0; i <= REPETITIONS; i++) await next()
  } finally {
    await provider.shutdown()
    await rm(dataDir, { recursive: true, force: true })
  }
  return row(`${backend.id}, warm pool: create`, samples, 'ms')
}
