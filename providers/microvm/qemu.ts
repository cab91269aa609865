import { constants, copyFile, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MultiverseError } from '../../sdk/errors.ts'
import { run } from '../host/commands.ts'
import { diskFull, isFull, share } from '../host/files.ts'
import type { Acceleration, Engine, Machine } from './engine.ts'
import { jsonLines, type Lines } from './lines.ts'
import { NO_CHANGES, readChanges, writeChanges } from './memory.ts'
import { type MachineProcess, startProcess } from './processes.ts'
import { nextAnswer } from './protocol.ts'
import { connectQmp, type Qmp } from './qmp.ts'

export type QemuOptions = {
  binary: string
  /** What `binary --version` says. */
  version: string
  acceleration: Acceleration
  memoryMiB: number
}

/** Guest memory as it was when the template was made: every machine maps it privately. */
const MEMORY = 'memory'
const ROOT = 'root.ext4'
/** In a machine's folder. */
const DISK = 'disk.qcow2'
const STATE = 'state.unfinished'

/** Leaves out what a guest without users, hardware or hurry pays for in instructions. */
const BOOT_ARGUMENTS =
  'reboot=t panic=-1 quiet mitigations=off psi=0 audit=0 apparmor=0 selinux=0 nowatchdog noautogroup ' +
  'cgroup_disable=memory transparent_hugepage=never'

type Qemu = { process: MachineProcess; qmp: Qmp; agent: Lines; incoming: (state: Buffer) => void }

/**
 * QEMU's microvm machine. An image is what a machine has changed of the template's memory, its devices' state, and its disk;
 * a machine made from it is a new process with a private mapping of the template's memory.
 */
export function createQemuEngine(options: QemuOptions): Engine {
  const { acceleration, memoryMiB, version } = options

  return {
    id: 'qemu',
    acceleration,
    name: `qemu ${version} ${acceleration} ${memoryMiB}`,
    templateFiles: [MEMORY, ROOT],

    boot: async (guest, folder, limitMs, warm) => {
      await share(guest.root, join(folder, ROOT))
      await run('qemu-img', ['convert', '-O', 'qcow2', guest.home, join(folder, DISK)])
      const clock = await processorKhz()
      const qemu = launch(options, folder, folder, [
        ...memoryArguments(memoryMiB, folder, 'on'),
        '-kernel',
        guest.kernel,
        '-initrd',
        guest.initrd,
        '-append',
        clock === null ? BOOT_ARGUMENTS : `${BOOT_ARGUMENTS} tsc_early_khz=${clock}`,
      ])
      let timer
      try {
        const late = new Promise<never>((_, reject) => {
          const text = `the guest did not boot within ${limitMs} ms`
          timer = setTimeout(() => reject(new MultiverseError('PROVIDER_FAILED', text)), limitMs)
        })
        await Promise.race([qemu.agent.next(), late])
        await qemu.qmp.command('stop')
        await warm(machine(qemu, folder, join(folder, MEMORY)))
        await writeFile(join(folder, 'state'), await saveDevices(qemu, folder))
        await writeFile(join(folder, 'ram'), NO_CHANGES)
      } catch (error) {
        throw qemu.process.explain(error)
      } finally {
        clearTimeout(timer)
        await qemu.process.end()
      }
      await rename(join(folder, DISK), join(folder, 'disk'))
    },

    open: (template) => ({
      start: async (folder, first) => {
        const memory = join(template, MEMORY)
        await copyDisk(first, folder)
        const qemu = launch(options, template, folder, [
          ...memoryArguments(memoryMiB, template, 'off'),
          '-S',
          '-incoming',
          'fd:5',
        ])
        return {
          folder,
          end: qemu.process.end,
          hasEnded: qemu.process.hasEnded,
          fill: async (image) => {
            try {
              await fill(qemu, memory, image, image === first ? null : folder)
              return machine(qemu, folder, memory)
            } catch (error) {
              await qemu.process.end()
              throw qemu.process.explain(error)
            }
          },
        }
      },
    }),
  }
}

async function fill(
  { process, qmp, incoming }: Qemu,
  memory: string,
  image: string,
  folder: string | null,
): Promise<void> {
  const [changes, state] = await Promise.all([
    readFile(join(image, 'ram')),
    readFile(join(image, 'state')),
    qmp.greeted,
  ])
  // QEMU has looked at the disk that was there, but not for good: it looks again when it takes over the state.
  if (folder !== null) await copyDisk(image, folder)
  writeChanges(process.pid, memory, changes)
  incoming(state)
  for (;;) {
    const { status } = (await qmp.command('query-status')) as { status: string }
    if (status === 'paused') return
    if (status !== 'inmigrate')
      throw new MultiverseError('PROVIDER_FAILED', `QEMU is ${status} instead of paused`)
  }
}

