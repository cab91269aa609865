import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { StringDecoder } from 'node:string_decoder'
import type { Hex } from 'viem'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import type { EngineContext, OpenEngine, Program, World } from '../host/engine.ts'
import { invalid, unknownSnapshot } from '../host/errors.ts'
import { isMissing } from '../host/files.ts'
import { readValue } from '../host/results.ts'
import type { Session } from '../host/session.ts'
import type { ExecutionResult } from '../provider.ts'
import { withinBounds } from './bounds.ts'
import type { SandboxFactory } from './factory.ts'
import { imageBytes, linkImage, openImage, type Image } from './image.ts'
import { languageOf, type Answer, type Language, type Output, type Request } from './protocol.ts'
import type { Sandbox } from './sandbox.ts'
import type { SnapshotStore } from './store.ts'

/** What gVisor's own part of a world may take for tables and garbage of its own. */
const MARGIN_BYTES = 67_108_864
/** A world whose way from its image is longer than this gets a new one before it goes on. */
const MAX_WAY = { ms: 5_000, steps: 256 }

/** For what is the provider's own doing. */
const UNBOUND = { timeMs: 30_000, maxBytes: Number.POSITIVE_INFINITY }

/** A request that was answered, and is answered alike when the world is brought back. */
type Step = { request: Request; tookMs: number }

export type Container = {
  id: string
  folder: string
  /** An earlier state of the world, and what has been done in it since. */
  base: Image
  since: Step[]
  /** The present state. */
  root: Hex
  isOpaque: boolean
  /** Its sandbox. There is none after a snapshot and after a run that failed, until the world is needed again. */
  live: Sandbox | null
}

export type Parts = { session: Session; factory: SandboxFactory; store: SnapshotStore }

