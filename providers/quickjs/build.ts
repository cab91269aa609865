import { MultiverseError } from '../../sdk/errors.ts'

/**
 * SHA-256 of the one WebAssembly build of QuickJS that everything in this file describes. Another build has other
 * letters and another memory layout.
 */
export const BUILD = '105c3bed22d457e43e3d1c3c1c6959fda62a8fe06f0fc8a985303c3a2be72232'

/** Static data lies below this address; then comes the stack, growing down from STACK_TOP; then the heap. */
export const STATIC_END = 90_208
export const STACK_TOP = 5_333_088
/** Address of the word that holds the heap's end. It never goes back. */
export const HEAP_END_AT = 86_864

export const WASM_PAGE_BYTES = 65_536
/** What the build asks for at least. */
export const INITIAL_BYTES = 256 * WASM_PAGE_BYTES
export const MAXIMUM_BYTES = 32_768 * WASM_PAGE_BYTES

/** What `promiseState` gives for a promise; for anything else it gives a negative number. */
export const PENDING = 0
export const REJECTED = 2

/** The build's exports. Values are passed by address of a box in the heap; 0 stands for no memory. */
export type Exports = {
  initialise: () => void
  malloc: (bytes: number) => number
  free: (address: number) => void
  newRuntime: () => number
  newContext: (runtime: number, intrinsics: number) => number
  setMemoryLimit: (runtime: number, bytes: number) => void
  setMaxStackSize: (runtime: number, bytes: number) => void
  enableInterrupts: (runtime: number) => void
  newFunction(
    context: number,
    name: number,
    length: number,
    isConstructor: number,
    id: number,
  ): number
  getUndefined: () => number
  getElement: (context: number, array: number, position: number) => number
  evaluate(
    context: number,
    code: number,
    length: number,
    filename: number,
    detectModule: number,
    flags: number,
  ): number
  call: (context: number, fn: number, self: number, count: number, values: number) => number
  /** The error, when `value` says that one was thrown, else 0. */
  takeException: (context: number, value: number) => number
  toText: (context: number, value: number) => number
  freeText: (context: number, text: number) => void
  freeValue: (context: number, value: number) => void
  isJobPending: (runtime: number) => number
  runJobs: (runtime: number, max: number, contextOut: number) => number
  promiseState: (context: number, value: number) => number
  promiseResult: (context: number, value: number) => number
  stackPointer: () => number
}

const LETTERS: { readonly [name in keyof Exports]: string } = {
  initialise: 'u',
  malloc: 'v',
  free: 'M',
  newRuntime: 'K',
  newContext: 'N',
  setMemoryLimit: 'y',
  setMaxStackSize: 'D',
  enableInterrupts: 'Fa',
  newFunction: 'Da',
  getUndefined: 'E',
  getElement: 'ia',
  evaluate: 'pa',
  call: 'ma',
  takeException: 'na',
  toText: '$',
  freeText: 'R',
  freeValue: 'P',
  isJobPending: 'fa',
  runJobs: 'ga',
  promiseState: 'wa',
  promiseResult: 'xa',
  stackPointer: 'Oa',
}

/** An instance's exports under readable names. */
export function bindExports(exports: Record<string, unknown>): Exports {
  const named = Object.entries(LETTERS).map(([name, letter]) => {
    const value = exports[letter]
    if (typeof value !== 'function')
      throw new MultiverseError('PROVIDER_FAILED', `quickjs exports no function ${letter}`)
    return [name, value]
  })
  return Object.fromEntries(named) as Exports
}

/** What an instance asks of its host, under readable names. Addresses are of the instance's memory. */
export type Imports = {
  memory: WebAssembly.Memory
  assert: () => never
  write: (file: number, vectors: number, count: number, writtenAt: number) => number
  close: () => never
  environment: () => number
  environmentSizes: (countAt: number, bytesAt: number) => number
  normalizeModule: () => number
  loadModule: () => number
  shouldInterrupt: () => number
  setTimer: () => number
  grow: (bytes: number) => number
  endKeepalive: () => never
  localTime: (seconds: bigint, at: number) => void
  timeZone: (offsetAt: number, hasSummerAt: number, nameAt: number, summerNameAt: number) => void
  seek: () => never
  now: () => number
  abort: () => never
  exit: () => never
  callHost: (context: number, self: number, count: number, values: number, id: number) => number
  freeHost: () => void
}

/** A build's import object. */
export function bindImports(imports: Imports): Record<string, Record<string, unknown>> {
  return {
    a: {
      a: imports.memory,
      b: imports.assert,
      c: imports.write,
      d: imports.close,
      e: imports.environment,
      f: imports.environmentSizes,
      g: imports.normalizeModule,
      h: imports.loadModule,
      i: imports.shouldInterrupt,
      j: imports.setTimer,
      k: imports.grow,
      l: imports.endKeepalive,
      m: imports.localTime,
      n: imports.timeZone,
      o: imports.seek,
      p: imports.now,
      q: imports.abort,
      r: imports.exit,
      s: imports.callHost,
      t: imports.freeHost,
    },
  }
}
