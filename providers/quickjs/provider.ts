import { hash, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { MultiverseError } from '../../sdk/errors.ts'
import { createLinks } from '../links.ts'
import type {
  CallOptions,
  ExecutionResult,
  Instance,
  Limits,
  ProviderConfig,
  Snapshot,
  WorldRuntimeProvider,
} from '../provider.ts'
import { createSnapshotCache } from './cache.ts'
import { BUILD, MAXIMUM_BYTES } from './build.ts'
import { imageBytes, type Image } from './image.ts'
import { createPool, type Pool } from './pool.ts'
import { openSnapshotStore, type SnapshotStore } from './store.ts'
import type { WorkerData } from './worker.ts'

/** How a provider uses this machine. */
export type QuickjsOptions = {
  /** Worker threads; by default one for each core. */
  workers?: number
  /** Worlds that a worker keeps live. The others are made again from their images when they run: about a millisecond. */
  maxResidents?: number
}

const ID = 'quickjs'
const DEFAULT_LIMITS: Limits = { timeMs: 10_000, memoryBytes: 67_108_864 }
const DEFAULT_RESIDENTS = 64
const MAX_BRANCHES = 10_000
/** Instances each worker makes before it is asked for any. */
const WARM_INSTANCES = 4
const MAX_CODE_BYTES = 4_194_304
/** A worker that is this much over the time limit is stuck in one long step of the engine, and is ended. */
const GRACE_MS = 1_000
/** Enough for the deepest recursion that the engine allows. */
const WORKER_STACK_MB = 32

type World = {
  instance: Instance
  /** The state after the last run that succeeded. */
  image: Image
  /** The worker that has it live, unless it has dropped it since. */
  seat: number
  key: string | undefined
  /** Calls on one world are done one after the other. Never rejects. */
  turn: Promise<unknown>
}

type Session = { pool: Pool; store: SnapshotStore; limits: Limits; empty: Image }

/** A call under way. */
type Call = {
  instanceId: string | null
  component: string | undefined
  controller: AbortController
}

/** What was made, or is being made, under a key. */
type Keyed = { what: string; instances: Promise<Instance[]> }

/**
 * Worlds of JavaScript: each a QuickJS heap in a WebAssembly instance of its own, in worker threads.
 *
 * A run either succeeds and moves the world's state, or rejects and leaves the world as it was. This thread holds every
 * world's state, so that the end of a worker loses none; worlds themselves end with the process, snapshots do not.
 *
 * A key is remembered within the process while every instance made under it lives; after that it makes new ones.
 *
 * Beside the codes of the contract: ABORTED (the caller's signal), INVALID_ARGUMENT.
 */
export function createQuickjsProvider(options: QuickjsOptions = {}): WorldRuntimeProvider {
  const worlds = new Map<string, World>()
  const keyed = new Map<string, Keyed>()
  const calls = new Set<Call>()
  const links = createLinks(ID)
  const cache = createSnapshotCache()
  /** From init to shutdown. */
  let opening: Promise<Session> | null = null
  let session: Session | null = null

  return {
    id: ID,
    name: 'QuickJS in WebAssembly',
    trit: 1,

    init: async (config) => {
      if (opening !== null) throw invalid(`${ID} is initialised already`)
      const mine = open(config, options)
      opening = mine
      try {
        const opened = await mine
        links.open(config.dataDir)
        if (opening === mine) session = opened
      } catch (error) {
        if (opening === mine) opening = null
        throw error
      }
    },

    shutdown: async () => {
      if (opening === null) return
      const closing = opening
      opening = null
      session = null
      const turns = [...worlds.values()].map((world) => world.turn)
      worlds.clear()
      keyed.clear()
      links.clear()
      cache.clear()
      for (const call of calls) call.controller.abort(notInitialised())
      const [opened] = await Promise.allSettled([closing])
      if (opened.status === 'fulfilled') await opened.value.pool.close(notInitialised())
      await Promise.all(turns)
    },

    receiveLinkConfig: async (link) => {
      ready()
      links.put(link)
    },

    deleteLink: async (link) => {
      ready()
      try {
        links.remove(link)
      } finally {
        // Rights end even when the disk cannot be told.
        for (const { component, controller } of calls)
          if (component !== undefined && !links.permits(component))
            controller.abort(linkDenied(component))
      }
    },

    create: async (request) => {
      const { seed, key } = request
      if (request.origin !== undefined)
        throw new MultiverseError('UNSUPPORTED', `${ID} worlds start from no chain`)
      if (seed < 0n || seed >= 2n ** 64n)
        throw invalid(`seed ${seed} is not an unsigned 64-bit number`)
      const instances = await call('create', null, request, (signal) =>
        underKey(key, `create ${seed}`, () =>
          make(1, null, key, signal, async (world) => {
            const { pool, empty } = ready()
            const placed = await pool.perform(
              { kind: 'create', world, image: empty, seed },
              { signal },
            )
            return { image: placed.answer.image, seat: placed.seat }
          }),
        ),
      )
      const [instance] = instances
      if (instance === undefined) throw new Error('create made no instance')
      return instance
    },

    snapshot: (instanceId, request = {}) => {
      const begun = performance.now()
      return call('snapshot', instanceId, request, () =>
        inTurn(instanceId, async ({ image }): Promise<Snapshot> => {
          await ready().store.write(image)
          cache.put(image)
          const tookMs = performance.now() - begun
          return { id: image.root, stateRoot: image.root, bytes: imageBytes(image), tookMs }
        }),
      )
    },

    forget: async (snapshotId) => {
      const { store } = ready()
      cache.remove(snapshotId)
      if (isRoot(snapshotId)) await store.remove(snapshotId)
    },

    branch: async (snapshotId, count, request = {}) => {
      if (!Number.isInteger(count) || count < 0 || count > MAX_BRANCHES)
        throw invalid(`count ${count} is not an integer from 0 to ${MAX_BRANCHES}`)
      const key = count === 0 ? undefined : request.key
      return call('branch', null, request, (signal) =>
        underKey(key, `branch ${count} of ${snapshotId}`, async () => {
          const image = await recall(snapshotId, signal)
          return make(count, snapshotId, key, signal, async (world) => {
            const { seat } = await ready().pool.perform(
              { kind: 'restore', world, image },
              { signal },
            )
            return { image, seat }
          })
        }),
      )
    },

    execute: async (instanceId, code, request = {}) => {
      const { limits } = ready()
      const asked = checkLimits({
        timeMs: request.timeMs ?? limits.timeMs,
        memoryBytes: request.memoryBytes ?? limits.memoryBytes,
      })
      const timeMs = Math.min(asked.timeMs, limits.timeMs)
      const memoryBytes = Math.min(asked.memoryBytes, limits.memoryBytes)
      const length = Buffer.byteLength(code)
      if (length > MAX_CODE_BYTES)
        throw invalid(`code has ${length} bytes, at most ${MAX_CODE_BYTES}`)
      return call('execute', instanceId, request, (signal) =>
        inTurn(instanceId, (world) => run(world, code, { timeMs, memoryBytes }, signal)),
      )
    },

    merge: async (instanceIds, { winner }) => {
      ready()
      if (!instanceIds.includes(winner))
        throw new MultiverseError('UNKNOWN_INSTANCE', `winner ${winner} is none of the instances`)
      const { instance } = known(winner)
      for (const instanceId of instanceIds) if (instanceId !== winner) end(instanceId)
      return instance
    },

    destroy: async (instanceId) => {
      ready()
      end(instanceId)
    },

    capabilities: () => ({
      snapshot: true,
      branch: true,
      execute: true,
      merge: true,
      languages: ['javascript'],
      isolation: 'wasm',
      deterministic: true,
    }),

    list: async () => {
      ready()
      return [...worlds.values()].map((world) => world.instance)
    },
  }

  function ready(): Session {
    if (session === null) throw notInitialised()
    return session
  }

  function known(instanceId: string): World {
    const world = worlds.get(instanceId)
    if (world === undefined) throw unknownInstance(instanceId)
    return world
  }

  /** Does a task that the caller's signal, the end of its world, of its component's rights or of the provider cuts short. */
  async function call<result>(
    what: string,
    instanceId: string | null,
    { signal, component }: CallOptions & { component?: string },
    task: (signal: AbortSignal) => Promise<result>,
  ): Promise<result> {
    ready()
    if (instanceId !== null) known(instanceId)
    if (component !== undefined && !links.permits(component)) throw linkDenied(component)
    const controller = new AbortController()
    const leave = () => {
      const text = `${what} was aborted by its caller`
      controller.abort(
        new MultiverseError('ABORTED', text, { cause: signal?.reason, isRetryable: true }),
      )
    }
    if (signal?.aborted === true) leave()
    controller.signal.throwIfAborted()
    const cut = new Promise<never>((_, reject) => {
      controller.signal.addEventListener('abort', () => reject(controller.signal.reason as Error))
    })
    const self: Call = { instanceId, component, controller }
    calls.add(self)
    signal?.addEventListener('abort', leave)
    try {
      return await Promise.race([task(controller.signal), cut])
    } finally {
      calls.delete(self)
      signal?.removeEventListener('abort', leave)
    }
  }

  /** Does a task on a world when those before it are done. */
  function inTurn<result>(
    instanceId: string,
    task: (world: World) => Promise<result>,
  ): Promise<result> {
    const world = known(instanceId)
    const done = world.turn.then(() => {
      if (worlds.get(instanceId) !== world) throw unknownInstance(instanceId)
      return task(world)
    })
    world.turn = done.catch(() => undefined)
    return done
  }

  async function run(
    world: World,
    code: string,
    { timeMs, memoryBytes }: Limits,
    signal: AbortSignal,
  ): Promise<ExecutionResult> {
    signal.throwIfAborted()
    const { id } = world.instance
    const { pool } = ready()
    const stop = new Int32Array(new SharedArrayBuffer(4))
    signal.addEventListener('abort', () => Atomics.store(stop, 0, 1))
    const error = () =>
      new MultiverseError('EXECUTION_TIMEOUT', `the program ran longer than ${timeMs} ms`)
    const { answer, seat } = await pool.perform(
      { kind: 'execute', world: id, image: world.image, code, timeMs, memoryBytes, stop },
      { seat: world.seat, signal, deadline: { ms: timeMs + GRACE_MS, error } },
    )
    const isOver = worlds.get(id) !== world
    const left = isOver ? seat : world.seat
    if (isOver || left !== seat) pool.drop(left, id)
    // A call that was cut short has no effect, even if its program came to an end.
    signal.throwIfAborted()
    world.seat = seat
    world.image = answer.image
    const { json, stdout, stderr, tookMs } = answer.run
    const stateRoot = answer.image.root
    return { value: JSON.parse(json) as unknown, stdout, stderr, exitCode: 0, stateRoot, tookMs }
  }

  function underKey(
    key: string | undefined,
    what: string,
    make: () => Promise<Instance[]>,
  ): Promise<Instance[]> {
    if (key === undefined) return make()
    const before = keyed.get(key)
    if (before !== undefined && before.what !== what)
      throw invalid(`key ${key} stands for another call: ${before.what}`)
    if (before !== undefined) return before.instances
    const instances = make()
    const entry: Keyed = { what, instances }
    keyed.set(key, entry)
    instances.catch(() => {
      if (keyed.get(key) === entry) keyed.delete(key)
    })
    return instances
  }

  /** Makes all of `count` worlds or none. */
  async function make(
    count: number,
    snapshotId: string | null,
    key: string | undefined,
    signal: AbortSignal,
    give: (id: string) => Promise<{ image: Image; seat: number }>,
  ): Promise<Instance[]> {
    const begun = performance.now()
    const births = Array.from({ length: count }, async () => {
      const id = randomUUID()
      const { image, seat } = await give(id)
      const bootMs = performance.now() - begun
      const instance: Instance = { id, providerId: ID, snapshotId, bootMs }
      return { instance, image, seat, key, turn: Promise.resolve() } satisfies World
    })
    const born = await Promise.allSettled(births)
    const failed = born.find((birth) => birth.status === 'rejected')
    const made = born.flatMap((birth) => (birth.status === 'fulfilled' ? [birth.value] : []))
    if (failed !== undefined || signal.aborted) {
      for (const { instance, seat } of made) session?.pool.drop(seat, instance.id)
      throw signal.aborted ? signal.reason : failed?.reason
    }
    for (const world of made) worlds.set(world.instance.id, world)
    return made.map((world) => world.instance)
  }

  function end(instanceId: string): void {
    const world = worlds.get(instanceId)
    if (world === undefined) return
    worlds.delete(instanceId)
    if (world.key !== undefined) keyed.delete(world.key)
    for (const call of calls)
      if (call.instanceId === instanceId) call.controller.abort(unknownInstance(instanceId))
    ready().pool.drop(world.seat, instanceId)
  }

  async function recall(snapshotId: string, signal: AbortSignal): Promise<Image> {
    const { pool, store } = ready()
    const cached = cache.get(snapshotId)
    if (cached !== undefined) return cached
    if (!isRoot(snapshotId))
      throw new MultiverseError('UNKNOWN_SNAPSHOT', `no snapshot ${snapshotId}`)
    const path = store.path(snapshotId)
    const { answer } = await pool.perform({ kind: 'load', path, root: snapshotId }, { signal })
    cache.put(answer.image)
    return answer.image
  }
}

async function open(config: ProviderConfig, options: QuickjsOptions): Promise<Session> {
  const limits = checkLimits({ ...DEFAULT_LIMITS, ...config.limits })
  const store = await openSnapshotStore(config.dataDir)
  const workerData: WorkerData = {
    module: await loadModule(),
    maxResidents: options.maxResidents ?? DEFAULT_RESIDENTS,
  }
  const size = options.workers ?? availableParallelism()
  const pool = createPool(size, () => spawn(workerData))
  try {
    const { answer } = await pool.perform({ kind: 'boot' })
    await warm(pool, answer.image, size)
    return { pool, store, limits, empty: answer.image }
  } catch (error) {
    await pool.close(notInitialised())
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
    name: ID,
    workerData,
    env: {},
    execArgv: [],
    resourceLimits: { stackSizeMb: WORKER_STACK_MB },
  })
}

function checkLimits(limits: Limits): Limits {
  for (const [name, value] of Object.entries(limits))
    if (!Number.isFinite(value) || value <= 0) throw invalid(`${name} ${value} is not above 0`)
  return { ...limits, memoryBytes: Math.min(Math.ceil(limits.memoryBytes), MAXIMUM_BYTES) }
}

function isRoot(id: string): id is `0x${string}` {
  return /^0x[0-9a-f]{64}$/.test(id)
}

function notInitialised(): MultiverseError {
  return new MultiverseError('NOT_INITIALIZED', `${ID} is not initialised`)
}

function unknownInstance(id: string): MultiverseError {
  return new MultiverseError('UNKNOWN_INSTANCE', `no instance ${id}`)
}

function linkDenied(component: string): MultiverseError {
  return new MultiverseError('LINK_DENIED', `component ${component} has no link to ${ID}`)
}

function invalid(text: string): MultiverseError {
  return new MultiverseError('INVALID_ARGUMENT', text)
}
