import { execFile } from 'node:child_process'
import type { StatsFs } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { z } from 'zod'
import { isMultiverseError, oneLine } from '../../sdk/errors.ts'
import { anvilBinary } from '../../providers/evm/binary.ts'
import { portsFrom } from '../stack/ports.ts'
import { isRunning, readStack } from '../stack/record.ts'
import { type Finding, found, lacking } from './finding.ts'

/** The first Node that runs the sources as they are, as in scripts/bootstrap.mjs. */
const MIN_NODE = [24, 12] as const
/** What the databases of a small stack grow to within days. */
const MIN_FREE_BYTES = 1e9
const STATE_MS = 30_000

const bootstrap = fileURLToPath(new URL('../../scripts/bootstrap.mjs', import.meta.url))
const stateSchema = z.object({ packages: z.boolean(), contracts: z.boolean() })

export function checkNode(version: string = process.versions.node): Finding {
  const node = { id: 'node', name: 'Node', required: true }
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])
    ? found(node, version)
    : lacking(
        node,
        `${version} is older than ${MIN_NODE.join('.')}`,
        'npm run multiverse -- doctor, which brings its own',
      )
}

/** npm packages, the chain's program among them, and the compiled contracts: there, and of this version of the sources. */
export async function checkSetup(): Promise<Finding[]> {
  const packages = { id: 'packages', name: 'npm packages', required: true }
  const contracts = { id: 'contracts', name: 'contracts', required: true }
  const { stdout } = await promisify(execFile)(process.execPath, [bootstrap, '--state'], {
    timeout: STATE_MS,
  })
  const state = stateSchema.parse(JSON.parse(stdout))
  return [
    state.packages && hasAnvil()
      ? found(packages, 'installed')
      : lacking(packages, 'missing, or of another version', 'npm ci'),
    state.contracts
      ? found(contracts, 'compiled')
      : lacking(contracts, 'not compiled since they changed', 'npm run compile'),
  ]
}

/** The ports of a stack on the data folder. */
export async function checkPorts(dataDir: string, base: number): Promise<Finding> {
  const ports = { id: 'ports', name: 'ports', required: true }
  const stack = await readStack(dataDir)
  if (stack !== undefined && (await isRunning(stack.supervisor)))
    return found(ports, `held by the stack that runs (process ${stack.supervisor.pid})`)
  try {
    await portsFrom(base)
    return found(ports, `${base} to ${base + 3} are free`)
  } catch (error) {
    if (!isMultiverseError(error, 'PORT_TAKEN')) throw error
    const [detail = '', advice = ''] = error.message.split(': try ')
    return lacking(ports, detail, `npm start -- ${advice}`)
  }
}

/** Room for what a stack writes. */
export async function checkDisk(dataDir: string): Promise<Finding> {
  const disk = { id: 'disk', name: 'disk', required: true }
  try {
    const { bavail, bsize } = await statfsAbove(dataDir)
    const free = bavail * bsize
    const detail = `${(free / 1e9).toFixed(1)} GB free at ${dataDir}`
    return free >= MIN_FREE_BYTES
      ? found(disk, detail)
      : lacking(disk, `only ${detail}`, 'make room for 1 GB, or name another folder with --data')
  } catch (error) {
    return lacking(disk, oneLine(error), 'name another folder with --data')
  }
}

/** Of the folder, or of the nearest above it that there is. */
async function statfsAbove(path: string): Promise<StatsFs> {
  try {
    return await statfs(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error
    return statfsAbove(dirname(path))
  }
}

function hasAnvil(): boolean {
  try {
    return anvilBinary() !== ''
  } catch (error) {
    if (isMultiverseError(error)) return false
    throw error
  }
}
