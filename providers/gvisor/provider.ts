import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Hex } from 'viem'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import type {
  ExecutionResult,
  Instance,
  Limits,
  ProviderConfig,
  Snapshot,
  WorldRuntimeProvider,
} from '../provider.ts'
import { withinBounds } from './bounds.ts'
import { createCalls } from './calls.ts'
import { detectGvisor, type DetectOptions } from './engine.ts'
import { createSandboxFactory, type SandboxFactory } from './factory.ts'
import { isMissing } from './files.ts'
import { imageBytes, linkImage, openImage, type Image } from './image.ts'
import { languageOf, type Answer, type Output, type Request } from './protocol.ts'
import { defaultCacheDir, openRootFs } from './rootfs.ts'
import type { Sandbox } from './sandbox.ts'
import { openSession, type Session } from './session.ts'
import { openSnapshotStore, unknownSnapshot, type SnapshotStore } from './store.ts'

/** How a provider finds gVisor, and where it keeps what is made once for the whole machine. */
export type GvisorOptions = DetectOptions & {
  /** By default {@link defaultCacheDir}. About 75 MB. */
  cacheDir?: string
}

const ID = 'gvisor'
const DEFAULT_LIMITS: Limits = { timeMs: 10_000, memoryBytes: 268_435_456 }
const MAX_MEMORY_BYTES = 8_589_934_592
const MAX_BRANCHES = 1_000
const MAX_CODE_BYTES = 4_194_304
const MAX_RESULT_BYTES = 1_048_576
/** What gVisor's own part of a world may take for tables and garbage of its own. */
const MARGIN_BYTES = 67_108_864
/** A world whose way from its image is longer than this gets a new one before it goes on. */
const MAX_WAY = { ms: 5_000, steps: 256 }

/** For what is the provider's own doing. */
const UNBOUND = { timeMs: 30_000, maxBytes: Number.POSITIVE_INFINITY }

/** A request that was answered, and is answered alike when the world is brought back. */
type Step = { request: Request; tookMs: number }

type World = {
  instance: Instance
  key: string | undefined
  folder: string
  /** An earlier state of the world, and what has been done in it since. */
  base: Image
  since: Step[]
  /** The present state. */
  root: Hex
  isOpaque: boolean
  /** Its container. There is none after a snapshot and after a run that failed, until the world is needed again. */
  live: Sandbox | null
  /** Calls on one world are done one after the other. Never rejects. */
  turn: Promise<unknown>
}

type Opened = {
  session: Session
  factory: SandboxFactory
  store: SnapshotStore
  limits: Limits
}

/**
 * Worlds of Python and shell: each a gVisor container with real Linux processes, without a network, that sees nothing of
 * the host but a root file system it cannot write. A program is Python unless its first line names a shell (`#!/bin/sh`);
 * Python names live as long as the world, the value is the last expression; a shell's value is what it writes, as JSON, on
 * descriptor 3.
 *
 * A run either succeeds and moves the world's state, or rejects and leaves the world as it was: after a failure the world is
 * brought back from its last image, the runs since then are done again, and the state root tells whether that led to the
 * same state; a world whose programs do not repeat themselves is ended, by name. Worlds move only while they run.
 *
 * The state root covers files and, in the main interpreter, all that Python lets one look at (`guest/state.py`). What
 * cannot be looked at (other processes, threads, open files) is stood for by the hash of all programs that ran. Clock and
 * entropy are the machine's own, so equal runs have equal roots only as far as programs do not ask for those.
 *
 * Snapshots outlive the process, worlds do not. Keys are remembered while every instance made under them lives.
 */
