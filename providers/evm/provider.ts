import { randomUUID } from 'node:crypto'
import { isMultiverseError, MultiverseError, oneLine } from '../../sdk/errors.ts'
import { createCalls } from '../gvisor/calls.ts'
import type {
  ExecutionResult,
  Instance,
  Limits,
  Origin,
  ProviderConfig,
  Snapshot,
  WorldRuntimeProvider,
} from '../provider.ts'
import type { Anvil } from './anvil.ts'
import { type Image, toImage } from './image.ts'
import { createMachines, type Machines } from './machines.ts'
import { parseProgram, type Program } from './program.ts'
import { readHead, runProgram, type Run } from './run.ts'
import { openStore, type Store } from './store.ts'
import type { Json } from './values.ts'

/** How a provider uses this machine. */
export type EvmOptions = {
  /** As many anvil processes live at a time, 30 MB each. Worlds without one get one when they run. */
  maxProcesses?: number
}

const ID = 'evm'
const DEFAULT_LIMITS: Limits = { timeMs: 10_000, memoryBytes: 67_108_864 }
const DEFAULT_PROCESSES = 16
const MAX_BRANCHES = 10_000
const MAX_CODE_BYTES = 4_194_304
const MAX_TIMER_MS = 2 ** 31 - 1
/** Answers with the world's seed, which is its first word of storage: block hashes and PREVRANDAO follow from it. */
const SEED_ACCOUNT = '0x0000000000000000000000000000000000005eed'
const SEED_CODE = '0x5f545f5260205ff3'

type World = {
  instance: Instance
  /** The state after the last run that succeeded. */
  image: Image
  key: string | undefined
  /** Calls on one world are done one after the other. Never rejects. */
  turn: Promise<unknown>
}

type Session = { machines: Machines; store: Store; limits: Limits }

/**
 * Worlds of the Ethereum virtual machine: each the state of a chain of its own, held by an anvil process while it runs.
 * Programs are JSON (`program.ts`): transactions and calls. A world begins empty at the year 2000, or from a block of
 * another chain (`origin`), which must stay there to be asked.
 *
 * A run either succeeds and moves the world's state, or rejects and leaves the world as it was. This process holds every
 * world's state, so that the end of an anvil loses none; worlds end with the process, snapshots do not.
 *
 * BLOCKHASH knows true hashes only of blocks of the same run; EIP-2935's contract knows all.
 *
 * Beside the codes of the contract: ORIGIN_MOVED (another block has the origin's number), ORIGIN_FAILED (the chain does not
 * answer; may be tried again).
 */
