import { hash, randomBytes, randomUUID } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { Hex } from 'viem'
import { MultiverseError } from '../../sdk/errors.ts'
import { createCalls, createGate } from '../gvisor/calls.ts'
import type {
  ExecutionResult,
  Instance,
  Limits,
  ProviderConfig,
  Snapshot,
  WorldRuntimeProvider,
} from '../provider.ts'
import type { Engine, Machine } from './engine.ts'
import {
  chooseEngine,
  DEFAULT_MEMORY_MIB,
  type EngineOptions,
  findEngines,
  INSTALL,
} from './engines.ts'
import { defaultCacheDir } from './files.ts'
import { openGuest } from './guest.ts'
import { createMachines, type Held, hold, holdForEver, type Machines } from './machines.ts'
import { decodeAnswer, encodeRequest, type Language, languageOf, type Request } from './protocol.ts'
import { openSession, type Session } from './session.ts'
import { type About, openSnapshotStore, type SnapshotStore } from './store.ts'
import { dropTemplates, holdTemplate, type Template } from './template.ts'

export type MicrovmOptions = EngineOptions & {
  /**
   * Where worlds take random numbers and the time from.
   *
   * `fresh` (the default): every world that was branched gets entropy of its own, for the kernel and for the interpreters,
   * before its first program, and the machine's time. `recorded`: from the seed that its first ancestor was created with,
   * and from a clock that starts at {@link EPOCH_MS} and moves by a millisecond a run, so that a run can be done again;
   * siblings then draw the same numbers. What Python and JavaScript offer is recorded, what a shell takes from the kernel
   * is not.
   */
  entropy?: 'fresh' | 'recorded'
  /** What programs are written in whose first line does not name their language; JavaScript by default. */
  language?: Language
  /** Processes kept ready for worlds to come, which makes a branch about 20 ms quicker; none by default. */
  spares?: number
  /** Is told what takes long: building the guest, a cold boot. */
  note?: (text: string) => void
}

const ID = 'microvm'
/** 2000-01-01T00:00:00Z: where the clock of a replayable world starts. */
export const EPOCH_MS = 946_684_800_000

const DEFAULT_LIMITS: Limits = { timeMs: 10_000, memoryBytes: 67_108_864 }
/** What the guest needs for itself. */
const OWN_MIB = 96
const RUNS_A_CORE = 4
const MAX_BRANCHES = 1_000
const MAX_CODE_BYTES = 4_194_304
const MAX_RESULT_BYTES = 1_048_576
const MAX_OUTPUT_BYTES = 65_536
/** The longest that a timer can wait. */
const MAX_TIMER_MS = 2_147_483_647

type World = {
  instance: Instance
  key: string | undefined
  about: About
  /** Whether its random sources are a sibling's too, as long as no program has run. */
  isTwin: boolean
  /** The present state as files; null when a program has run since they were made. */
  image: Held | null
  /** There is none after a run that failed, until the world is needed again. At least one of the two is there. */
  machine: Machine | null
  /** Calls on one world are done one after the other. Never rejects. */
  turn: Promise<unknown>
}

type Opened = {
  engine: Engine
  /** The state that new worlds start from. */
  bare: Template
  /** Stands for all that a guest is made of, on every machine alike. */
  guest: string
  session: Session
  machines: Machines
  store: SnapshotStore
  limits: Limits
  /** Lets only so many programs run at a time, so that each has its time limit mostly to itself. */
  turns: ReturnType<typeof createGate>
}

/**
 * Worlds of JavaScript, Python and shell: each a virtual machine with a Linux kernel of its own, without a network. A
 * program's first line may name its language (`#!/bin/sh`, `#!/usr/bin/env python3`). Names live as long as the world; the
 * value is the last expression's, awaited; a shell's is what it writes, as JSON, on descriptor 3.
 *
 * A world's time stands still between runs. A run either succeeds and moves the world's state, or rejects and leaves the
 * world as it was: memory, files, other processes. When the machine itself dies, it is made again from the last state.
 *
 * A microVM's memory never repeats itself to the bit. The state root therefore commits to the world's history: the guest,
 * the seed, every program and every answer. Equal roots mean equal answers to equal questions. A snapshot's id is the hash
 * of the state itself.
 *
 * Snapshots outlive the process, worlds do not. Keys are remembered while every instance made under them lives.
 */