function machine(qemu: Qemu, folder: string, memory: string): Machine {
  const { process, qmp, agent } = qemu
  /** While the guest stands still, so does this. QEMU can give it only once. */
  let devices: Buffer | null = null
  return {
    pid: process.pid,
    folder,
    end: process.end,
    hasEnded: process.hasEnded,
    ask: async (request, hear = () => undefined) => {
      devices = null
      try {
        agent.write(request)
        const [answer] = await Promise.all([nextAnswer(agent, hear), qmp.command('cont')])
        await qmp.command('stop')
        return answer
      } catch (error) {
        throw process.explain(error)
      }
    },
    capture: async (target) => {
      devices ??= await saveDevices(qemu, folder)
      await Promise.all([
        writeFile(join(target, 'ram'), readChanges(process.pid, memory)),
        writeFile(join(target, 'state'), devices),
        copyFile(join(folder, DISK), join(target, 'disk'), constants.COPYFILE_FICLONE),
      ])
    },
  }
}

async function saveDevices({ qmp }: Qemu, folder: string): Promise<Buffer> {
  const path = join(folder, STATE)
  try {
    // Whatever its name says, it saves the state of every device. It also has QEMU write its disk caches to the file.
    await qmp.command('xen-save-devices-state', { filename: path, live: true })
    return await readFile(path)
  } catch (error) {
    // QEMU does not say which error of the disk it was.
    if (!(await isFull(folder))) throw error
    throw diskFull(path, error)
  } finally {
    await rm(path, { force: true })
  }
}

function copyDisk(image: string, folder: string): Promise<void> {
  return copyFile(join(image, 'disk'), join(folder, DISK), constants.COPYFILE_FICLONE)
}

function memoryArguments(memoryMiB: number, template: string, share: 'on' | 'off'): string[] {
  const path = join(template, MEMORY).replaceAll(',', ',,')
  return [
    '-object',
    `memory-backend-file,id=ram,size=${memoryMiB}M,mem-path=${path},share=${share}`,
  ]
}

function launch(
  { binary, acceleration, memoryMiB }: QemuOptions,
  template: string,
  folder: string,
  more: readonly string[],
): Qemu {
  const root = join(template, ROOT).replaceAll(',', ',,')
  const process = startProcess(
    [
      binary,
      ...[
        ['-M', 'microvm,x-option-roms=off,rtc=on,acpi=on,isa-serial=off,memory-backend=ram'],
        ['-accel', acceleration === 'kvm' ? 'kvm' : 'tcg,thread=single,tb-size=32'],
        ['-cpu', acceleration === 'kvm' ? 'host' : 'max'],
        ['-m', `${memoryMiB}M`],
        ['-smp', '1'],
        ['-display', 'none'],
        ['-chardev', 'socket,id=monitor,fd=3'],
        ['-mon', 'chardev=monitor,mode=control'],
        ['-chardev', 'socket,id=agent,fd=4'],
        ['-device', 'virtio-serial-device'],
        ['-device', 'virtserialport,chardev=agent,name=agent'],
        ['-drive', `id=root,if=none,format=raw,file=${root},readonly=on,file.locking=off`],
        ['-device', 'virtio-blk-device,drive=root'],
        [
          '-drive',
          `id=home,if=none,format=qcow2,file=${DISK},cache=unsafe,werror=report,file.locking=off`,
        ],
        ['-device', 'virtio-blk-device,drive=home'],
        ['-global', 'migration.send-configuration=off'],
        ['-machine', 'suppress-vmdesc=on'],
        ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
      ].flat(),
      '-nodefaults',
      '-no-user-config',
      '-no-reboot',
      ...more,
    ],
    folder,
    3,
  )
  const [monitor, agent, incoming] = process.pipes
  if (!monitor || !agent || !incoming) throw new Error('QEMU was given no pipes')
  incoming.on('error', () => undefined)
  return {
    process,
    qmp: connectQmp(monitor),
    agent: jsonLines(agent, 'the guest'),
    incoming: (state) => void incoming.end(state),
  }
}

/**
 * What the guest's clock runs at. Without being told, about one emulated boot in four hangs while the guest measures it.
 */
async function processorKhz(): Promise<number | null> {
  const found = /^cpu MHz\s*: ([\d.]+)/m.exec(await readFile('/proc/cpuinfo', 'utf8'))
  return found === null ? null : Math.round(Number(found[1]) * 1_000)
}
