import { MultiverseError } from '../../sdk/errors.ts'
import { splitmix64 } from '../../sdk/gf3.ts'
import { ranTooLong, resultInvalid } from '../host/errors.ts'
import { createOutput, MAX_OUTPUT_BYTES, MAX_RESULT_BYTES } from '../host/results.ts'
import type { Output } from '../provider.ts'
import {
  HEAP_END_AT,
  INITIAL_BYTES,
  MAXIMUM_BYTES,
  PENDING,
  REJECTED,
  STACK_TOP,
  STATIC_END,
} from './build.ts'
import { createGuest, readText, writeText, type Guest } from './guest.ts'
import {
  captureImage,
  imageHead,
  restoreImage,
  type Anchors,
  type Image,
  type Span,
} from './image.ts'
import { PAGE_BYTES } from './segment.ts'
import { PRELUDE } from './prelude.ts'

/** 2000-01-01T00:00:00Z: every world's clock starts here. */
const EPOCH_MS = 946_684_800_000

/** How far a program may recurse, bytes of the guest's stack. The host's own stack must hold 32 times as much. */
const STACK_BYTES = 524_288
/** How far the engine may go below that before it looks. */
const STACK_SLACK_BYTES = 65_536
/** What the memory may hold beside the limited allocations: the engine's static part, fragmentation. */
const OVERHEAD_BYTES = 33_554_432
const UNLIMITED = -1
/** Between batches of this many jobs the deadline is looked at. */
const JOBS = 256

const STDOUT = 1
const STDERR = 2

/** Any time at all: the engine seeds its random source from the clock, and is found by it. */
const RANDOM_MARK_MS = 1_234_567_890_123

/** Instances kept for later, each with up to 16 MiB of memory. */
const MAX_SPARES = 8

const ZERO = Buffer.alloc(16_384)

/** Bounds of one run. */
export type Bounds = {
  timeMs: number
  memoryBytes: number
  /** Ends the run as soon as it is not 0. */
  stop: Int32Array
  /** Is given what the program writes, as it does. */
  onOutput?: (output: Output) => void
}

/** What a run gave: its value as JSON text, and captured output. */
export type Run = { json: string; stdout: string; stderr: string; tookMs: number }

type Told = { name: string; message: string; stack: string }
const UNTOLD: Told = { name: '', message: 'something that cannot be told', stack: '' }

/** What a program that failed said, for people: `cause` of the error. */
export type ProgramFailure = Told & { stdout: string; stderr: string }

/** One live world. After a throw from any of its functions it is in no defined state, and is neither used nor released. */
export type World = {
  /** Seeds Math.random, unsigned 64-bit. */
  seed: (value: bigint) => void
  /**
   * Advances the clock by 1 ms, runs a script, then every job that is ready, and awaits the script's completion value
   * when that is a promise.
   * @throws PROGRAM_ERROR, EXECUTION_TIMEOUT, OUT_OF_MEMORY, RESULT_INVALID, ABORTED, PROVIDER_FAILED
   */
  run: (code: string, bounds: Bounds) => Run
  /** The whole state. Quicker when `previous` is an earlier image of this world. */
  capture: (previous: Image | null) => Image
  /** Gives the instance back, to be used for another world. To be called right after a capture, once. */
  release: () => void
}

/** Makes worlds. */
export type Engine = {
  /** A new world with the prelude installed; always in the same state. */
  boot: () => World
  restore: (image: Image) => World
}

/** @param module the compiled build whose hash is BUILD of build.ts */
export function createEngine(module: WebAssembly.Module): Engine {
  /** Instances of worlds that are gone. To make a new one takes ten times as long, and the collector much longer. */
  const spares: Guest[] = []
  const release = (guest: Guest) => {
    if (spares.length < MAX_SPARES && guest.bytes().length === INITIAL_BYTES) spares.push(guest)
  }
  const acquire = (byteLength: number): Guest => {
    const spare = byteLength === INITIAL_BYTES ? spares.pop() : undefined
    if (spare === undefined) return createGuest(module, byteLength)
    const memory = spare.bytes()
    for (const { first, end } of usedSpans(memory))
      memory.fill(0, first * PAGE_BYTES, end * PAGE_BYTES)
    return spare
  }
  return {
    boot: () => {
      const guest = createGuest(module, INITIAL_BYTES)
      return createWorld(guest, boot(guest), release)
    },
    restore: (image) => {
      const { byteLength, now, anchors } = imageHead(image)
      const guest = acquire(byteLength)
      restoreImage(image, guest.bytes())
      guest.host.now = now
      return createWorld(guest, anchors, release)
    },
  }
}

