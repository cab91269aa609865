import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MultiverseError } from '../../sdk/errors.ts'
import { run } from '../host/commands.ts'
import { share } from '../host/files.ts'
import type { Engine, Machine } from './engine.ts'
import { connectFirecracker, type FirecrackerApi } from './firecracker-api.ts'
import { unpackKernel } from './guest.ts'
import { jsonLines, type Lines } from './lines.ts'
import { nextAnswer } from './protocol.ts'
import { type MachineProcess, startProcess } from './processes.ts'

export type FirecrackerOptions = {
  command: readonly [string, ...string[]]
  /** What `command --version` says. */
  version: string
  memoryMiB: number
}

// In a machine's folder. Snapshots remember these names: each process works in a folder of its own, so that one name
// stands for another file in each.
const API = 'api.sock'
const AGENT = 'agent.sock'
const ROOT = 'root.ext4'
const HOME = 'home.ext4'

const AGENT_PORT = 1024
const GUEST_CID = 3
const API_LIMIT_MS = 5_000
const AGENT_LIMIT_MS = 5_000
const BOOT_ARGUMENTS =
  'reboot=k panic=-1 pci=off quiet psi=0 audit=0 apparmor=0 selinux=0 nowatchdog noautogroup cgroup_disable=memory'

/**
 * Firecracker, over its API socket. An image is a full snapshot of its own making and the world's disk; a machine made from
 * it is a new process with a private mapping of the snapshot's memory file.
 */
export function createFirecrackerEngine(options: FirecrackerOptions): Engine {
  const { version, memoryMiB } = options
  return {
    id: 'firecracker',
    acceleration: 'kvm',
    name: `firecracker ${version} kvm ${memoryMiB}`,
    templateFiles: [ROOT],

    boot: async (guest, folder, limitMs, warm) => {
      await share(guest.root, join(folder, ROOT))
      await copySparse(guest.home, join(folder, HOME))
      const kernel = await unpackKernel(guest)
      const vmm = await launch(options, folder)
      const drive = { is_root_device: false, cache_type: 'Unsafe' as const }
      try {
        const { api } = vmm
        await api.call('PUT /machine-config', { vcpu_count: 1, mem_size_mib: memoryMiB })
        await api.call('PUT /boot-source', {
          kernel_image_path: kernel,
          initrd_path: guest.initrd,
          boot_args: BOOT_ARGUMENTS,
        })
        await api.call('PUT /drives/root', {
          ...drive,
          drive_id: 'root',
          path_on_host: ROOT,
          is_read_only: true,
        })
        await api.call('PUT /drives/home', {
          ...drive,
          drive_id: 'home',
          path_on_host: HOME,
          is_read_only: false,
        })
        await api.call('PUT /vsock', { guest_cid: GUEST_CID, uds_path: AGENT })
        await api.call('PUT /actions', { action_type: 'InstanceStart' })
        const booted = machine(vmm, folder, 'Running', limitMs)
        await warm(booted)
        await booted.capture(folder)
      } catch (error) {
        throw vmm.process.explain(error)
      } finally {
        await vmm.process.end()
      }
    },

    open: (template) => ({
      start: async (folder) => {
        await share(join(template, ROOT), join(folder, ROOT))
        const vmm = await launch(options, folder)
        return {
          folder,
          end: vmm.process.end,
          hasEnded: vmm.process.hasEnded,
          fill: async (image) => {
            try {
              await copySparse(join(image, 'disk'), join(folder, HOME))
              await vmm.api.call('PUT /snapshot/load', {
                snapshot_path: join(image, 'state'),
                mem_backend: { backend_type: 'File', backend_path: join(image, 'ram') },
                resume_vm: false,
              })
              return machine(vmm, folder, 'Paused', AGENT_LIMIT_MS)
            } catch (error) {
              await vmm.process.end()
              throw vmm.process.explain(error)
            }
          },
        }
      },
    }),
  }
}

type Vmm = { process: MachineProcess; api: FirecrackerApi }

function machine(
  { process, api }: Vmm,
  folder: string,
  state: 'Running' | 'Paused',
  agentLimitMs: number,
): Machine {
  let isPaused = state === 'Paused'
  let agent: Lines | null = null
  return {
    pid: process.pid,
    folder,
    end: process.end,
    hasEnded: process.hasEnded,
    ask: async (request, hear = () => undefined) => {
      try {
        if (isPaused) await api.call('PATCH /vm', { state: 'Resumed' })
        isPaused = false
        agent ??= await connectAgent(process, agentLimitMs)
        agent.write(request)
        const answer = await nextAnswer(agent, hear)
        await api.call('PATCH /vm', { state: 'Paused' })
        isPaused = true
        return answer
      } catch (error) {
        throw process.explain(error)
      }
    },
    capture: async (target) => {
      await api.call('PUT /snapshot/create', {
        snapshot_type: 'Full',
        snapshot_path: join(target, 'state'),
        mem_file_path: join(target, 'ram'),
      })
      await copySparse(join(folder, HOME), join(target, 'disk'))
    },
  }
}

/** A socket's path by way of its process's folder: a path that may be long is too long for a socket. */
function near(process: MachineProcess, name: string): string {
  return `/proc/${process.pid}/cwd/${name}`
}

/** Starts Firecracker in a folder. Resolves when its API answers. */
async function launch({ command }: FirecrackerOptions, folder: string): Promise<Vmm> {
  const process = startProcess([...command, '--api-sock', API], folder, 0)
  const api = connectFirecracker(near(process, API))
  const deadline = performance.now() + API_LIMIT_MS
  for (;;) {
    try {
      await api.info()
      return { process, api }
    } catch (error) {
      if (process.hasEnded() || performance.now() > deadline) {
        await process.end()
        throw process.explain(error)
      }
      await sleep(2)
    }
  }
}

/** Connects to the agent in the guest through Firecracker's vsock, as soon as it listens. */
async function connectAgent(process: MachineProcess, limitMs: number): Promise<Lines> {
  const deadline = performance.now() + limitMs
  for (;;) {
    const socket = connect(near(process, AGENT))
    try {
      await once(socket, 'connect')
      socket.write(`CONNECT ${AGENT_PORT}\n`)
      await greeting(socket)
      return jsonLines(socket, 'the guest')
    } catch (cause) {
      socket.destroy()
      if (process.hasEnded() || performance.now() > deadline)
        throw new MultiverseError('PROVIDER_FAILED', 'the guest does not listen', { cause })
      await sleep(10)
    }
  }
}

/** Reads Firecracker's `OK <port>` line; the rest of the stream is the guest's. */
async function greeting(socket: Socket): Promise<void> {
  let line = ''
  while (!line.endsWith('\n')) {
    const byte = socket.read(1) as Buffer | null
    if (byte !== null) line += byte.toString('latin1')
    else if (socket.readableEnded) throw new Error('the connection was refused')
    else await Promise.race([once(socket, 'readable'), once(socket, 'end').then(() => refused())])
  }
  if (!/^OK \d+\n$/.test(line)) refused()

  function refused(): never {
    throw new Error(`Firecracker says ${JSON.stringify(line)}`)
  }
}

/** Copies a disk without its holes; where the file system can, without copying at all. */
async function copySparse(from: string, to: string): Promise<void> {
  await run('cp', ['--reflink=auto', '--sparse=auto', from, to])
}