export function createMicrovmProvider(options: MicrovmOptions = {}): WorldRuntimeProvider {
  const { entropy = 'fresh', language = 'javascript' } = options
  const worlds = new Map<string, World>()
  const calls = createCalls(ID)
  /** Machines and images on their way out. */
  const endings = new Set<Promise<unknown>>()
  /** From init to shutdown. */
  let opening: Promise<Opened> | null = null
  let opened: Opened | null = null

  return {
    id: ID,
    name: 'Linux microVMs',
    trit: 1,

    init: async (config) => {
      if (opening !== null) throw invalid(`${ID} is initialised already`)
      const mine = open(config, options)
      opening = mine
      try {
        const done = await mine
        calls.links.open(config.dataDir)
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
      const [done] = await Promise.allSettled([closing])
      await calls.settled()
      if (done.status === 'fulfilled') {
        for (const world of worlds.values()) later(drop(world, done.value.machines))
        while (endings.size > 0) await Promise.all(endings)
        await done.value.machines.close()
        await done.value.session.close()
      }
      worlds.clear()
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
      const { seed, key, origin } = request
      const { bare, guest } = ready()
      if (origin !== undefined)
        throw new MultiverseError('UNSUPPORTED', `${ID} worlds start from no block of a chain`)
      if (seed < 0n || seed >= 2n ** 64n)
        throw invalid(`seed ${seed} is not an unsigned 64-bit number`)
      const stateRoot = rootOf([ID, guest, String(seed)])
      const words = hash('sha256', `multiverse seed ${seed}`, 'hex').slice(0, 32)
      const about: About = { template: bare.id, stateRoot, runs: 0, seed: words, sown: [] }
      const instances = await calls.perform('create', null, request, (signal) =>
        calls.underKey(key, `create ${seed}`, () =>
          make(1, null, key, holdForEver({ folder: bare.folder, about }), signal),
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
        inTurn(instanceId, signal, async (world): Promise<Snapshot> => {
          const { image } = await captured(world)
          signal.throwIfAborted()
          const { id, bytes } = await ready().store.put(image)
          const tookMs = performance.now() - begun
          return { id, stateRoot: image.about.stateRoot, bytes, tookMs }
        }),
      )
    },

    forget: async (snapshotId) => {
      await ready().store.remove(snapshotId)
    },

    branch: async (snapshotId, count, request = {}) => {
      ready()
      if (!Number.isInteger(count) || count < 0 || count > MAX_BRANCHES)
        throw invalid(`count ${count} is not an integer from 0 to ${MAX_BRANCHES}`)
      const key = count === 0 ? undefined : request.key
      return calls.perform('branch', null, request, (signal) =>
        calls.underKey(key, `branch ${count} of ${snapshotId}`, () =>
          branch(snapshotId, count, key, signal),
        ),
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
      const spoken = languageOf(code, language)
      if (spoken === null)
        throw invalid(`${ID} does not speak the language of ${code.split('\n', 1)[0]}`)
      known(instanceId)
      const program = { language: spoken, code, memoryBytes }
      return calls.perform('execute', instanceId, request, (signal) =>
        inTurn(instanceId, signal, (world) => execute(world, program, timeMs, signal)),
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
      languages: ['javascript', 'python', 'sh'],
      isolation: opened === null ? ID : isolationOf(opened.engine),
      deterministic: entropy === 'recorded',
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
    signal: AbortSignal,
    task: (world: World) => Promise<result>,
  ): Promise<result> {
    const world = known(instanceId)
    const done = world.turn.then(() => {
      signal.throwIfAborted()
      if (worlds.get(instanceId) !== world) throw unknownInstance(instanceId)
      return task(world)
    })
    world.turn = done.catch(() => undefined)
    return done
  }

  async function branch(
    snapshotId: string,
    count: number,
    key: string | undefined,
    signal: AbortSignal,
  ): Promise<Instance[]> {
    const { session, store } = ready()
    const held = hold({ folder: await session.makeFolder(), about: NOTHING })
    try {
      held.image.about = (await store.get(snapshotId, held.image.folder)).about
      return await make(count, snapshotId, key, held, signal)
    } finally {
      await held.release()
    }
  }

  /** Makes all of `count` worlds or none, each continuing from an image. */
  async function make(
    count: number,
    snapshotId: string | null,
    key: string | undefined,
    held: Held,
    signal: AbortSignal,
  ): Promise<Instance[]> {
    const begun = performance.now()
    const { machines } = ready()
    const births = Array.from({ length: count }, async (): Promise<World> => {
      const machine = await machines.restore(held.image, signal)
      const bootMs = performance.now() - begun
      return {
        instance: { id: randomUUID(), providerId: ID, snapshotId, bootMs },
        key,
        about: held.image.about,
        isTwin: snapshotId !== null && entropy === 'fresh',
        image: held.keep(),
        machine,
        turn: Promise.resolve(),
      }
    })
    const born = await Promise.allSettled(births)
    const failed = born.find((birth) => birth.status === 'rejected')
    const made = born.flatMap((birth) => (birth.status === 'fulfilled' ? [birth.value] : []))
    if (failed !== undefined || signal.aborted || opened === null) {
      await Promise.all(made.map((world) => drop(world, machines)))
      throw signal.aborted ? signal.reason : (failed?.reason ?? notInitialised())
    }
    for (const world of made) worlds.set(world.instance.id, world)
    return made.map((world) => world.instance)
  }

  async function execute(
    world: World,
    program: Pick<Request, 'language' | 'code' | 'memoryBytes'>,
    timeMs: number,
    signal: AbortSignal,
  ): Promise<ExecutionResult> {
    const held = await captured(world)
    const { machines } = ready()
    const machine = await awake(world, held, signal)
    const about = world.isTwin
      ? { ...world.about, seed: randomBytes(16).toString('hex'), sown: [] }
      : world.about
    const { language, code } = program
    const isStirred = entropy === 'recorded' || about.sown.includes('kernel')
    const request = {
      ...program,
      ...(entropy === 'recorded'
        ? { nowMs: EPOCH_MS + about.runs + 1, isStill: true }
        : { nowMs: Date.now(), isStill: false }),
      seed: about.sown.includes(language) ? null : Buffer.from(about.seed, 'hex'),
      entropy: isStirred ? null : randomBytes(32),
    }
    let isTouched = false
    try {
      const [said, tookMs] = await ready().turns(() =>
        machines.busy(async () => {
          signal.throwIfAborted()
          isTouched = true
          const begun = performance.now()
          const said = await within(timeMs, signal, machine.ask(encodeRequest(request)))
          return [said, performance.now() - begun] as const
        }),
      )
      // A call that was cut short has no effect, even if its program came to an end.
      signal.throwIfAborted()
      const answer = decodeAnswer(said)
      const { stdout, stderr } = answer
      if (answer.kind === 'failed') {
        const { code, message, stack } = answer
        const text = code === 'PROGRAM_ERROR' ? `the program threw ${message}` : message
        throw new MultiverseError(code, text.split('\n', 1)[0] ?? text, {
          cause: { message, stack, stdout, stderr },
        })
      }
      const value = readValue(answer.json)
      const step = [language, hash('sha256', code, 'hex'), answer.json, stdout, stderr]
      const stateRoot = rootOf([about.stateRoot, ...step])
      const sown = [
        ...new Set([...about.sown, language, ...(isStirred ? [] : ['kernel' as const])]),
      ]
      world.about = { ...about, stateRoot, runs: about.runs + 1, sown }
      world.isTwin = false
      world.image = null
      later(held.release())
      return {
        value,
        stdout: cut(stdout),
        stderr: cut(stderr),
        exitCode: 0,
        stateRoot,
        tookMs,
      }
    } catch (error) {
      if (isTouched) {
        world.machine = null
        later(machines.discard(machine))
      }
      throw error
    }
  }

  /** The world's present state as files. When its machine has died since its last run, the world has died with it. */
  async function captured(world: World): Promise<Held> {
    const { machines } = ready()
    const { image, machine } = world
    if (image !== null) return image
    if (machine === null || machine.hasEnded()) {
      const { id } = world.instance
      const died = new MultiverseError('PROVIDER_FAILED', `the machine of instance ${id} has died`)
      await destroy(id, died)
      throw died
    }
    world.image = await machines.capture(machine, world.about)
    return world.image
  }

  /** The world's machine, made again from its image when it has none. */
  async function awake(world: World, { image }: Held, signal: AbortSignal): Promise<Machine> {
    const { machines } = ready()
    if (world.machine !== null && !world.machine.hasEnded()) return world.machine
    if (world.machine !== null) later(machines.discard(world.machine))
    world.machine = null
    const machine = await machines.restore(image, signal)
    // It may have been destroyed meanwhile.
    if (worlds.get(world.instance.id) === world) world.machine = machine
    else later(machines.discard(machine))
    return machine
  }

  async function destroy(instanceId: string, why = unknownInstance(instanceId)): Promise<void> {
    const world = worlds.get(instanceId)
    if (world === undefined) return
    worlds.delete(instanceId)
    calls.release(world.key)
    calls.cut(instanceId, why)
    const { machines } = ready()
    const ending = drop(world, machines)
    later(ending)
    await ending
  }

  async function drop(world: World, machines: Machines): Promise<void> {
    const { machine, image } = world
    world.machine = null
    world.image = null
    if (machine !== null) await machines.discard(machine)
    await image?.release()
  }

  /** Lets something end by itself; shutdown waits for it. What cannot be removed now goes with the session. */
  function later(ending: Promise<unknown>): void {
    const done: Promise<unknown> = ending
      .catch(() => undefined)
      .finally(() => void endings.delete(done))
    endings.add(done)
  }
}

const NOTHING: About = { template: '', stateRoot: '0x', runs: 0, seed: '', sown: [] }

async function open(config: ProviderConfig, options: MicrovmOptions): Promise<Opened> {
  const { note = () => {}, cacheDir = defaultCacheDir(), memoryMiB = DEFAULT_MEMORY_MIB } = options
  const limits = checkLimits({ ...DEFAULT_LIMITS, ...config.limits })
  const most = (memoryMiB - OWN_MIB) * 1_048_576
  if (limits.memoryBytes > most)
    throw invalid(`memoryBytes ${limits.memoryBytes} is above ${most}: give guests more memoryMiB`)
  const candidates = await findEngines({ ...options, memoryMiB })
  if (candidates.engines.length === 0)
    throw new MultiverseError('PROVIDER_FAILED', `${candidates.faults.join('; ')}: ${INSTALL}`)
  const guest = await openGuest(cacheDir, note)
  const { engine, template } = await chooseEngine(candidates, guest, cacheDir, note)
  const { dataDir } = config
  const session = await openSession(join(dataDir, 'sessions'))
  try {
    const store = await openSnapshotStore(join(dataDir, 'snapshots'))
    const bare = await holdTemplate(template, dataDir)
    if (await session.isAlone())
      await dropTemplates(dataDir, new Set([bare.id, ...(await store.templates())]))
    const spares = options.spares ?? 0
    const machines = createMachines({ engine, template: bare, session, dataDir, spares })
    const turns = createGate(RUNS_A_CORE * availableParallelism())
    return { engine, bare, guest: guest.id, session, machines, store, limits, turns }
  } catch (error) {
    await session.close()
    throw error
  }
}

function checkLimits(limits: Limits): Limits {
  for (const [name, value] of Object.entries(limits))
    if (!Number.isFinite(value) || value <= 0) throw invalid(`${name} ${value} is not above 0`)
  return limits
}

/** Waits for something for so long, or until the signal. What comes of it later is no matter. */
async function within<result>(
  timeMs: number,
  signal: AbortSignal,
  task: Promise<result>,
): Promise<result> {
  const stop = Promise.withResolvers<never>()
  const leave = () => stop.reject(signal.reason as Error)
  const late = () =>
    stop.reject(
      new MultiverseError('EXECUTION_TIMEOUT', `the program ran longer than ${timeMs} ms`),
    )
  const timer = setTimeout(late, Math.min(timeMs, MAX_TIMER_MS))
  signal.addEventListener('abort', leave)
  if (signal.aborted) leave()
  try {
    return await Promise.race([task, stop.promise])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', leave)
  }
}

function readValue(json: string): unknown {
  const length = Buffer.byteLength(json)
  if (length > MAX_RESULT_BYTES)
    throw resultInvalid(`has ${length} bytes of JSON, at most ${MAX_RESULT_BYTES}`)
  try {
    return JSON.parse(json) as unknown
  } catch (cause) {
    throw resultInvalid('is not JSON', cause)
  }
}

function cut(text: string): string {
  return text.slice(0, MAX_OUTPUT_BYTES)
}

function rootOf(parts: readonly string[]): Hex {
  return `0x${hash('sha256', JSON.stringify(parts), 'hex')}`
}

function isolationOf({ id, acceleration }: Engine): string {
  return `${ID} (${id}, ${acceleration === 'kvm' ? 'virtualised by KVM' : 'emulated by software'})`
}

function notInitialised(): MultiverseError {
  return new MultiverseError('NOT_INITIALIZED', `${ID} is not initialised`)
}

function unknownInstance(id: string): MultiverseError {
  return new MultiverseError('UNKNOWN_INSTANCE', `no instance ${id}`)
}

function resultInvalid(what: string, cause?: unknown): MultiverseError {
  return new MultiverseError('RESULT_INVALID', `the program's result ${what}`, { cause })
}

function invalid(text: string): MultiverseError {
  return new MultiverseError('INVALID_ARGUMENT', text)
}