/** The pages that may hold anything between runs. */
function usedSpans(memory: Buffer): Span[] {
  const end = memory.readUInt32LE(HEAP_END_AT)
  return [
    { first: 0, end: Math.ceil(STATIC_END / PAGE_BYTES) },
    { first: Math.floor(STACK_TOP / PAGE_BYTES), end: Math.ceil(end / PAGE_BYTES) },
  ]
}

/** Brings a zeroed instance to the state that every new world starts from. */
function boot(guest: Guest): Anchors {
  const { api, bytes, host } = guest
  host.now = RANDOM_MARK_MS
  api.initialise()
  const runtime = api.newRuntime()
  const context = api.newContext(runtime, 0)
  host.now = EPOCH_MS
  const mark = Buffer.alloc(8)
  mark.writeBigUInt64LE(BigInt(RANDOM_MARK_MS) * 1000n)
  const random = bytes().indexOf(mark, context)
  if (random < 0 || random > context + PAGE_BYTES)
    throw new MultiverseError('PROVIDER_FAILED', 'quickjs has no random source')
  bytes().writeBigUInt64LE(1n, random)
  api.setMaxStackSize(runtime, STACK_BYTES)
  api.enableInterrupts(runtime)
  const filename = writeText(guest, 'world.js').at
  const scratch = api.malloc(16)
  const functions = [STDOUT, STDERR].map((id) => api.newFunction(context, filename, 1, 0, id))
  const prelude = writeText(guest, PRELUDE)
  const install = api.evaluate(context, prelude.at, prelude.length, filename, 0, 0)
  api.free(prelude.at)
  functions.forEach((fn, i) => bytes().writeUInt32LE(fn, scratch + i * 4))
  const pair = api.call(context, install, api.getUndefined(), functions.length, scratch)
  const report = api.getElement(context, pair, 0)
  const describe = api.getElement(context, pair, 1)
  for (const value of [...functions, install, pair]) api.freeValue(context, value)
  return { runtime, context, report, describe, filename, scratch, random }
}

function createWorld(guest: Guest, anchors: Anchors, release: (guest: Guest) => void): World {
  const { bytes, host } = guest
  return {
    seed: (value) => {
      // The generator would stand still at 0.
      bytes().writeBigUInt64LE(splitmix64(value) || 1n, anchors.random)
    },
    run: (code, bounds) => runProgram(guest, anchors, code, bounds),
    capture: (previous) => {
      const memory = bytes()
      clearStack(memory)
      const head = { byteLength: memory.length, now: host.now, anchors }
      return captureImage(memory, usedSpans(memory), head, previous)
    },
    release: () => {
      release(guest)
    },
  }
}

/**
 * The stack is empty between runs, but what ran has left its marks on it. Without them an instance that ran and one that
 * was restored are equal to the byte, and stay so.
 */
function clearStack(memory: Buffer): void {
  const bottom = STACK_TOP - STACK_BYTES - STACK_SLACK_BYTES
  for (let end = STACK_TOP; end > bottom;) {
    const start = Math.floor((end - 1) / ZERO.length) * ZERO.length
    if (memory.compare(ZERO, 0, end - start, start, end) !== 0) memory.fill(0, start, end)
    end = start
  }
}