export function createGvisorProvider(options: GvisorOptions = {}): WorldRuntimeProvider {
  const worlds = new Map<string, World>()
  const calls = createCalls(ID)
  /** Worlds on their way out. */
  const endings = new Set<Promise<void>>()
  /** From init to shutdown. */
  let opening: Promise<Opened> | null = null
  let opened: Opened | null = null

  return {
    id: ID,
    name: 'gVisor containers',
    trit: 1,

    init: async (config) => {
      if (opening !== null) throw invalid(`${ID} is initialised already`)
      const mine = open(config, options)
      opening = mine
      try {
        const done = await mine
        if (opening === mine) opened = done
      } catch (error) {
        if (opening === mine) opening = null
        throw error
      }
    },

    shutdown: async () => {
      if (opening === null) return
      const closing = opening
      opening = null
      opened = null
      calls.cut(null, notInitialised())
      await calls.settled()
      await Promise.all([...worlds.values()].map((world) => end(world, notInitialised())))
      await Promise.all(endings)
      calls.clear()
      const [done] = await Promise.allSettled([closing])
      if (done.status === 'fulfilled') await done.value.session.close()
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
      const { seed, key } = request
      const { factory } = ready()
      if (seed < 0n || seed >= 2n ** 64n)
        throw invalid(`seed ${seed} is not an unsigned 64-bit number`)
      const instances = await calls.perform('create', null, request, (signal) =>
        calls.underKey(key, `create ${seed}`, () =>
          make(1, null, key, factory.bare, [{ op: 'seed', seed }], signal),
        ),
      )
      const [instance] = instances
      if (instance === undefined) throw new Error('create made no instance')
      return instance
    },

    snapshot: async (instanceId, request = {}) => {
      const begun = performance.now()
      known(instanceId)
      return calls.perform('snapshot', instanceId, request, (signal) =>
        inTurn(instanceId, async (world): Promise<Snapshot> => {
          signal.throwIfAborted()
          if (world.since.length > 0) await capture(world, signal)
          signal.throwIfAborted()
          await ready().store.put(world.base)
          const { root } = world
          const tookMs = performance.now() - begun
          return { id: root, stateRoot: root, bytes: imageBytes(world.base), tookMs }
        }),
      )
    },

    forget: async (snapshotId) => {
      await ready().store.remove(snapshotId)
    },

    branch: async (snapshotId, count, request = {}) => {
      const { store } = ready()
      if (!Number.isInteger(count) || count < 0 || count > MAX_BRANCHES)
        throw invalid(`count ${count} is not an integer from 0 to ${MAX_BRANCHES}`)
      const key = count === 0 ? undefined : request.key
      return calls.perform('branch', null, request, (signal) =>
        calls.underKey(key, `branch ${count} of ${snapshotId}`, async () => {
          const image = await store.get(snapshotId)
          return make(count, snapshotId, key, image, [], signal)
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
      const language = languageOf(code)
      if (language === null)
        throw invalid(`${ID} does not speak the language of ${code.split('\n', 1)[0]}`)
      known(instanceId)
      const run = { op: 'run', language, code, memoryBytes } as const
      return calls.perform('execute', instanceId, request, (signal) =>
        inTurn(instanceId, (world) => execute(world, run, timeMs, signal)),
      )
    },

    merge: async (instanceIds, { winner }) => {
      ready()
      if (!instanceIds.includes(winner))
        throw new MultiverseError('UNKNOWN_INSTANCE', `winner ${winner} is none of the instances`)
      const { instance } = known(winner)
      await Promise.all(instanceIds.filter((id) => id !== winner).map((id) => destroy(id)))
      return instance
    },

    destroy: async (instanceId) => {
      ready()
      await destroy(instanceId)
    },

    capabilities: () => ({
      snapshot: true,
      branch: true,
      execute: true,
      merge: true,
      languages: ['python', 'sh'],
      isolation: 'gvisor',
      deterministic: false,
    }),

    list: async () => {
      ready()
      return [...worlds.values()].map((world) => world.instance)
    },
  }

  function ready(): Opened {
    if (opened === null) throw notInitialised()
    return opened
  }

  function known(instanceId: string): World {
    ready()
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

  /** Makes all of `count` worlds or none, each continuing from the image with some requests. */
  async function make(
    count: number,
    snapshotId: string | null,
    key: string | undefined,
    image: Image,
    requests: readonly Request[],
    signal: AbortSignal,
  ): Promise<Instance[]> {
    const begun = performance.now()
    const { session } = ready()
    const births = Array.from({ length: count }, async (): Promise<World> => {
      const id = randomUUID()
      const folder = join(session.folder, id)
      const base = await borrow(image, folder)
      const world: World = {
        instance: { id, providerId: ID, snapshotId, bootMs: 0 },
        key,
        folder,
        base,
        since: [],
        root: image.about.root,
        isOpaque: false,
        live: null,
        turn: Promise.resolve(),
      }
      try {
        signal.throwIfAborted()
        const live = await ready().factory.restore(world.base, signal)
        world.live = live
        for (const request of requests) {
          const answer = await withinBounds(live, UNBOUND, signal, () => live.ask(request))
          settle(world, request, answer, { tookMs: 0, outputs: [] })
        }
      } catch (error) {
        await discard(world)
        throw error
      }
      world.instance.bootMs = performance.now() - begun
      return world
    })
    const born = await Promise.allSettled(births)
    const failed = born.find((birth) => birth.status === 'rejected')
    const made = born.flatMap((birth) => (birth.status === 'fulfilled' ? [birth.value] : []))
    if (failed !== undefined || signal.aborted || opened === null) {
      await Promise.all(made.map((world) => discard(world)))
      throw signal.aborted ? signal.reason : (failed?.reason ?? notInitialised())
    }
    for (const world of made) worlds.set(world.instance.id, world)
    return made.map((world) => world.instance)
  }

  async function execute(
    world: World,
    request: Extract<Request, { op: 'run' }>,
    timeMs: number,
    signal: AbortSignal,
  ): Promise<ExecutionResult> {
    signal.throwIfAborted()
    const steps = world.since.length
    const ms = world.since.reduce((sum, { tookMs }) => sum + tookMs, 0)
    // What may not repeat itself, or not soon, is not left to be done again.
    if (steps > 0 && (world.isOpaque || ms > MAX_WAY.ms || steps >= MAX_WAY.steps))
      await capture(world, signal)
    const live = await wake(world, signal)
    const maxBytes = ready().factory.bare.about.usedBytes + request.memoryBytes + MARGIN_BYTES
    signal.throwIfAborted()
    const outputs: Output[] = []
    const begun = performance.now()
    let answer: Answer | null = null
    try {
      const ask = () => live.ask(request, (output) => outputs.push(output))
      answer = await withinBounds(live, { timeMs, maxBytes }, signal, ask)
      const tookMs = performance.now() - begun
      // A call that was cut short has no effect, even if its program came to an end.
      signal.throwIfAborted()
      const value = settle(world, request, answer, { tookMs, outputs })
      return { value, ...gather(outputs), exitCode: 0, stateRoot: world.root, tookMs }
    } catch (error) {
      // A program that failed before it changed anything costs its world nothing.
      const isUnchanged =
        answer?.kind === 'failed' && answer.root === world.root && !answer.isOpaque
      if (!isUnchanged) {
        world.live = null
        await live.kill()
      }
      throw error
    }
  }

  /** Takes an answer into the world, and gives its value. */
  function settle(
    world: World,
    request: Request,
    answer: Answer,
    { tookMs, outputs }: { tookMs: number; outputs: readonly Output[] },
  ): unknown {
    if (answer.kind === 'done') {
      const value = readValue(answer.json)
      world.since.push({ request, tookMs })
      world.root = answer.root
      world.isOpaque = answer.isOpaque
      return value
    }
    if (answer.kind === 'failed') {
      const { code, name, message, stack } = answer
      const text = [name, message.split('\n', 1)[0]?.trim()].filter(Boolean).join(': ')
      const cause = { name, message, stack, ...gather(outputs) }
      throw new MultiverseError(code, text, { cause })
    }
    if (answer.kind === 'lost') throw new MultiverseError('PROGRAM_ERROR', answer.message)
    throw new MultiverseError('PROVIDER_FAILED', `world ${world.instance.id} answers a ping`)
  }

  /**
   * The world's container, brought back when it has none. A world that trying again cannot bring back is ended.
   * @throws PROVIDER_FAILED, SNAPSHOT_CORRUPT
   */
  async function wake(world: World, signal: AbortSignal): Promise<Sandbox> {
    if (world.live !== null && !world.live.hasEnded) return world.live
    await world.live?.kill()
    world.live = null
    let live: Sandbox | null = null
    try {
      await openImage(world.base.folder)
      live = await ready().factory.restore(world.base, signal)
      for (const step of world.since) await repeat(world, live, step, signal)
    } catch (error) {
      await live?.kill()
      const mayHelp = signal.aborted || (isMultiverseError(error) && error.isRetryable)
      if (!mayHelp) void end(world, error)
      throw error
    }
    world.live = live
    return live
  }

  async function repeat(
    world: World,
    live: Sandbox,
    { request, tookMs }: Step,
    signal: AbortSignal,
  ): Promise<void> {
    const fault = (why: string) =>
      new MultiverseError(
        'PROVIDER_FAILED',
        `world ${world.instance.id} cannot be brought back, as its programs do not repeat: ${why}`,
      )
    const bounds = { ...UNBOUND, timeMs: UNBOUND.timeMs + 4 * tookMs }
    const answer = await withinBounds(live, bounds, signal, () => live.ask(request))
    if (answer.kind !== 'done') throw fault(`one is ${answer.kind} now`)
    const isLast = request === world.since.at(-1)?.request
    if (isLast && answer.root !== world.root)
      throw fault(`state ${answer.root} is not ${world.root}`)
  }

  /** Makes the present state the world's image. Its container ends. */
  async function capture(world: World, signal: AbortSignal): Promise<void> {
    const live = await wake(world, signal)
    const { base } = world
    try {
      const folder = join(world.folder, randomUUID())
      world.base = await ready().factory.capture(live, folder, world.root)
      world.since = []
    } finally {
      world.live = null
    }
    await rm(base.folder, { recursive: true, force: true })
  }

  async function destroy(instanceId: string): Promise<void> {
    const world = worlds.get(instanceId)
    if (world !== undefined) await end(world, unknownInstance(instanceId))
  }

  /** Ends a world and the calls on it. Resolves when nothing of it is left. */
  function end(world: World, reason: unknown): Promise<void> {
    worlds.delete(world.instance.id)
    calls.release(world.key)
    calls.cut(world.instance.id, reason)
    const ending = discard(world)
    endings.add(ending)
    // One that fails stays, and is told by shutdown.
    ending.then(
      () => endings.delete(ending),
      () => undefined,
    )
    return ending
  }

  async function discard(world: World): Promise<void> {
    await world.live?.kill()
    await world.turn
    await world.live?.kill()
    await rm(world.folder, { recursive: true, force: true })
  }
}

/** A snapshot may be let go at any time; what is made of it has its own hold on it. */
async function borrow(image: Image, folder: string): Promise<Image> {
  try {
    return await linkImage(image, join(folder, 'first'))
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw isMissing(error) ? unknownSnapshot(image.about.root) : error
  }
}

async function open(config: ProviderConfig, options: GvisorOptions): Promise<Opened> {
  const limits = checkLimits({ ...DEFAULT_LIMITS, ...config.limits })
  const detection = await detectGvisor(options)
  if (!detection.available)
    throw new MultiverseError('PROVIDER_FAILED', `${detection.reason}: ${detection.install}`)
  const { engine } = detection
  const cacheDir = options.cacheDir ?? defaultCacheDir()
  const rootfs = await openRootFs(cacheDir)
  const session = await openSession(join(config.dataDir, 'sessions'))
  try {
    const { folder } = session
    const factory = await createSandboxFactory({ engine, rootfs, cacheDir, folder })
    const store = await openSnapshotStore(join(config.dataDir, 'snapshots'), folder)
    return { session, factory, store, limits }
  } catch (error) {
    await session.close()
    throw error
  }
}

function checkLimits(limits: Limits): Limits {
  for (const [name, value] of Object.entries(limits))
    if (!Number.isFinite(value) || value <= 0) throw invalid(`${name} ${value} is not above 0`)
  return { ...limits, memoryBytes: Math.min(Math.ceil(limits.memoryBytes), MAX_MEMORY_BYTES) }
}

function readValue(json: string): unknown {
  const length = Buffer.byteLength(json)
  if (length > MAX_RESULT_BYTES)
    throw resultInvalid(`the result has ${length} bytes of JSON, at most ${MAX_RESULT_BYTES}`)
  try {
    return JSON.parse(json) as unknown
  } catch (error) {
    throw resultInvalid('the result is not JSON', error)
  }
}

function gather(outputs: readonly Output[]): { stdout: string; stderr: string } {
  const text = (stream: Output['stream']) =>
    Buffer.concat(
      outputs.filter((each) => each.stream === stream).map(({ bytes }) => bytes),
    ).toString()
  return { stdout: text('stdout'), stderr: text('stderr') }
}

function notInitialised(): MultiverseError {
  return new MultiverseError('NOT_INITIALIZED', `${ID} is not initialised`)
}

function unknownInstance(id: string): MultiverseError {
  return new MultiverseError('UNKNOWN_INSTANCE', `no instance ${id}`)
}

function resultInvalid(text: string, cause?: unknown): MultiverseError {
  return new MultiverseError('RESULT_INVALID', text, { cause })
}

function invalid(text: string): MultiverseError {
  return new MultiverseError('INVALID_ARGUMENT', text)
}
