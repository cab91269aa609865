import { hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { MultiverseError } from '../../sdk/errors.ts'
import { BUILD } from './build.ts'
import type { Image } from './image.ts'
import { createPool, type Pool } from './pool.ts'
import type { WorkerData } from './worker.ts'

/** How a provider uses this machine. */
export type WorkerOptions = {
  /** Worker threads; by default one for each core. */
  workers?: number
  /** Worlds that a worker keeps live. The others are restored from their images when they run: less than a millisecond. */
  maxResidents?: number
}

/** Every fourth instance that is made has the collector go through a worker's whole heap: few are, when few are kept. */
const DEFAULT_RESIDENTS = 8
/** Instances each worker makes before it is asked for any. */
const WARM_INSTANCES = 4
/** Enough for the deepest recursion that the engine allows. */
const WORKER_STACK_MB = 32

/** Starts the workers; `empty` is the state that new worlds start from. */
export async function openWorkers(options: WorkerOptions): Promise<{ pool: Pool; empty: Image }> {
  const workerData: WorkerData = {
    module: await loadModule(),
    maxResidents: options.maxResidents ?? DEFAULT_RESIDENTS,
  }
  const size = options.workers ?? availableParallelism()
  const pool = createPool(size, () => spawn(workerData))
  try {
    const { answer } = await pool.perform({ kind: 'boot' })
    await warm(pool, answer.image, size)
    return { pool, empty: answer.image }
  } catch (error) {
    await pool.close(new MultiverseError('PROVIDER_FAILED', 'the quickjs workers did not start'))
    throw error
  }
}

/**
 * Has every worker make a few instances and put them by: the first branch of a process would otherwise pay for making them
 * and for code that never ran, ten times what branching costs later.
 */
async function warm(pool: Pool, image: Image, workers: number): Promise<void> {
  const worlds = Array.from({ length: workers * WARM_INSTANCES }, (_, index) => `warm:${index}`)
  const placed = await Promise.all(
    worlds.map((world) => pool.perform({ kind: 'restore', world, image })),
  )
  for (const [index, { seat }] of placed.entries()) pool.drop(seat, worlds[index]!)
}

/** The one build of the engine, compiled once for all workers. */
async function loadModule(): Promise<WebAssembly.Module> {
  const path = createRequire(import.meta.url).resolve('@jitl/quickjs-wasmfile-release-sync/wasm')
  const bytes = await readFile(path)
  const found = hash('sha256', bytes, 'hex')
  if (found !== BUILD)
    throw new MultiverseError('PROVIDER_FAILED', `quickjs has hash ${found}, not ${BUILD}`)
  return WebAssembly.compile(bytes)
}

function spawn(workerData: WorkerData): Worker {
  return new Worker(new URL('./worker.ts', import.meta.url), {
    name: 'quickjs',
    workerData,
    env: compileCache(),
    execArgv: [],
    resourceLimits: { stackSizeMb: WORKER_STACK_MB },
  })
}

/** Nothing of this process's environment, but where code that was compiled once is kept: a worker starts in half the time. */
function compileCache(): NodeJS.ProcessEnv {
  const folder = process.env['NODE_COMPILE_CACHE']
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: folder }
}