/** See {@link World}. */
function runProgram(guest: Guest, anchors: Anchors, code: string, bounds: Bounds): Run {
  const { api, bytes, host } = guest
  const { runtime, context } = anchors
  const begun = performance.now()
  const { onOutput = () => {} } = bounds
  const stdout = createOutput((text) => onOutput({ stream: 'stdout', text }))
  const stderr = createOutput((text) => onOutput({ stream: 'stderr', text }))
  let halt: 'time' | 'stop' | null = null
  const isHalted = () => {
    if (Atomics.load(bounds.stop, 0) !== 0) halt ??= 'stop'
    else if (performance.now() - begun > bounds.timeMs) halt ??= 'time'
    return halt !== null
  }
  host.now += 1
  host.isInterrupted = isHalted
  host.links = new Map([
    [STDOUT, { take: stdout.add, maxBytes: MAX_OUTPUT_BYTES }],
    [STDERR, { take: stderr.add, maxBytes: MAX_OUTPUT_BYTES }],
  ])
  host.maxBytes = Math.min(bounds.memoryBytes + OVERHEAD_BYTES, MAXIMUM_BYTES)
  host.isGrowthRefused = false
  try {
    api.setMemoryLimit(runtime, bounds.memoryBytes)
    const json = toJson(settle(evaluate()))
    // The limit is the call's, not the world's: it leaves no mark on the state.
    api.setMemoryLimit(runtime, UNLIMITED)
    if (api.stackPointer() !== STACK_TOP) throw new Error('the stack is unbalanced')
    return {
      json,
      stdout: stdout.text(),
      stderr: stderr.text(),
      tookMs: performance.now() - begun,
    }
  } catch (error) {
    if (error instanceof MultiverseError) throw error
    if (halt !== null) throw halted()
    if (host.isGrowthRefused) throw outOfMemory(error)
    throw new MultiverseError('PROVIDER_FAILED', `the engine trapped: ${String(error)}`, {
      cause: error,
    })
  }

  function evaluate(): number {
    const source = writeText(guest, code)
    const value = api.evaluate(context, source.at, source.length, anchors.filename, 0, 0)
    if (isHalted()) throw halted()
    if (value === 0) throw outOfMemory()
    const thrown = api.takeException(context, value)
    if (thrown !== 0) throw failed(thrown)
    api.free(source.at)
    while (api.isJobPending(runtime) !== 0) {
      const done = api.runJobs(runtime, JOBS, anchors.scratch)
      if (isHalted()) throw halted()
      if (done === 0) throw outOfMemory()
      api.freeValue(context, done)
    }
    return value
  }

  /** A promise's value, or the value itself. */
  function settle(value: number): number {
    const promise = api.promiseState(context, value)
    if (promise < PENDING) return value
    if (promise === PENDING) throw resultInvalid('is a promise that never settles')
    const result = api.promiseResult(context, value)
    api.freeValue(context, value)
    if (promise === REJECTED) throw failed(result)
    return result
  }

  function toJson(value: number): string {
    const answer = ask(anchors.report, value, MAX_RESULT_BYTES)
    if (isHalted()) throw halted()
    if ('thrown' in answer) {
      const cause = failed(answer.thrown)
      throw resultInvalid(`is not JSON: ${cause.message}`, cause)
    }
    if (!answer.isWhole) throw resultInvalid(`is longer than ${MAX_RESULT_BYTES} bytes of JSON`)
    api.freeValue(context, value)
    return answer.text
  }

  /** Calls a function of the prelude with one value; gives its text, or what it threw: 0 when there was no room even for that. */
  function ask(
    fn: number,
    value: number,
    max: number,
  ): { text: string; isWhole: boolean } | { thrown: number } {
    bytes().writeUInt32LE(value, anchors.scratch)
    const answer = api.call(context, fn, api.getUndefined(), 1, anchors.scratch)
    if (answer === 0) return { thrown: 0 }
    const thrown = api.takeException(context, answer)
    if (thrown !== 0) return { thrown }
    const at = api.toText(context, answer)
    if (at === 0) return { thrown: 0 }
    const text = readText(guest, at, max)
    api.freeText(context, at)
    api.freeValue(context, answer)
    return text
  }

  /** What became of the program, told by what it threw. */
  function failed(thrown: number): MultiverseError {
    if (thrown === 0) return outOfMemory()
    // Telling what went wrong needs memory itself.
    api.setMemoryLimit(runtime, UNLIMITED)
    host.maxBytes = Math.min(host.maxBytes + OVERHEAD_BYTES, MAXIMUM_BYTES)
    const answer = ask(anchors.describe, thrown, MAX_OUTPUT_BYTES)
    if (isHalted()) return halted()
    const told = 'text' in answer && answer.isWhole ? (JSON.parse(answer.text) as Told) : UNTOLD
    const failure: ProgramFailure = { ...told, stdout: stdout.text(), stderr: stderr.text() }
    if (told.name === 'InternalError' && told.message === 'out of memory')
      return outOfMemory(failure)
    const what = [told.name, told.message].filter((part) => part !== '').join(': ')
    const line = what.split('\n', 1)[0] || 'nothing'
    return new MultiverseError('PROGRAM_ERROR', `the program threw ${line}`, { cause: failure })
  }

  function halted(): MultiverseError {
    return halt === 'stop'
      ? new MultiverseError('ABORTED', 'the run was aborted')
      : ranTooLong(bounds.timeMs)
  }

  function outOfMemory(cause?: unknown): MultiverseError {
    const text = `the program needs more than ${bounds.memoryBytes} bytes`
    return new MultiverseError('OUT_OF_MEMORY', text, { cause })
  }
}
