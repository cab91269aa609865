import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { cpus, release } from 'node:os'
import { join } from 'node:path'
import { MultiverseError, oneLine } from '../../sdk/errors.ts'
import { locate, run } from '../host/commands.ts'
import { hashJson } from '../host/files.ts'
import type { Engine, EngineId } from './engine.ts'
import { createFirecrackerEngine } from './firecracker.ts'
import type { Guest } from './guest.ts'
import { createQemuEngine } from './qemu.ts'
import { openTemplate, type Template } from './template.ts'

/** How a provider finds its engine, and where it keeps what is made once for the whole machine. */
export type EngineOptions = {
  /** By default the first of Firecracker, QEMU with KVM and QEMU without that boots the guest. */
  engine?: EngineId
  /** By default `firecracker` on the PATH. */
  firecracker?: readonly [string, ...string[]]
  /** By default `qemu-system-x86_64` on the PATH. */
  qemu?: string
  /** False leaves the processor's virtualisation alone. */
  kvm?: boolean
  /** A guest's memory, MiB. */
  memoryMiB?: number
  /** By default `defaultCacheDir` of `guest.ts`. About 400 MB. */
  cacheDir?: string
}

/** An engine that may work here; `faults` says why better ones are not among those to try. */
export type Candidates = { engines: Engine[]; faults: string[] }

/** What became of an attempt to boot with an engine on this machine. */
type Verdict = { works: boolean; reason: string }

export const DEFAULT_MEMORY_MIB = 192

/** How a machine comes to have an engine, and what building the guest needs. */
export const INSTALL =
  'apt-get update && apt-get install -y --no-install-recommends qemu-system-x86 qemu-utils cpio e2fsprogs'

/** An accelerated boot takes well under a second; where KVM is half there, it never ends, and another engine may do better. */
const ACCELERATED_BOOT_MS = 5_000
const LAST_BOOT_MS = 120_000

/** Looks for engines, best first. */
export async function findEngines(options: EngineOptions): Promise<Candidates> {
  const { memoryMiB = DEFAULT_MEMORY_MIB } = options
  const engines: Engine[] = []
  const faults: string[] = []
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    const here = `${process.platform} on ${process.arch}`
    return { engines, faults: [`microVMs run on Linux on x64, not on ${here}`] }
  }
  const kvmFault = options.kvm === false ? 'kvm: turned off' : await openKvm()

  if (options.engine !== 'qemu') {
    const command = options.firecracker ?? ['firecracker']
    const version = await versionOf(command, /Firecracker v(\S+)/)
    if (version === null) faults.push(`there is no ${command[0]}`)
    else if (kvmFault !== null && options.firecracker === undefined) faults.push(kvmFault)
    else engines.push(createFirecrackerEngine({ command, version, memoryMiB }))
  }
  if (options.engine !== 'firecracker') {
    const binary = await locate(options.qemu ?? 'qemu-system-x86_64')
    const version = binary && (await versionOf([binary], /QEMU emulator version ([\d.]+)/))
    const hasTools = (await locate('qemu-img')) !== null && (await locate('setpriv')) !== null
    if (!binary) faults.push(`there is no ${options.qemu ?? 'qemu-system-x86_64'}`)
    else if (!version) faults.push(`${binary} is no QEMU`)
    else if (!hasTools) faults.push('there is no qemu-img or no setpriv')
    else {
      const common = { binary, version, memoryMiB }
      if (kvmFault === null) engines.push(createQemuEngine({ ...common, acceleration: 'kvm' }))
      else faults.push(kvmFault)
      engines.push(createQemuEngine({ ...common, acceleration: 'tcg' }))
    }
  }
  return { engines, faults }
}

/**
 * The first engine that boots the guest, with its template. That one does not is found out once and remembered.
 * @throws PROVIDER_FAILED
 */
export async function chooseEngine(
  { engines, faults }: Candidates,
  guest: Guest,
  cacheDir: string,
  note: (text: string) => void,
): Promise<{ engine: Engine; template: Template; faults: string[] }> {
  const seen = [...faults]
  for (const engine of engines) {
    const isLast = engine === engines.at(-1)
    const known = await readVerdict(engine, guest, cacheDir)
    if (known?.works === false && !isLast) {
      seen.push(`${engine.name}: ${known.reason}`)
      continue
    }
    try {
      const limitMs = isLast ? LAST_BOOT_MS : ACCELERATED_BOOT_MS
      const template = await openTemplate(engine, guest, cacheDir, { note, limitMs })
      return { engine, template, faults: seen }
    } catch (error) {
      if (isLast) throw error
      note(`${engine.name} does not work here: ${oneLine(error)}`)
      seen.push(`${engine.name}: ${oneLine(error)}`)
      await writeVerdict(engine, guest, cacheDir, { works: false, reason: oneLine(error) })
    }
  }
  throw new MultiverseError('PROVIDER_FAILED', `no engine for microVMs: ${seen.join('; ')}`)
}

/** What is known of an engine on this machine; null when it has not been tried. */
async function readVerdict(
  engine: Engine,
  guest: Guest,
  cacheDir: string,
): Promise<Verdict | null> {
  const text = await readFile(verdictPath(engine, guest, cacheDir), 'utf8').catch(() => null)
  return text === null ? null : (JSON.parse(text) as Verdict)
}

async function writeVerdict(
  engine: Engine,
  guest: Guest,
  cacheDir: string,
  verdict: Verdict,
): Promise<void> {
  await mkdir(join(cacheDir, 'verdicts'), { recursive: true, mode: 0o700 })
  await writeFile(verdictPath(engine, guest, cacheDir), JSON.stringify(verdict))
}

function verdictPath(engine: Engine, guest: Guest, cacheDir: string): string {
  const machine = [release(), cpus()[0]?.model]
  const key = hashJson([engine.name, guest.id, machine]).slice(0, 32)
  return join(cacheDir, 'verdicts', `${key}.json`)
}

/** Why the kernel does not let this process virtualise; null when it does, though that a guest boots is another matter. */
async function openKvm(): Promise<string | null> {
  try {
    const device = await open('/dev/kvm', 'r+')
    await device.close()
    return null
  } catch (error) {
    return `kvm: ${oneLine(error)}`
  }
}

async function versionOf(
  command: readonly [string, ...string[]],
  pattern: RegExp,
): Promise<string | null> {
  try {
    const [file, ...args] = command
    return pattern.exec(await run(file, [...args, '--version'], { timeoutMs: 10_000 }))?.[1] ?? null
  } catch {
    return null
  }
}
