import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'

/**
 * Values of the WebAssembly component model in its binary form, as wRPC sends them: integers wider than a byte are LEB128,
 * text and lists carry their length, a choice is its case's number and then its value.
 */
export type Codec<value> = {
  /** The type's name in WIT. */
  wit: string
  /** What must be declared before it in WIT: `wit` text by name. */
  declares: readonly Declaration[]
  write: (out: Writer, value: value) => void
  /** @throws RPC_MALFORMED */
  read: (from: Reader) => value
}

export type Declaration = { name: string; text: string }

export type Writer = { bytes: (data: Uint8Array) => void; u8: (value: number) => void }
export type Reader = {
  take: (count: number) => Uint8Array
  u8: () => number
  /** Bytes that are not yet read. */
  left: () => number
}

/** Collects what is written. */
function createWriter(): Writer & { done: () => Buffer } {
  const parts: Uint8Array[] = []
  return {
    bytes: (data) => void parts.push(data),
    u8: (value) => void parts.push(Uint8Array.of(value)),
    done: () => Buffer.concat(parts),
  }
}

/** Reads from the front of some bytes. */
export function createReader(data: Uint8Array): Reader {
  let at = 0
  const take = (count: number) => {
    if (at + count > data.length) throw short(at + count - data.length)
    const part = data.subarray(at, at + count)
    at += count
    return part
  }
  return { take, u8: () => take(1)[0] ?? 0, left: () => data.length - at }
}

export function encode<value>(codec: Codec<value>, value: value): Buffer {
  const out = createWriter()
  codec.write(out, value)
  return out.done()
}

/** @throws RPC_MALFORMED, also when anything is left over */
export function decode<value>(codec: Codec<value>, data: Uint8Array): value {
  const from = createReader(data)
  const read = tryRead(codec, from)
  if (read.missing > 0) throw malformed(`the message ends ${read.missing} bytes early`)
  if (from.left() > 0) throw malformed(`${from.left()} bytes are left over`)
  return read.value
}

/**
 * A value, or how many bytes more are needed at least before there can be one.
 * @throws RPC_MALFORMED
 */
export function tryRead<value>(
  codec: Codec<value>,
  from: Reader,
): { missing: 0; value: value } | { missing: number; value: never } {
  try {
    return { missing: 0, value: codec.read(from) }
  } catch (error) {
    if (isMultiverseError(error, SHORT)) return { missing: error.cause as number } as never
    throw error
  }
}

const SHORT = 'RPC_SHORT'

function short(missing: number): MultiverseError {
  return new MultiverseError(SHORT, `${missing} bytes are missing`, { cause: missing })
}

function primitive<value>(
  wit: string,
  write: Codec<value>['write'],
  read: Codec<value>['read'],
): Codec<value> {
  return { wit, declares: [], write, read }
}

function unsigned(wit: string, bits: number): Codec<bigint> {
  const end = 1n << BigInt(bits)
  return primitive(
    wit,
    (out, value) => {
      if (value < 0n || value >= end) throw unfit(value, wit)
      let rest = value
      for (; rest >= 0x80n; rest >>= 7n) out.u8(Number(rest & 0x7fn) | 0x80)
      out.u8(Number(rest))
    },
    (from) => {
      let value = 0n
      for (let shift = 0; ; shift += 7) {
        const byte = from.u8()
        if (shift >= bits) throw malformed(`${wit} is too long`)
        value |= BigInt(byte & 0x7f) << BigInt(shift)
        if (byte < 0x80) break
      }
      if (value >= end) throw malformed(`${value} is no ${wit}`)
      return value
    },
  )
}

export const u64: Codec<bigint> = unsigned('u64', 64)

const wideU32 = unsigned('u32', 32)
export const u32: Codec<number> = primitive(
  'u32',
  (out, value) => {
    if (!Number.isInteger(value)) throw unfit(value, 'u32')
    wideU32.write(out, BigInt(value))
  },
  (from) => Number(wideU32.read(from)),
)

export const s8: Codec<number> = primitive(
  's8',
  (out, value) => {
    if (!Number.isInteger(value) || value < -128 || value > 127) throw unfit(value, 's8')
    out.u8(value & 0xff)
  },
  (from) => (from.u8() << 24) >> 24,
)

export const f64: Codec<number> = primitive(
  'f64',
  (out, value) => {
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleLE(value)
    out.bytes(bytes)
  },
  (from) => Buffer.from(from.take(8)).readDoubleLE(),
)

export const bool: Codec<boolean> = primitive(
  'bool',
  (out, value) => out.u8(value ? 1 : 0),
  (from) => {
    const byte = from.u8()
    if (byte > 1) throw malformed(`${byte} is no bool`)
    return byte === 1
  },
)

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Lone surrogates, which UTF-8 cannot say, arrive as U+FFFD. */
export const string: Codec<string> = primitive(
  'string',
  (out, value) => {
    const bytes = Buffer.from(value)
    u32.write(out, bytes.length)
    out.bytes(bytes)
  },
  (from) => {
    const bytes = from.take(u32.read(from))
    try {
      return utf8.decode(bytes)
    } catch (cause) {
      throw malformed('text is not UTF-8', cause)
    }
  },
)

