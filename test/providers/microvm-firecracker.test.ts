import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connectFirecracker, type FirecrackerApi } from '../../providers/microvm/firecracker-api.ts'
import {
  defaultCacheDir,
  findGuest,
  missingTools,
  openGuest,
} from '../../providers/microvm/guest.ts'
import { type MachineProcess, startProcess } from '../../providers/microvm/processes.ts'
import { createMicrovmProvider } from '../../providers/microvm/provider.ts'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { describeWithEngine, type Found } from '../helpers/engines.ts'
import { failure } from './conformance.ts'

// No real Firecracker runs here: these tests are against the stand-in, which keeps the vendor's published rules.
const STAND_IN = fileURLToPath(new URL('../stand-ins/firecracker.ts', import.meta.url))
const command = [process.execPath, STAND_IN] as const

describe("the stand-in for Firecracker keeps the vendor's rules", () => {
  let folder: string
  let vmm: MachineProcess
  let api: FirecrackerApi

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'firecracker-'))
    await writeFile(join(folder, 'vmlinux'), '\u007FELF')
    await writeFile(join(folder, 'disk'), '')
    ;({ vmm, api } = await start(folder))
  })
  afterEach(async () => {
    await vmm.end()
    await rm(folder, { recursive: true })
  })

  async function configure() {
    await api.call('PUT /machine-config', { vcpu_count: 1, mem_size_mib: 128 })
    await api.call('PUT /boot-source', { kernel_image_path: 'vmlinux' })
    await api.call('PUT /drives/home', {
      drive_id: 'home',
      path_on_host: 'disk',
      is_root_device: false,
      is_read_only: false,
    })
    await api.call('PUT /vsock', { guest_cid: 3, uds_path: 'v.sock' })
  }

  const snapshot = { snapshot_path: 'state', mem_file_path: 'memory' }
  const load = {
    snapshot_path: '../state',
    mem_backend: { backend_type: 'File' as const, backend_path: '../memory' },
  }

  it('goes from not started to running to paused and back', async () => {
    const state = async () => (await api.info()).state
    expect(await api.info()).toMatchObject({ id: 'one', state: 'Not started' })
    await configure()
    await api.call('PUT /actions', { action_type: 'InstanceStart' })
    expect(await state()).toBe('Running')
    for (const wanted of ['Paused', 'Paused', 'Resumed', 'Resumed'] as const) {
      await api.call('PATCH /vm', { state: wanted })
      expect(await state()).toBe(wanted === 'Paused' ? 'Paused' : 'Running')
    }
  })

  it('refuses what is out of order', async () => {
    await expect(api.call('PUT /actions', { action_type: 'InstanceStart' })).rejects.toMatchObject(
      refused(/without kernel/),
    )
    await expect(api.call('PATCH /vm', { state: 'Paused' })).rejects.toMatchObject(
      refused(/before starting/),
    )
    await expect(api.call('PUT /snapshot/create', snapshot)).rejects.toMatchObject(
      refused(/before starting/),
    )
    await configure()
    await expect(api.call('PUT /snapshot/load', load)).rejects.toMatchObject(refused(/boot-spec/))
    await api.call('PUT /actions', { action_type: 'InstanceStart' })
    await expect(configure()).rejects.toMatchObject(refused(/after starting/))
    await expect(api.call('PUT /actions', { action_type: 'InstanceStart' })).rejects.toMatchObject(
      refused(/after starting/),
    )
    await expect(api.call('PUT /snapshot/create', snapshot)).rejects.toMatchObject(
      refused(/paused/),
    )
  })

  it('refuses bodies that are not in its description', async () => {
    for (const [name, body] of [
      ['PUT /machine-config', { vcpu_count: 1 }],
      ['PUT /machine-config', { vcpu_count: 33, mem_size_mib: 128 }],
      ['PUT /machine-config', { vcpu_count: 1, mem_size_mib: 128, colour: 'red' }],
      ['PUT /drives/home', { drive_id: 'home', path_on_host: 'disk', is_root_device: false }],
      ['PUT /vsock', { guest_cid: 2, uds_path: 'v.sock' }],
      ['PUT /actions', { action_type: 'Explode' }],
    ] as const)
      await expect(send(api, name, body)).rejects.toMatchObject(refused(/invalid/))
    await expect(send(api, 'PUT /nowhere', {})).rejects.toMatchObject(refused(/Invalid request/))
    await expect(
      send(api, 'PUT /drives/other', {
        drive_id: 'home',
        path_on_host: 'disk',
        is_root_device: false,
        is_read_only: true,
      }),
    ).rejects.toMatchObject(refused(/does not match/))
    await writeFile(join(folder, 'vmlinuz'), 'MZ compressed')
    await expect(
      send(api, 'PUT /boot-source', { kernel_image_path: 'vmlinuz' }),
    ).rejects.toMatchObject(refused(/ELF/))
  })

  it('loads a snapshot in another process, by the same relative names, or ends', async () => {
    await configure()
    await api.call('PUT /actions', { action_type: 'InstanceStart' })
    await api.call('PATCH /vm', { state: 'Paused' })
    await api.call('PUT /snapshot/create', snapshot)
    const other = join(folder, 'other')
    await mkdir(other)
    let second = await start(other)
    await expect(second.api.call('PUT /snapshot/load', load)).rejects.toMatchObject(
      refused(/disk cannot be opened/),
    )
    await expect.poll(() => second.vmm.hasEnded(), { timeout: 30_000 }).toBe(true)
    await rm(join(other, 'api.sock'))
    await writeFile(join(other, 'disk'), '')
    second = await start(other)
    await second.api.call('PUT /snapshot/load', load)
    expect((await second.api.info()).state).toBe('Paused')
    expect(await readdir(other)).toContain('v.sock')
    await second.vmm.end()
  })
})

