import { MultiverseError } from '../../sdk/errors.ts'
import { splitmix64 } from '../../sdk/gf3.ts'
import { HEAP_END_AT, INITIAL_BYTES, STACK_TOP, STATIC_END } from './build.ts'
import { createGuest, writeText, type Guest } from './guest.ts'
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
import { type Bounds, CALL, type Run, runProgram, STDERR, STDOUT } from './run.ts'

/** 2000-01-01T00:00:00Z: every world's clock starts here. */
const EPOCH_MS = 946_684_800_000

/** How far a program may recurse, bytes of the guest's stack. The host's own stack must hold 32 times as much. */
const STACK_BYTES = 524_288
/** How far the engine may go below that before it looks. */
const STACK_SLACK_BYTES = 65_536
/** Any time at all: the engine seeds its random source from the clock, and is found by it. */
const RANDOM_MARK_MS = 1_234_567_890_123

/** Instances kept for later, each with up to 16 MiB of memory. */
const MAX_SPARES = 8

const ZERO = Buffer.alloc(16_384)

/** One live world. After a throw from any of its functions it is in no defined state, and is neither used nor released. */
export type World = {
  /** Seeds Math.random, unsigned 64-bit. */
  seed: (value: bigint) => void
  /** Advances the clock by 1 ms and runs a script: see run.ts. */
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
  const functions = [STDOUT, STDERR, CALL].map((id) => api.newFunction(context, filename, 1, 0, id))
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