/** `list<u8>`. */
export const bytes: Codec<Uint8Array> = primitive(
  'list<u8>',
  (out, value) => {
    u32.write(out, value.length)
    out.bytes(value)
  },
  (from) => from.take(u32.read(from)),
)

/** Nothing: the result of a function that gives none. */
export const unit: Codec<null> = primitive(
  '_',
  () => undefined,
  () => null,
)

export function list<value>(item: Codec<value>): Codec<value[]> {
  return {
    wit: `list<${item.wit}>`,
    declares: item.declares,
    write: (out, values) => {
      u32.write(out, values.length)
      for (const value of values) item.write(out, value)
    },
    read: (from) => {
      const count = u32.read(from)
      // Every item takes a byte or more: a count beyond that is a lie, and no room is made for it.
      if (count > from.left()) throw short(count - from.left())
      return Array.from({ length: count }, () => item.read(from))
    },
  }
}

export function option<value>(some: Codec<value>): Codec<value | null> {
  return {
    wit: `option<${some.wit}>`,
    declares: some.declares,
    write: (out, value) => {
      out.u8(value === null ? 0 : 1)
      if (value !== null) some.write(out, value)
    },
    read: (from) => (bool.read(from) ? some.read(from) : null),
  }
}

export type Result<ok, failure> = { ok: ok } | { failure: failure }

export function result<ok, failure>(
  ok: Codec<ok>,
  failure: Codec<failure>,
): Codec<Result<ok, failure>> {
  return {
    wit: `result<${ok.wit}, ${failure.wit}>`,
    declares: [...ok.declares, ...failure.declares],
    write: (out, value) => {
      if ('ok' in value) {
        out.u8(0)
        ok.write(out, value.ok)
      } else {
        out.u8(1)
        failure.write(out, value.failure)
      }
    },
    read: (from) => (bool.read(from) ? { failure: failure.read(from) } : { ok: ok.read(from) }),
  }
}

export function tuple<first, second>(
  first: Codec<first>,
  second: Codec<second>,
): Codec<[first, second]> {
  return {
    wit: `tuple<${first.wit}, ${second.wit}>`,
    declares: [...first.declares, ...second.declares],
    write: (out, [one, other]) => {
      first.write(out, one)
      second.write(out, other)
    },
    read: (from) => [first.read(from), second.read(from)],
  }
}

/** Codecs of an object's fields, in the order of their WIT declaration, by their names in camel case. */
export type Fields<values> = { [name in keyof values]: Codec<values[name]> }

export function record<values extends object>(name: string, fields: Fields<values>): Codec<values> {
  const entries = Object.entries<Codec<unknown>>(
    fields as unknown as Record<string, Codec<unknown>>,
  )
  const lines = entries.map(([field, codec]) => `    ${toKebab(field)}: ${codec.wit},\n`)
  const text = `  record ${name} {\n${lines.join('')}  }\n`
  return {
    wit: name,
    declares: [...entries.flatMap(([, codec]) => codec.declares), { name, text }],
    write: (out, values) => {
      for (const [field, codec] of entries)
        codec.write(out, (values as Record<string, unknown>)[field])
    },
    read: (from) =>
      Object.fromEntries(entries.map(([field, codec]) => [field, codec.read(from)])) as values,
  }
}

/** The same bytes for other values. */
export function mapped<inner, outer>(
  codec: Codec<inner>,
  to: (outer: outer) => inner,
  from: (inner: inner) => outer,
): Codec<outer> {
  return {
    wit: codec.wit,
    declares: codec.declares,
    write: (out, value) => codec.write(out, to(value)),
    read: (reader) => from(codec.read(reader)),
  }
}

/** One of some words. */
export function enumeration<word extends string>(
  name: string,
  words: readonly word[],
): Codec<word> {
  const text = `  enum ${name} {\n${words.map((each) => `    ${each},\n`).join('')}  }\n`
  return {
    wit: name,
    declares: [{ name, text }],
    write: (out, value) => out.u8(words.indexOf(value)),
    read: (from) => {
      const at = from.u8()
      const word = words[at]
      if (word === undefined) throw malformed(`${at} is no ${name}`)
      return word
    },
  }
}

/** Names in WIT. */
export function toKebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

export function malformed(text: string, cause?: unknown): MultiverseError {
  return new MultiverseError('RPC_MALFORMED', text, { cause })
}

function unfit(value: unknown, wit: string): MultiverseError {
  return new MultiverseError('INVALID_ARGUMENT', `${String(value)} is no ${wit}`)
}