export function createEvmProvider(options: EvmOptions = {}): WorldRuntimeProvider {
  const worlds = new Map<string, World>()
  const calls = createCalls(ID)
  /** From init to shutdown. */
  let opening: Promise<Session> | null = null
  let session: Session | null = null

  return {
    id: ID,
    name: 'EVM states in anvil',
    trit: 1,

    init: async (config) => {
      if (opening !== null) throw invalid(`${ID} is initialised already`)
      const mine = open(config, options)
      opening = mine
      try {
        const opened = await mine
        calls.links.open(config.dataDir)
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
      worlds.clear()
      calls.cut(null, notInitialised())
      const [opened] = await Promise.allSettled([closing])
      await calls.settled()
      if (opened.status === 'fulfilled') await opened.value.machines.close()
      calls.clear()
    },

    receiveLinkConfig: async (link) => {
      ready()
      calls.links.put(link)
    },

    deleteLink: async (link) => {
      ready()
      calls.withdraw(link)
    },

    create: async (request) => {
      ready()
      const { seed, key, origin = null } = request
      if (seed < 0n || seed >= 2n ** 64n)
        throw invalid(`seed ${seed} is not an unsigned 64-bit number`)
      if (origin !== null) checkOrigin(origin)
      const what = `create ${seed} ${origin?.blockHash ?? ''}`
      const instances = await calls.perform('create', null, request, (signal) =>
        calls.underKey(key, what, () =>
          make(1, null, key, signal, (world) => genesis(world, seed, origin, signal)),
        ),
      )
      const [instance] = instances
      if (instance === undefined) throw new Error('create made no instance')
      return instance
    },

    snapshot: async (instanceId, request = {}) => {
      const begun = performance.now()
      ready()
      known(instanceId)
      return calls.perform('snapshot', instanceId, request, () =>
        inTurn(instanceId, async ({ image }): Promise<Snapshot> => {
          const bytes = await ready().store.put(image)
          const { id, stateRoot } = image
          return { id, stateRoot, bytes, tookMs: performance.now() - begun }
        }),
      )
    },

    forget: async (snapshotId) => {
      await ready().store.remove(snapshotId)
    },

    branch: async (snapshotId, count, request = {}) => {
      const { store, machines, limits } = ready()
      if (!Number.isInteger(count) || count < 0 || count > MAX_BRANCHES)
        throw invalid(`count ${count} is not an integer from 0 to ${MAX_BRANCHES}`)
      const key = count === 0 ? undefined : request.key
      return calls.perform('branch', null, request, (signal) =>
        calls.underKey(key, `branch ${count} of ${snapshotId}`, async () => {
          const image = await store.get(snapshotId)
          return make(count, snapshotId, key, signal, async (world) => {
            const { memoryBytes } = limits
            await machines.prepare({ world, image, origin: null, memoryBytes }, signal)
            return image
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
      known(instanceId)
      return calls.perform('execute', instanceId, request, (signal) =>
        inTurn(instanceId, (world) => execute(world, code, { timeMs, memoryBytes }, signal)),
      )
    },

    merge: async (instanceIds, { winner }) => {
      ready()
      if (!instanceIds.includes(winner))
        throw new MultiverseError('UNKNOWN_INSTANCE', `winner ${winner} is none of the instances`)
      const { instance } = known(winner)
      await Promise.all(instanceIds.filter((id) => id !== winner).map(end))
      return instance
    },

    destroy: async (instanceId) => {
      ready()
      await end(instanceId)
    },

    capabilities: () => ({
      snapshot: true,
      branch: true,
      execute: true,
      merge: true,
      languages: ['evm'],
      isolation: 'evm in a process',
      deterministic: true,
      origin: true,
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

  /** The state of a new world. */
  async function genesis(
    world: string,
    seed: bigint,
    origin: Origin | null,
    signal: AbortSignal,
  ): Promise<Image> {
    const { machines, limits } = ready()
    const start = { world, image: null, origin, memoryBytes: limits.memoryBytes }
    try {
      return await machines.use(start, signal, async (anvil) => {
        if (origin !== null) await checkBlock(anvil, origin)
        const program: Program = {
          steps: [
            { kind: 'code', account: SEED_ACCOUNT, bytecode: SEED_CODE },
            { kind: 'store', account: SEED_ACCOUNT, slot: 0, word: `${seed}` },
          ],
        }
        await runProgram(anvil, program, { input: null, names: {} })
        return dump(anvil, origin, {})
      })
    } catch (error) {
      if (origin === null || signal.aborted || isMultiverseError(error, 'ORIGIN_MOVED')) throw error
      const text = `block ${origin.blockNumber} of ${origin.url} cannot be had: ${oneLine(error)}`
      throw new MultiverseError('ORIGIN_FAILED', text, { cause: error, isRetryable: true })
    }
  }

  async function execute(
    world: World,
    code: string,
    { timeMs, memoryBytes }: Limits,
    signal: AbortSignal,
  ): Promise<ExecutionResult> {
    signal.throwIfAborted()
    const { image, instance } = world
    const { program, input } = parseProgram(code)
    const limit = new AbortController()
    const either = AbortSignal.any([signal, limit.signal])
    let tookMs = 0
    const start = { world: instance.id, image, origin: null, memoryBytes }
    const done = await ready().machines.use(start, either, async (anvil) => {
      const begun = performance.now()
      const late = () => {
        const text = `the program ran longer than ${timeMs} ms`
        limit.abort(new MultiverseError('EXECUTION_TIMEOUT', text))
      }
      const timer = setTimeout(late, Math.min(timeMs, MAX_TIMER_MS))
      try {
        const run = await runProgram(anvil, program, { input, names: image.names })
        const next = await dump(anvil, image.origin, run.names)
        tookMs = performance.now() - begun
        return { run, image: next }
      } finally {
        clearTimeout(timer)
      }
    })
    // A call that was cut short has no effect, even if its program came to an end.
    signal.throwIfAborted()
    world.image = done.image
    return toResult(done.run, done.image, tookMs)
  }

  /** Makes all of `count` worlds or none. */
  async function make(
    count: number,
    snapshotId: string | null,
    key: string | undefined,
    signal: AbortSignal,
    give: (id: string) => Promise<Image>,
  ): Promise<Instance[]> {
    const begun = performance.now()
    const { machines } = ready()
    const ids = Array.from({ length: count }, () => randomUUID())
    const births = ids.map(async (id): Promise<World> => {
      const image = await give(id)
      const bootMs = performance.now() - begun
      const instance: Instance = { id, providerId: ID, snapshotId, bootMs }
      return { instance, image, key, turn: Promise.resolve() }
    })
    const born = await Promise.allSettled(births)
    const failed = born.find((birth) => birth.status === 'rejected')
    if (failed !== undefined || signal.aborted) {
      await Promise.all(ids.map((id) => machines.drop(id)))
      throw signal.aborted ? signal.reason : failed?.reason
    }
    const made = born.flatMap((birth) => (birth.status === 'fulfilled' ? [birth.value] : []))
    for (const world of made) worlds.set(world.instance.id, world)
    return made.map((world) => world.instance)
  }

  async function end(instanceId: string): Promise<void> {
    const world = worlds.get(instanceId)
    if (world === undefined) return
    worlds.delete(instanceId)
    calls.release(world.key)
    calls.cut(instanceId, unknownInstance(instanceId))
    await ready().machines.drop(instanceId)
  }
}

async function open(config: ProviderConfig, options: EvmOptions): Promise<Session> {
  const limits = checkLimits({ ...DEFAULT_LIMITS, ...config.limits })
  const store = await openStore(config.dataDir)
  return { store, limits, machines: createMachines(options.maxProcesses ?? DEFAULT_PROCESSES) }
}

async function dump(anvil: Anvil, origin: Origin | null, names: Image['names']): Promise<Image> {
  return toImage((await anvil.rpc('anvil_dumpState')) as `0x${string}`, origin, names)
}

/** A number may have been given to another block since. */
async function checkBlock(anvil: Anvil, { url, blockNumber, blockHash }: Origin): Promise<void> {
  const { hash } = await readHead(anvil)
  if (hash !== blockHash)
    throw new MultiverseError(
      'ORIGIN_MOVED',
      `block ${blockNumber} of ${url} is ${hash}, not ${blockHash}`,
    )
}

function toResult({ json, stdout, stderr }: Run, image: Image, tookMs: number): ExecutionResult {
  const value = JSON.parse(json) as Json
  return { value, stdout, stderr, exitCode: 0, stateRoot: image.stateRoot, tookMs }
}

function checkOrigin({ url, blockNumber, blockHash }: Origin): void {
  if (!/^https?:\/\//.test(url)) throw invalid(`origin ${url} is not an http URL`)
  if (!Number.isSafeInteger(blockNumber) || blockNumber < 0)
    throw invalid(`block ${blockNumber} is no block number`)
  if (!/^0x[0-9a-f]{64}$/.test(blockHash)) throw invalid(`${blockHash} is no block hash`)
}

function checkLimits(limits: Limits): Limits {
  for (const [name, value] of Object.entries(limits))
    if (!Number.isFinite(value) || value <= 0) throw invalid(`${name} ${value} is not above 0`)
  return { ...limits, memoryBytes: Math.ceil(limits.memoryBytes) }
}

function notInitialised(): MultiverseError {
  return new MultiverseError('NOT_INITIALIZED', `${ID} is not initialised`)
}

function unknownInstance(id: string): MultiverseError {
  return new MultiverseError('UNKNOWN_INSTANCE', `no instance ${id}`)
}

function invalid(text: string): MultiverseError {
  return new MultiverseError('INVALID_ARGUMENT', text)
}