/** Worlds in containers of one session, snapshots in a store. */
export function createWorlds(
  { session, factory, store }: Parts,
  { lose }: Pick<EngineContext, 'lose'>,
): OpenEngine<Container, Image> {
  return {
    create: async (id, { seed }, signal) => {
      const world = await restore(id, factory.bare, signal)
      try {
        const request: Request = { op: 'seed', seed }
        const answer = await withinBounds(world.live, UNBOUND, signal, () =>
          world.live.ask(request),
        )
        settle(world, request, answer, { tookMs: 0, outputs: [] })
        return world
      } catch (error) {
        await discard(world)
        throw error
      }
    },

    snapshot: async ({ state }, signal) => {
      if (state.since.length > 0) await capture(state, signal)
      signal.throwIfAborted()
      await store.put(state.base)
      return { id: state.root, stateRoot: state.root, bytes: imageBytes(state.base) }
    },

    forget: store.remove,
    lend: async (snapshotId, _signal, use) => use(await store.get(snapshotId)),
    restore,
    execute,

    end: async ({ state, turn }) => {
      await state.live?.kill()
      await turn
      await discard(state)
    },

    close: session.close,
  }

  async function restore(
    id: string,
    image: Image,
    signal: AbortSignal,
  ): Promise<Container & { live: Sandbox }> {
    const folder = join(session.folder, id)
    const base = await borrow(image, folder)
    try {
      signal.throwIfAborted()
      const live = await factory.restore(base, signal)
      return { id, folder, base, since: [], root: image.about.root, isOpaque: false, live }
    } catch (error) {
      await rm(folder, { recursive: true, force: true })
      throw error
    }
  }

  async function execute(
    { state }: World<Container>,
    { code, timeMs, memoryBytes, onOutput }: Program,
    signal: AbortSignal,
  ): Promise<ExecutionResult> {
    const request: Request = { op: 'run', language: spokenIn(code), code, memoryBytes }
    const steps = state.since.length
    const ms = state.since.reduce((sum, { tookMs }) => sum + tookMs, 0)
    // What may not repeat itself, or not soon, is not left to be done again.
    if (steps > 0 && (state.isOpaque || ms > MAX_WAY.ms || steps >= MAX_WAY.steps))
      await capture(state, signal)
    const live = await wake(state, signal)
    const maxBytes = factory.bare.about.usedBytes + memoryBytes + MARGIN_BYTES
    signal.throwIfAborted()
    const outputs: Output[] = []
    const begun = performance.now()
    let answer: Answer | null = null
    try {
      const hear = decoded(onOutput)
      const ask = () =>
        live.ask(request, (output) => {
          outputs.push(output)
          hear(output)
        })
      answer = await withinBounds(live, { timeMs, maxBytes }, signal, ask)
      const tookMs = performance.now() - begun
      // A call that was cut short has no effect, even if its program came to an end.
      signal.throwIfAborted()
      const value = settle(state, request, answer, { tookMs, outputs })
      return { value, ...gather(outputs), exitCode: 0, stateRoot: state.root, tookMs }
    } catch (error) {
      // A program that failed before it changed anything costs its world nothing.
      const isUnchanged =
        answer?.kind === 'failed' && answer.root === state.root && !answer.isOpaque
      if (!isUnchanged) {
        state.live = null
        await live.kill()
      }
      throw error
    }
  }

  /**
   * The world's sandbox, brought back when it has none. A world that trying again cannot bring back is ended.
   * @throws PROVIDER_FAILED, SNAPSHOT_CORRUPT
   */
  async function wake(world: Container, signal: AbortSignal): Promise<Sandbox> {
    if (world.live !== null && (await world.live.isAlive())) return world.live
    await world.live?.kill()
    world.live = null
    let live: Sandbox | null = null
    try {
      await openImage(world.base.folder)
      live = await factory.restore(world.base, signal)
      for (const step of world.since) await repeat(world, live, step, signal)
    } catch (error) {
      await live?.kill()
      const mayHelp = signal.aborted || (isMultiverseError(error) && error.isRetryable)
      if (!mayHelp) lose(world.id, error)
      throw error
    }
    world.live = live
    return live
  }

  async function repeat(
    world: Container,
    live: Sandbox,
    { request, tookMs }: Step,
    signal: AbortSignal,
  ): Promise<void> {
    const fault = (why: string) =>
      new MultiverseError(
        'PROVIDER_FAILED',
        `world ${world.id} cannot be brought back, as its programs do not repeat: ${why}`,
      )
    const bounds = { ...UNBOUND, timeMs: UNBOUND.timeMs + 4 * tookMs }
    const answer = await withinBounds(live, bounds, signal, () => live.ask(request))
    if (answer.kind !== 'done') throw fault(`one is ${answer.kind} now`)
    const isLast = request === world.since.at(-1)?.request
    if (isLast && answer.root !== world.root)
      throw fault(`state ${answer.root} is not ${world.root}`)
  }

  /** Makes the present state the world's image. Its sandbox ends. */
  async function capture(world: Container, signal: AbortSignal): Promise<void> {
    const live = await wake(world, signal)
    const { base } = world
    try {
      world.base = await factory.capture(live, join(world.folder, randomUUID()), world.root)
      world.since = []
    } finally {
      world.live = null
    }
    await rm(base.folder, { recursive: true, force: true })
  }
}

/** The language of a program. @throws INVALID_ARGUMENT */
export function spokenIn(code: string): Language {
  const language = languageOf(code)
  if (language === null)
    throw invalid(`gvisor does not speak the language of ${code.split('\n', 1)[0]}`)
  return language
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

async function discard({ live, folder }: Container): Promise<void> {
  await live?.kill()
  await rm(folder, { recursive: true, force: true })
}

/** Takes an answer into the world, and gives its value. */
function settle(
  world: Container,
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
  throw new MultiverseError('PROVIDER_FAILED', `world ${world.id} answers a ping`)
}

/** Pieces of bytes as pieces of text: a character may come in two. */
function decoded(listener: Program['onOutput']): (output: Output) => void {
  const decoders = { stdout: new StringDecoder(), stderr: new StringDecoder() }
  return ({ stream, bytes }) => listener({ stream, text: decoders[stream].write(bytes) })
}

function gather(outputs: readonly Output[]): { stdout: string; stderr: string } {
  const text = (stream: Output['stream']) =>
    Buffer.concat(
      outputs.filter((each) => each.stream === stream).map(({ bytes }) => bytes),
    ).toString()
  return { stdout: text('stdout'), stderr: text('stderr') }
}
