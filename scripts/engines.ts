import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGvisorProvider } from '../providers/gvisor/provider.ts'
import { createMicrovmProvider } from '../providers/microvm/provider.ts'
import type { WorldRuntimeProvider } from '../providers/provider.ts'
import { oneLine } from '../sdk/errors.ts'

// Makes ahead of time what worlds in gVisor and microVMs start from, once for the whole machine: root file system, guest, and
// the first image of each. The providers do the same when they start. Says what takes long, and how long.

const note = (text: string) => console.log(`setup: microvm: ${text}`)
const dataDir = await mkdtemp(join(tmpdir(), 'multiverse-engines-'))
try {
  await Promise.all([createGvisorProvider(), createMicrovmProvider({ note })].map(prepare))
} finally {
  await rm(dataDir, { recursive: true, force: true })
}

async function prepare(provider: WorldRuntimeProvider): Promise<void> {
  const begun = performance.now()
  try {
    await provider.init({ dataDir: join(dataDir, provider.id) })
    const seconds = ((performance.now() - begun) / 1000).toFixed(1)
    console.log(`setup: ${provider.id}: ready after ${seconds} s`)
  } catch (error) {
    console.error(`error ${provider.id}: ${oneLine(error)}`)
    process.exitCode = 1
  } finally {
    await provider.shutdown()
  }
}
