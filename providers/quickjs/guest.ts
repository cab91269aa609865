import { MultiverseError } from '../../sdk/errors.ts'
import {
  bindExports,
  bindImports,
  MAXIMUM_BYTES,
  WASM_PAGE_BYTES,
  type Exports,
  type Imports,
} from './build.ts'

/** What the guest asked of the host after which nothing about it is known. */
const TRAPS = ['assert', 'close', 'endKeepalive', 'seek', 'abort', 'exit'] as const

/** An instance of the engine. Nothing it imports reaches the host: no file, no environment, no time zone, no clock. */
export type Guest = {
  api: Exports
  /** A view of the whole memory. It moves when the memory grows: never keep it across a call. */
  bytes: () => Buffer
  host: HostState
}

/** What the imports answer with. It is the host's and no part of the guest's memory. */
export type HostState = {
  /** Virtual time, milliseconds since 1970. */
  now: number
  /** The memory may grow to this many bytes. */
  maxBytes: number
  isGrowthRefused: boolean
  isInterrupted: () => boolean
  /** What the guest's host functions do, by their ids; one that is not here throws in the guest. */
  links: ReadonlyMap<number, Link>
}

/** A host function: it is given its first argument as text, up to so much of it, and gives text back or nothing. */
export type Link = { take: (text: string, isWhole: boolean) => string | null; maxBytes: number }

/** A new instance with `byteLength` bytes of zeroed memory. */
export function createGuest(module: WebAssembly.Module, byteLength: number): Guest {
  const memory = new WebAssembly.Memory({
    initial: byteLength / WASM_PAGE_BYTES,
    maximum: MAXIMUM_BYTES / WASM_PAGE_BYTES,
  })
  let view = Buffer.from(memory.buffer)
  const bytes = () => {
    if (view.buffer !== memory.buffer) view = Buffer.from(memory.buffer)
    return view
  }
  const host: HostState = {
    now: 0,
    maxBytes: MAXIMUM_BYTES,
    isGrowthRefused: false,
    isInterrupted: () => false,
    links: new Map(),
  }
  const imports = createImports(memory, bytes, host, callHost)
  const instance = new WebAssembly.Instance(module, bindImports(imports))
  const guest: Guest = { api: bindExports(instance.exports), bytes, host }
  return guest

  function callHost(context: number, values: number, count: number, id: number): number {
    const { api } = guest
    const link = host.links.get(id)
    if (link === undefined)
      return evaluate(context, `throw new ReferenceError('host function ${id} has no link')`)
    const at = count > 0 ? api.toText(context, values) : 0
    if (at === 0) return 0
    const { text, isWhole } = readText(guest, at, link.maxBytes)
    api.freeText(context, at)
    const answer = link.take(text, isWhole)
    // A text in JSON is the same text in the language.
    return answer === null ? 0 : evaluate(context, JSON.stringify(answer))
  }

  function evaluate(context: number, text: string): number {
    const code = writeText(guest, text)
    const { api } = guest
    const value = api.evaluate(context, code.at, code.length, code.at + code.length, 0, 0)
    api.free(code.at)
    return value
  }
}

/** Copies text into the guest's heap, with a 0 after it. What is at `at` must be freed. */
export function writeText(guest: Guest, text: string): { at: number; length: number } {
  const length = Buffer.byteLength(text)
  const at = guest.api.malloc(length + 1)
  if (at === 0)
    throw new MultiverseError('OUT_OF_MEMORY', `the world has no room for ${length} bytes of text`)
  guest.bytes().write(text, at, length, 'utf8')
  guest.bytes()[at + length] = 0
  return { at, length }
}

/** The text at `at`, up to `max` bytes of it. */
export function readText(
  guest: Guest,
  at: number,
  max: number,
): { text: string; isWhole: boolean } {
  const bytes = guest.bytes().subarray(at, at + max + 1)
  const end = bytes.indexOf(0)
  return end < 0
    ? { text: bytes.toString('utf8', 0, max), isWhole: false }
    : { text: bytes.toString('utf8', 0, end), isWhole: true }
}

function createImports(
  memory: WebAssembly.Memory,
  bytes: () => Buffer,
  host: HostState,
  callHost: (context: number, values: number, count: number, id: number) => number,
): Imports {
  const traps = Object.fromEntries(
    TRAPS.map((name) => [
      name,
      () => {
        throw new Error(`the engine called ${name}`)
      },
    ]),
  ) as Pick<Imports, (typeof TRAPS)[number]>
  return {
    ...traps,
    memory,
    now: () => host.now,
    shouldInterrupt: () => (host.isInterrupted() ? 1 : 0),
    setTimer: () => 0,
    normalizeModule: () => 0,
    loadModule: () => 0,
    freeHost: () => undefined,
    callHost: (context, _self, count, values, id) => callHost(context, values, count, id),
    environment: () => 0,
    environmentSizes: (countAt, bytesAt) => {
      bytes().writeUInt32LE(0, countAt)
      bytes().writeUInt32LE(0, bytesAt)
      return 0
    },
    /** The engine's own messages, not the program's: counted and dropped. */
    write: (_file, vectors, count, writtenAt) => {
      let written = 0
      for (let i = 0; i < count; i++) written += bytes().readUInt32LE(vectors + i * 8 + 4)
      bytes().writeUInt32LE(written, writtenAt)
      return 0
    },
    grow: (requested) => {
      const wanted = Math.ceil((requested >>> 0) / WASM_PAGE_BYTES) * WASM_PAGE_BYTES
      if (wanted > host.maxBytes) {
        host.isGrowthRefused = true
        return 0
      }
      memory.grow((wanted - memory.buffer.byteLength) / WASM_PAGE_BYTES)
      return 1
    },
    localTime: (seconds, at) => {
      const date = new Date(Number(seconds) * 1000)
      const newYear = Date.UTC(date.getUTCFullYear(), 0, 1)
      const fields = [
        date.getUTCSeconds(),
        date.getUTCMinutes(),
        date.getUTCHours(),
        date.getUTCDate(),
        date.getUTCMonth(),
        date.getUTCFullYear() - 1900,
        date.getUTCDay(),
        Math.floor((date.getTime() - newYear) / 86_400_000),
        0,
        0,
      ]
      fields.forEach((field, i) => bytes().writeInt32LE(field | 0, at + i * 4))
    },
    timeZone: (offsetAt, hasSummerAt, nameAt, summerNameAt) => {
      bytes().writeInt32LE(0, offsetAt)
      bytes().writeInt32LE(0, hasSummerAt)
      bytes().write('UTC\0', nameAt, 'latin1')
      bytes().write('UTC\0', summerNameAt, 'latin1')
    },
  }
}