describeWithEngine('microvm on the stand-in for Firecracker', await findParts(), () => {
  let home: string
  let provider: WorldRuntimeProvider
  const value = async (id: string, code: string) => (await provider.execute(id, code)).value

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'firecracker-'))
    provider = createMicrovmProvider({
      engine: 'firecracker',
      firecracker: command,
      cacheDir: defaultCacheDir(),
    })
    await provider.init({ dataDir: join(home, 'data') })
  })
  afterEach(async () => {
    for (const { id } of await provider.list()) await provider.destroy(id)
  })
  afterAll(async () => {
    await provider.shutdown()
    await rm(home, { recursive: true })
  })

  it('says so', () => {
    expect(provider.capabilities().isolation).toBe('microvm (firecracker, virtualised by KVM)')
  })

  it('boots, runs, snapshots, branches, and branches a branch whose origin is gone', async () => {
    const { id } = await provider.create({ seed: 1n })
    expect(await value(id, 'let n = 1; n += 1')).toBe(2)
    const snapshot = await provider.snapshot(id)
    expect((await provider.snapshot(id)).id).toBe(snapshot.id)
    const children = await provider.branch(snapshot.id, 3)
    const [left, right, third] = children.map((child) => child.id)
    expect(await Promise.all([value(left!, 'n += 10'), value(right!, 'n += 20')])).toEqual([12, 22])
    expect(await value(third!, 'n')).toBe(2)
    expect(await value(id, 'n')).toBe(2)
    const deeper = await provider.snapshot(left!)
    await provider.destroy(left!)
    await provider.destroy(id)
    const [child] = await provider.branch(deeper.id, 1)
    expect(await value(child!.id, 'n += 1')).toBe(13)
  })

  it('takes a failed run back, and a world that never answers', async () => {
    const { id } = await provider.create({ seed: 1n })
    const { stateRoot } = await provider.execute(id, 'var n = 1')
    await expect(provider.execute(id, 'n = 9; throw new Error("bad")')).rejects.toMatchObject({
      code: 'PROGRAM_ERROR',
      message: 'the program threw Error: bad',
    })
    await expect(provider.execute(id, 'for (;;) n++', { timeMs: 200 })).rejects.toMatchObject({
      code: 'EXECUTION_TIMEOUT',
    })
    expect((await provider.snapshot(id)).stateRoot).toBe(stateRoot)
    expect(await value(id, 'n')).toBe(1)
  })

  it('ends its processes with their worlds', async () => {
    const { id } = await provider.create({ seed: 1n })
    await value(id, '1')
    expect(await processesIn(home)).toHaveLength(1)
    await provider.destroy(id)
    await provider.destroy(id)
    expect(await processesIn(home)).toEqual([])
  })

  it('leaves no process and no folder behind', async () => {
    const other = createMicrovmProvider({ engine: 'firecracker', firecracker: command })
    await other.init({ dataDir: join(home, 'other') })
    const { id } = await other.create({ seed: 1n })
    await other.execute(id, '1')
    await other.shutdown()
    expect(await processesIn(join(home, 'other'))).toEqual([])
    expect(await readdir(join(home, 'other', 'sessions'))).toEqual([])
  })

  it('names a snapshot that is not what it was', async () => {
    const { id } = await provider.create({ seed: 1n })
    await value(id, 'var n = 1')
    const { id: snapshotId } = await provider.snapshot(id)
    const ram = join(home, 'data', 'snapshots', snapshotId, 'ram')
    const good = await readFile(ram)
    await rm(ram)
    await writeFile(ram, Buffer.concat([good, Buffer.of(32)]))
    await expect(provider.branch(snapshotId, 1)).rejects.toMatchObject({
      code: 'SNAPSHOT_CORRUPT',
      message: expect.stringContaining('ram has hash'),
    })
  })
})

/** The stand-in takes nothing but Debian's packages for the guest, whose kernel it looks at. */
async function findParts(): Promise<Found> {
  const cacheDir = defaultCacheDir()
  if (!(await findGuest(cacheDir))) {
    const missing = await missingTools()
    if (missing.length > 0)
      return { available: false, reason: `there is no ${missing[0]}`, install: 'use Debian' }
  }
  await openGuest(cacheDir, console.log)
  return { available: true }
}

async function start(at: string) {
  const vmm = startProcess([...command, '--api-sock', 'api.sock', '--id', 'one'], at, 0)
  const api = connectFirecracker(join(at, 'api.sock'))
  // A process takes its time to start on a machine that does a lot at once.
  await expect.poll(() => failure(api.info()), { timeout: 30_000 }).toBeNull()
  return { vmm, api }
}

function refused(message: RegExp): object {
  return { code: 'PROVIDER_FAILED', message: expect.stringMatching(message) }
}

function send(api: FirecrackerApi, name: string, body: object): Promise<void> {
  return api.call(name as 'PATCH /vm', body as never)
}

async function processesIn(folder: string): Promise<string[]> {
  const found: string[] = []
  for (const name of await readdir('/proc')) {
    const place = await readlink(`/proc/${name}/cwd`).catch(() => '')
    if (place.startsWith(folder)) found.push(name)
  }
  return found
}
