/**
 * Guest code that prepares a new world, before any program runs. It is called with the two host functions that take
 * output and the one that calls out, installs `console` and `host`, and gives the host two functions of its own. They hold on to the built-ins they need, so that
 * a program that replaces those harms no one but itself.
 */
export const PRELUDE = `(function (stdout, stderr, callOut) {
  'use strict'
  const { parse, stringify } = JSON
  const { defineProperty, freeze } = Object
  const { String, TypeError, Error } = globalThis
  const { slice } = String.prototype
  const { apply } = Reflect

  const cut = (text) => (text.length > 4096 ? apply(slice, text, [0, 4096]) : text)
  const field = (object, key) => {
    try {
      const value = object[key]
      return typeof value === 'string' ? cut(value) : ''
    } catch {
      return ''
    }
  }
  const isObject = (value) =>
    (typeof value === 'object' && value !== null) || typeof value === 'function'
  const text = (value) => {
    if (typeof value === 'string') return value
    try {
      if (value instanceof Error)
        return field(value, 'name') + ': ' + field(value, 'message') + '\\n' + field(value, 'stack')
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
  const line = (values) => {
    let out = ''
    for (let i = 0; i < values.length; i++) out += (i === 0 ? '' : ' ') + text(values[i])
    return out + '\\n'
  }
  const log = (...values) => stdout(line(values))
  const error = (...values) => stderr(line(values))
  const console = { log, info: log, debug: log, warn: error, error }
  defineProperty(globalThis, 'console', { value: console, writable: true, configurable: true })

  const call = (name, ...args) => {
    const request = [String(name)]
    for (let i = 0; i < args.length; i++) request[i + 1] = args[i] ?? null
    const { kind, value, code, message } = parse(callOut(stringify(request)))
    if (kind === 'value') return value
    const error = new Error(message)
    defineProperty(error, 'name', { value: 'HostError' })
    defineProperty(error, 'code', { value: code })
    throw error
  }
  const host = freeze({ __proto__: null, call: freeze(call) })
  defineProperty(globalThis, 'host', { value: host, writable: true, configurable: true })

  const report = (value) => {
    if (value === undefined) return 'null'
    const json = typeof value === 'function' ? undefined : stringify(value)
    if (json === undefined) throw new TypeError('a ' + typeof value + ' is not JSON')
    return json
  }
  const describe = (thrown) =>
    stringify(
      isObject(thrown)
        ? {
            __proto__: null,
            name: field(thrown, 'name'),
            message: field(thrown, 'message'),
            stack: field(thrown, 'stack'),
          }
        : { __proto__: null, name: '', message: cut(text(thrown)), stack: '' },
    )
  return [report, describe]
})`
