import type { Hex } from 'viem'
import type { Output } from '../provider.ts'
import type { Mailbox } from './mailbox.ts'
import type { Run } from './run.ts'
import type { Image } from './image.ts'

/** What a worker is asked to do. Images are shared memory: sending one copies no page. */
export type Task =
  /** Makes the image that all new worlds start from. */
  | { kind: 'boot' }
  /** Seeds a new world and makes it live here. */
  | { kind: 'create'; world: string; image: Image; seed: bigint }
  /** Makes a world live here, before it is needed. */
  | { kind: 'restore'; world: string; image: Image }
  | {
      kind: 'execute'
      world: string
      image: Image
      code: string
      timeMs: number
      memoryBytes: number
      cpuShare?: number
      stop: Int32Array
      /** Whether somebody listens to what the program writes. */
      isHeard: boolean
      /** Where functions of the host answer; null when the world is linked to none. */
      mailbox: Mailbox | null
    }
  /** Reads a snapshot's folder and checks it. */
  | { kind: 'load'; folder: string; root: Hex }

/** What a worker is told; it does not answer. */
export type Notice = { kind: 'drop'; world: string }

/** What it answers, by the task's kind. */
export type Answers = {
  boot: { image: Image }
  create: { image: Image }
  restore: null
  execute: { image: Image; run: Run }
  load: { image: Image }
}

/** What a worker tells of a task that it is at. */
export type Told =
  | { kind: 'output'; output: Output }
  /** It waits for a function of the host: `[name, ...arguments]` in JSON. */
  | { kind: 'call'; request: string }

/** An error on its way between threads; `detail` is its cause when that is plain data. */
export type WireError = { code: string; message: string; isRetryable: boolean; detail: unknown }

export type Reply<kind extends Task['kind'] = Task['kind']> =
  | { ok: true; answer: Answers[kind] }
  | { ok: false; error: WireError }
