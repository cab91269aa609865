import { hash } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { oneLine } from '../../sdk/errors.ts'
import { locate, run } from '../host/commands.ts'
import { probeSpec } from './spec.ts'

/** How gVisor catches what a world does. Newer releases have `systrap`, older ones only `ptrace`. */
export type Platform = 'systrap' | 'ptrace'

/** A runsc that has run a container on this machine. */
export type Engine = {
  path: string
  version: string
  platform: Platform
  /** Stands before the command when this process is not root: makes it root of a user namespace of its own. */
  launcher: readonly string[]
}

/** Whether worlds can run here, and if not, why, and what to do. */
export type Detection =
  | { available: true; engine: Engine }
  | { available: false; reason: string; install: string }

export type DetectOptions = {
  /** Path of the program; by default `runsc` on the PATH. */
  runsc?: string
  /** Platforms to try, in this order. */
  platforms?: readonly Platform[]
}

const INSTALL = 'apt-get install -y runsc'
const PLATFORMS: readonly Platform[] = ['systrap', 'ptrace']
const PROBE_MS = 10_000

/** Looks for gVisor and has it run a container, on each platform until one works. Leaves nothing behind. */
export async function detectGvisor(options: DetectOptions = {}): Promise<Detection> {
  if (process.platform !== 'linux')
    return refuse(`gVisor runs on Linux, not on ${process.platform}`, 'use a Linux machine')
  const path = await locate(options.runsc ?? 'runsc')
  if (path === null) return refuse(`there is no ${options.runsc ?? 'runsc'}`)
  const isRoot = process.getuid?.() === 0
  const launcher = isRoot ? [] : ['unshare', '--user', '--map-root-user', '--']
  const faults: string[] = []
  for (const platform of options.platforms ?? PLATFORMS) {
    try {
      const version = await probe({ path, version: '', platform, launcher })
      return { available: true, engine: { path, version, platform, launcher } }
    } catch (error) {
      faults.push(`${platform}: ${oneLine(error)}`)
    }
  }
  const advice = isRoot ? 'see the reason' : 'run as root, or install a newer runsc'
  return refuse(`${path} runs no container here (${faults.join('; ')})`, advice)
}

/** Stands for all that can restore an image: gVisor takes none that was made on a processor with other features. */
export function engineName({ version }: Engine): string {
  return `runsc ${version} on ${cpus()[0]?.model.trim() ?? process.arch}`
}

/** The arguments of every call of runsc, the program first. `state` is a folder that those calls share. */
export function engineCommand(engine: Engine, state: string): [string, ...string[]] {
  const flags = [
    `--root=${state}`,
    `--platform=${engine.platform}`,
    '--network=none',
    '--ignore-cgroups',
  ]
  const [first = engine.path, ...rest] = [...engine.launcher, engine.path, ...flags]
  return [first, ...rest]
}

/** The version that runsc tells from within a container that it runs. */
async function probe(engine: Engine): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gvisor-probe-'))
  try {
    const root = join(folder, 'root')
    const state = join(folder, 'state')
    await mkdir(root)
    await mkdir(state)
    await writeFile(join(root, 'program'), '')
    const spec = probeSpec(root, engine.path, ['--version'])
    await writeFile(join(folder, 'config.json'), JSON.stringify(spec))
    const id = `probe${hash('sha256', folder, 'hex').slice(0, 16)}`
    const [file, ...args] = engineCommand(engine, state)
    const limit = { timeoutMs: PROBE_MS }
    const said = await run(file, [...args, 'run', '--bundle', folder, id], limit)
    const version = /runsc version (\S+)/.exec(said)?.[1]
    if (version === undefined) throw new Error(`a container said ${JSON.stringify(said)}`)
    return version
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function refuse(reason: string, install: string = INSTALL): Detection {
  return { available: false, reason, install }
}
