import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { createQuickjsProvider } from '../../providers/quickjs/provider.ts'
import { createProvider } from '../../providers/registry.ts'
import { javascript } from './javascript.ts'
import { overSocket } from './transports.ts'

// How fast runs may go. The processor's time of this process tells what they took: its threads run them.

const TIME_MS = 1_000
const SHARE = 0.1

describe('in process', () => {
  suite(async () => createQuickjsProvider({ workers: 1 }))
})
describe('over a socket', () => {
  suite(overSocket(() => createQuickjsProvider({ workers: 1 })))
})

function suite(create: () => Promise<WorldRuntimeProvider>): void {
  let dataDir: string
  let provider: WorldRuntimeProvider
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'rates-'))
    provider = await create()
    await provider.init({ dataDir, rates: { cpuShare: 0.9 } })
  })
  afterAll(async () => {
    await provider.shutdown()
    await rm(dataDir, { recursive: true })
  })

  it('holds a run to its share of a core, and stops it in time all the same', async () => {
    const { id } = await provider.create({ seed: 1n })
    const { stateRoot } = await provider.execute(id, javascript.add(1))
    const before = process.cpuUsage()
    const run = provider.execute(id, javascript.neverEnds, { timeMs: TIME_MS, cpuShare: SHARE })
    await expect(run).rejects.toMatchObject({ code: 'EXECUTION_TIMEOUT' })
    const { user, system } = process.cpuUsage(before)
    // Beside its share, what this process does anyway.
    expect((user + system) / 1_000).toBeLessThan(TIME_MS * SHARE + 120)
    expect((await provider.snapshot(id)).stateRoot).toBe(stateRoot)
  })

  it('comes to the same at any rate', async () => {
    const { id } = await provider.create({ seed: 1n })
    const { id: snapshotId } = await provider.snapshot(id)
    const code = 'let s = 0; for (let i = 0; i < 200_000; i++) s += Math.random(); s'
    const [slow, quick] = await provider.branch(snapshotId, 2)
    const held = await provider.execute(slow!.id, code, { cpuShare: 0.3 })
    const free = await provider.execute(quick!.id, code)
    expect(held).toMatchObject({ value: free.value, stateRoot: free.stateRoot })
  })

  it('refuses what makes no sense, and what it cannot hold a run to', async () => {
    expect(provider.capabilities().rates).toEqual(['cpuShare'])
    const { id } = await provider.create({ seed: 1n })
    for (const cpuShare of [0, -1, 1.5, Number.NaN])
      await expect(provider.execute(id, '1', { cpuShare })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      })
    await expect(provider.execute(id, '1', { ioBytesPerS: 1_000 })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: 'quickjs holds no run to a rate of ioBytesPerS',
    })
  })
}

it('begins with no rate that it cannot hold its runs to', async () => {
  const evm = await createProvider('evm')
  const dataDir = await mkdtemp(join(tmpdir(), 'rates-'))
  try {
    await expect(evm.init({ dataDir, rates: { cpuShare: 0.5 } })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    })
  } finally {
    await evm.shutdown()
    await rm(dataDir, { recursive: true })
  }
})
