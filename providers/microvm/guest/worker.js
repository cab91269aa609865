// Runs a world's JavaScript in SpiderMonkey's shell: one global object for as long as the world lives. Requests come as
// lines of ASCII JSON on stdin, answers go out the same way. It holds on to the built-ins it needs, so that a program that
// replaces those harms no one but itself.
/* oxlint-disable unicorn/consistent-function-scoping -- outside of this one function there is nothing but the world */
;(function () {
  'use strict'
  const MAX_RESULT = 1_048_576
  const MAX_OUTPUT = 65_536
  const MAX_MESSAGE = 4_096
  const MAX_LINES = 256
  const BULK = 4_096
  const { readline, putstr, evaluate, drainJobQueue, gcparam, quit } = globalThis
  const { Error, Promise, String, Date: TrueDate } = globalThis
  const { parse, stringify } = JSON
  const { apply, construct } = Reflect
  const { imul } = Math
  const { defineProperty } = Object
  // oxlint-disable typescript/unbound-method -- they are applied
  const { slice, indexOf } = String.prototype
  const { then } = Promise.prototype
  // oxlint-enable typescript/unbound-method

  const cut = (text, length) => (text.length > length ? apply(slice, text, [0, length]) : text)
  const isObject = (value) =>
    (typeof value === 'object' && value !== null) || typeof value === 'function'
  const field = (object, key) => {
    try {
      const value = object[key]
      return typeof value === 'string' ? cut(value, MAX_MESSAGE) : ''
    } catch {
      return ''
    }
  }

  const written = { stdout: '', stderr: '' }
  /** What the host has not heard of it yet; null when it does not listen. */
  let unsaid = null
  let said = 0
  const textOf = (value) => {
    if (typeof value === 'string') return value
    try {
      if (value instanceof Error)
        return `${field(value, 'name')}: ${field(value, 'message')}\n${field(value, 'stack')}`
      const json = typeof value === 'function' ? undefined : stringify(value)
      return json === undefined ? String(value) : json
    } catch {
      try {
        return String(value)
      } catch {
        return '[unprintable]'
      }
    }
  }
  const lineOf = (values) => {
    let text = ''
    for (let i = 0; i < values.length; i++) text += (i === 0 ? '' : ' ') + textOf(values[i])
    return `${text}\n`
  }
  const write = (stream, text) => {
    const kept = cut(text, MAX_OUTPUT - written[stream].length)
    if (kept === '') return
    written[stream] += kept
    if (unsaid === null) return
    unsaid[stream] += kept
    // The first lines are heard one by one, the rest in bulk: each time takes the machine a while.
    if (said++ >= MAX_LINES && unsaid[stream].length < BULK) return
    putstr(`${stringify({ stream, text: unsaid[stream] })}\n`)
    unsaid[stream] = ''
  }
  const log = (...values) => write('stdout', lineOf(values))
  const error = (...values) => write('stderr', lineOf(values))

  // Numbers from the world's seed (xoshiro128**), in the place of the shell's, which come from the time it started.
  const state = Uint32Array.of(1, 2, 3, 4)
  const seedWith = (words) => {
    for (let i = 0; i < 4; i++) state[i] = words[i]
    state[0] |= 1
  }
  const word = () => {
    const fives = imul(state[1], 5)
    const result = imul((fives << 7) | (fives >>> 25), 9) >>> 0
    const shifted = state[1] << 9
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= shifted
    state[3] = (state[3] << 11) | (state[3] >>> 21)
    return result
  }
  const random = () => ((word() >>> 5) * 67_108_864 + (word() >>> 6)) * 2 ** -53

  // In a replayable world time stands still within a run.
  let stillAt = null
  const now = () => (stillAt === null ? TrueDate.now() : stillAt)
  function Date(...values) {
    if (new.target === undefined) return String(construct(TrueDate, [now()]))
    return construct(TrueDate, values.length === 0 ? [now()] : values, new.target)
  }
  Date.prototype = TrueDate.prototype

  const set = (object, key, value) =>
    defineProperty(object, key, { value, writable: true, configurable: true })
  set(Date.prototype, 'constructor', Date)
  for (const key of ['parse', 'UTC']) set(Date, key, TrueDate[key])
  set(Date, 'now', now)

  // What is no part of the language is no part of a world.
  const language =
    `Object Function Array Number parseFloat parseInt Infinity NaN undefined Boolean String Symbol Promise RegExp Error
    AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError InternalError globalThis JSON Math
    Intl ArrayBuffer Atomics Uint8Array Int8Array Uint16Array Int16Array Uint32Array Int32Array Float32Array Float64Array
    Uint8ClampedArray BigUint64Array BigInt64Array DataView Map BigInt Set WeakMap WeakSet WeakRef FinalizationRegistry
    Proxy Reflect SharedArrayBuffer decodeURI decodeURIComponent encodeURI encodeURIComponent escape unescape eval isFinite
    isNaN WebAssembly`.split(/\s+/)
  for (const key of Object.getOwnPropertyNames(globalThis))
    if (!language.includes(key)) delete globalThis[key]
  set(globalThis, 'Date', Date)
  set(Math, 'random', random)
  set(globalThis, 'console', { log, info: log, debug: log, warn: error, error })

  const failed = (code, message, stack = '') => ({ error: { code, message, stack } })
  /** The program's own frames. */
  const stackOf = (thrown) => {
    const stack = field(thrown, 'stack')
    const end = apply(indexOf, stack, ['evaluated@/opt/agent/'])
    return end < 0 ? stack : cut(stack, end)
  }
  const describe = (thrown) => {
    if (thrown === 'out of memory') return failed('OUT_OF_MEMORY', 'the program ran out of memory')
    if (!isObject(thrown)) return failed('PROGRAM_ERROR', cut(textOf(thrown), MAX_MESSAGE))
    const name = field(thrown, 'name')
    const message = field(thrown, 'message')
    const text = `${name}${name === '' || message === '' ? '' : ': '}${message}`
    return failed('PROGRAM_ERROR', text || 'something that cannot be told', stackOf(thrown))
  }
  const invalid = (what) => failed('RESULT_INVALID', `the program's result ${what}`)

  /** Runs a script and every job that is ready; awaits its completion value when that is a promise. */
  const evaluated = (code) => {
    const value = evaluate(code, { fileName: 'world.js', lineNumber: 1 })
    drainJobQueue()
    if (!(isObject(value) && value instanceof Promise)) return { value }
    let settled = null
    apply(then, value, [
      (result) => {
        settled = { value: result }
      },
      (reason) => {
        settled = { reason }
      },
    ])
    drainJobQueue()
    return settled
  }

  const unlimit = () => gcparam('maxBytes', 4_294_967_295)
  const run = (code) => {
    let end
    try {
      end = evaluated(code)
    } catch (thrown) {
      unlimit()
      return describe(thrown)
    }
    if (end === null) return invalid('is a promise that never settles')
    if ('reason' in end) return describe(end.reason)
    let json
    try {
      json = end.value === undefined ? 'null' : stringify(end.value)
    } catch (thrown) {
      unlimit()
      const answer = describe(thrown)
      return answer.error.code === 'OUT_OF_MEMORY'
        ? answer
        : invalid(`is not JSON: ${answer.error.message}`)
    }
    if (json === undefined) return invalid(`is not JSON: a ${typeof end.value}`)
    if (json.length > MAX_RESULT)
      return invalid(`has ${json.length} characters of JSON, at most ${MAX_RESULT}`)
    return { json }
  }

  for (;;) {
    const line = readline()
    if (line === null) quit(0)
    const request = parse(line)
    if (request.seed !== null) seedWith(request.seed)
    stillAt = request.still
    written.stdout = written.stderr = ''
    unsaid = request.heard ? { stdout: '', stderr: '' } : null
    said = 0
    gcparam('maxBytes', gcparam('gcBytes') + request.memoryBytes)
    const answer = run(request.code)
    unlimit()
    unsaid = null
    answer.stdout = written.stdout
    answer.stderr = written.stderr
    putstr(`${stringify(answer)}\n`)
  }
})()
