import { hash, randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { Hex } from 'viem'
import { MultiverseError } from '../../sdk/errors.ts'
import type { EngineContext, NewWorld, OpenEngine, Program, World } from '../host/engine.ts'
import { invalid } from '../host/errors.ts'
import { createGate } from '../host/gate.ts'
import { withinTime } from '../host/limits.ts'
import { createOutput, readValue } from '../host/results.ts'
import type { Session } from '../host/session.ts'
import type { ExecutionResult, Output } from '../provider.ts'
import type { Machine } from './engine.ts'
import { type Held, hold, holdForEver, type Machines } from './machines.ts'
import { decodeAnswer, encodeRequest, type Language, languageOf } from './protocol.ts'
import type { About, SnapshotStore } from './store.ts'
import type { Template } from './template.ts'

/** 2000-01-01T00:00:00Z: where the clock of a replayable world starts. */
export const EPOCH_MS = 946_684_800_000

const RUNS_A_CORE = 4

export type Guest = {
  about: About
  /** Whether its random sources are a sibling's too, as long as no program has run. */
  isTwin: boolean
  /** The present state as files; null when a program has run since they were made. */
  image: Held | null
  /** There is none after a run that failed, until the world is needed again. At least one of the two is there. */
  machine: Machine | null
}

export type Parts = {
  /** The state that new worlds start from. */
  bare: Template
  /** Stands for all that a guest is made of, on every machine alike. */
  guest: string
  session: Session
  machines: Machines
  store: SnapshotStore
}

/** Where worlds take random numbers and the time from, and what they speak when nothing else is said. */
export type Manners = { entropy: 'fresh' | 'recorded'; language: Language }

/** Worlds in machines of one session, snapshots in a store. */
export function createWorlds(
  { bare, guest, session, machines, store }: Parts,
  { entropy, language }: Manners,
  { lose }: Pick<EngineContext, 'lose'>,
): OpenEngine<Guest, Held> {
  /** Machines and images on their way out. */
  const endings = new Set<Promise<unknown>>()
  // So that each program has its time limit mostly to itself.
  const turns = createGate(RUNS_A_CORE * availableParallelism())

  return {
    create: (_id, { seed }, signal) => start(nothing(seed), false, signal),

    snapshot: async ({ instance, state }, signal) => {
      const { image } = await captured(instance.id, state)
      signal.throwIfAborted()
      return { ...(await store.put(image)), stateRoot: image.about.stateRoot }
    },

    forget: store.remove,

    lend: async (snapshotId, _signal, use) => {
      const folder = await session.makeFolder()
      const held = hold({ folder, about: NOTHING })
      try {
        held.image.about = (await store.get(snapshotId, folder)).about
        return await use(held)
      } finally {
        await held.release()
      }
    },

    restore: (_id, held, signal) => start(held, entropy === 'fresh', signal),
    execute,
    end: ({ state }) => drop(state),

    close: async () => {
      while (endings.size > 0) await Promise.all(endings)
      await machines.close()
      await session.close()
    },
  }

  /** What a new world starts from. */
  function nothing(seed: NewWorld['seed']): Held {
    const stateRoot = rootOf(['microvm', guest, String(seed)])
    const words = hash('sha256', `multiverse seed ${seed}`, 'hex').slice(0, 32)
    const about: About = { template: bare.id, stateRoot, runs: 0, seed: words, sown: [] }
    return holdForEver({ folder: bare.folder, about })
  }

  async function start(held: Held, isTwin: boolean, signal: AbortSignal): Promise<Guest> {
    const machine = await machines.restore(held.image, signal)
    return { about: held.image.about, isTwin, image: held.keep(), machine }
  }

  async function execute(
    world: World<Guest>,
    { code, timeMs, memoryBytes, onOutput, isHeard }: Program,
    signal: AbortSignal,
  ): Promise<ExecutionResult> {
    const { state } = world
    const spoken = spokenIn(code, language)
    const held = await captured(world.instance.id, state)
    const machine = await awake(world, held, signal)
    const about = state.isTwin
      ? { ...state.about, seed: randomBytes(16).toString('hex'), sown: [] }
      : state.about
    const isStirred = entropy === 'recorded' || about.sown.includes('kernel')
    const request = {
      language: spoken,
      code,
      memoryBytes,
      isHeard,
      ...(entropy === 'recorded'
        ? { nowMs: EPOCH_MS + about.runs + 1, isStill: true }
        : { nowMs: Date.now(), isStill: false }),
      seed: about.sown.includes(spoken) ? null : Buffer.from(about.seed, 'hex'),
      entropy: isStirred ? null : randomBytes(32),
    }
    const asked = encodeRequest(request)
    const { hear, stop } = listen(onOutput)
    let isTouched = false
    try {
      const [said, tookMs] = await turns(() =>
        machines.busy(async () => {
          signal.throwIfAborted()
          isTouched = true
          const begun = performance.now()
          const said = await withinTime(timeMs, signal, () => machine.ask(asked, hear))
          return [said, performance.now() - begun] as const
        }),
      )
      // A call that was cut short has no effect, even if its program came to an end.
      signal.throwIfAborted()
      const { json, stdout, stderr } = answerOf(said)
      const value = readValue(json)
      const step = [spoken, hash('sha256', code, 'hex'), json, stdout, stderr]
      const stateRoot = rootOf([about.stateRoot, ...step])
      const sown = [...new Set([...about.sown, spoken, ...(isStirred ? [] : ['kernel' as const])])]
      state.about = { ...about, stateRoot, runs: about.runs + 1, sown }
      state.isTwin = false
      state.image = null
      later(held.release())
      return { value, stdout: cut(stdout), stderr: cut(stderr), exitCode: 0, stateRoot, tookMs }
    } catch (error) {
      if (isTouched) {
        state.machine = null
        later(machines.discard(machine))
      }
      throw error
    } finally {
      stop()
    }
  }

  /** The world's present state as files. When its machine has died since its last run, the world has died with it. */
  async function captured(id: string, state: Guest): Promise<Held> {
    const { image, machine } = state
    if (image !== null) return image
    if (machine === null || machine.hasEnded()) {
      const died = new MultiverseError('PROVIDER_FAILED', `the machine of instance ${id} has died`)
      lose(id, died)
      throw died
    }
    state.image = await machines.capture(machine, state.about)
    return state.image
  }

  /** The world's machine, made again from its image when it has none. */
  async function awake(
    world: World<Guest>,
    { image }: Held,
    signal: AbortSignal,
  ): Promise<Machine> {
    const { state } = world
    if (state.machine !== null && !state.machine.hasEnded()) return state.machine
    if (state.machine !== null) later(machines.discard(state.machine))
    state.machine = null
    const machine = await machines.restore(image, signal)
    // It may have been destroyed meanwhile.
    if (world.isEnded) later(machines.discard(machine))
    else state.machine = machine
    return machine
  }

  async function drop(state: Guest): Promise<void> {
    const { machine, image } = state
    state.machine = null
    state.image = null
    if (machine !== null) await machines.discard(machine)
    await image?.release()
  }

  /** Lets something end by itself; `close` waits for it. What cannot be removed now goes with the session. */
  function later(ending: Promise<unknown>): void {
    const done: Promise<unknown> = ending
      .catch(() => undefined)
      .finally(() => void endings.delete(done))
    endings.add(done)
  }
}

const NOTHING: About = { template: '', stateRoot: '0x', runs: 0, seed: '', sown: [] }

/** The language of a program. @throws INVALID_ARGUMENT */
export function spokenIn(code: string, unsaid: Language): Language {
  const language = languageOf(code, unsaid)
  if (language === null)
    throw invalid(`microvm does not speak the language of ${code.split('\n', 1)[0]}`)
  return language
}

/** @throws what the program failed with */
function answerOf(said: Record<string, unknown>) {
  const answer = decodeAnswer(said)
  if (answer.kind === 'done') return answer
  const { code, message, stack, stdout, stderr } = answer
  const text = code === 'PROGRAM_ERROR' ? `the program threw ${message}` : message
  const cause = { message, stack, stdout, stderr }
  throw new MultiverseError(code, text.split('\n', 1)[0] ?? text, { cause })
}

/** Hands on what a guest says that its program writes, as far as it is kept, until the run is over. */
function listen(onOutput: (output: Output) => void): {
  hear: (output: Output) => void
  stop: () => void
} {
  let isOver = false
  const tell = (stream: Output['stream']) =>
    createOutput((text) => {
      if (!isOver) onOutput({ stream, text })
    })
  const kept = { stdout: tell('stdout'), stderr: tell('stderr') }
  return {
    hear: ({ stream, text }) => kept[stream].add(text),
    stop: () => void (isOver = true),
  }
}

function cut(text: string): string {
  const output = createOutput()
  output.add(text)
  return output.text()
}

function rootOf(parts: readonly string[]): Hex {
  return `0x${hash('sha256', JSON.stringify(parts), 'hex')}`
}
