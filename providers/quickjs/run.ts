import { MultiverseError } from '../../sdk/errors.ts'
import { ranTooLong, resultInvalid } from '../host/errors.ts'
import { NOT_LINKED, notLinked } from '../host/functions.ts'
import { createOutput, MAX_OUTPUT_BYTES, MAX_RESULT_BYTES } from '../host/results.ts'
import type { HostAnswer, Output } from '../provider.ts'
import { MAXIMUM_BYTES, PENDING, REJECTED, STACK_TOP } from './build.ts'
import { type Guest, type Link, readText, writeText } from './guest.ts'
import type { Anchors } from './image.ts'
import { createThrottle } from './throttle.ts'

/** The host functions that a new world is given, by their ids: output, and calls of functions that links give. */
export const STDOUT = 1
export const STDERR = 2
export const CALL = 3

/** What the memory may hold beside the limited allocations: the engine's static part, fragmentation. */
const OVERHEAD_BYTES = 33_554_432
const UNLIMITED = -1
/** Between batches of this many jobs the deadline is looked at. */
const JOBS = 256

/** Bounds of one run. */
export type Bounds = {
  timeMs: number
  memoryBytes: number
  /** Of one core; the whole of it when absent. */
  cpuShare?: number
  /** Ends the run as soon as it is not 0. */
  stop: Int32Array
  /** Is given what the program writes, as it does. */
  onOutput?: (output: Output) => void
  /**
   * Has a function of the host called with `[name, ...arguments]` in JSON, and waits for the JSON of its answer; null when
   * `isOver` said meanwhile that the run is. Without, every call is refused.
   */
  call?: (request: string, isOver: () => boolean) => string | null
}

/** What a run gave: its value as JSON text, and captured output. */
export type Run = { json: string; stdout: string; stderr: string; tookMs: number }

type Told = { name: string; message: string; stack: string }
const UNTOLD: Told = { name: '', message: 'something that cannot be told', stack: '' }

/** What a program that failed said, for people: `cause` of the error. */
export type ProgramFailure = Told & { stdout: string; stderr: string }

/**
 * Runs a script, then every job that is ready, and awaits the completion value when that is a promise. After a throw the guest is
 * in no defined state.
 * @throws PROGRAM_ERROR, FUNCTION_NOT_LINKED, EXECUTION_TIMEOUT, OUT_OF_MEMORY, RESULT_INVALID, ABORTED, PROVIDER_FAILED
 */
export function runProgram(guest: Guest, anchors: Anchors, code: string, bounds: Bounds): Run {
  const { api, bytes, host } = guest
  const { runtime, context } = anchors
  const begun = performance.now()
  const { onOutput = () => {} } = bounds
  const stdout = createOutput((text) => onOutput({ stream: 'stdout', text }))
  const stderr = createOutput((text) => onOutput({ stream: 'stderr', text }))
  let halt: 'time' | 'stop' | null = null
  const yieldCore = createThrottle(bounds.cpuShare ?? 1)
  const isHalted = () => {
    if (halt === null) yieldCore()
    if (Atomics.load(bounds.stop, 0) !== 0) halt ??= 'stop'
    else if (performance.now() - begun > bounds.timeMs) halt ??= 'time'
    return halt !== null
  }
  host.now += 1
  host.isInterrupted = isHalted
  /** What the program was told when it was last refused a function; null when it last was given one. */
  let refusal: string | null = null
  host.links = new Map([
    [STDOUT, { take: into(stdout), maxBytes: MAX_OUTPUT_BYTES }],
    [STDERR, { take: into(stderr), maxBytes: MAX_OUTPUT_BYTES }],
    [CALL, { take: callOut, maxBytes: MAX_RESULT_BYTES }],
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

  /** Calls a function of the host while the program waits. */
  function callOut(request: string, isWhole: boolean): string {
    const name = isWhole ? nameOf(request) : null
    if (name === null) return JSON.stringify(NO_CALL)
    const answer = bounds.call?.(request, isHalted) ?? JSON.stringify(notLinked(name))
    // Throws through the program: nothing in it can catch that.
    if (isHalted()) throw halted()
    const said = JSON.parse(answer) as HostAnswer
    refusal = said.kind === 'error' && said.code === NOT_LINKED ? said.message : null
    return answer
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
    if (told.name === 'HostError' && told.message === refusal)
      return new MultiverseError(NOT_LINKED, told.message, { cause: failure })
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

function into(output: { add: (text: string) => void }): Link['take'] {
  return (text) => {
    output.add(text)
    return null
  }
}

const NO_CALL: HostAnswer = {
  kind: 'error',
  code: 'INVALID_ARGUMENT',
  message: `a call is a name and arguments, at most ${MAX_RESULT_BYTES} bytes of JSON`,
}

/** What is called; null when the guest's text is no call. */
function nameOf(request: string): string | null {
  try {
    const [name] = JSON.parse(request) as unknown[]
    return typeof name === 'string' ? name : null
  } catch {
    return null
  }
}
