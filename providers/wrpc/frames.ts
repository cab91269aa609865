import {
  bytes,
  type Codec,
  createReader,
  encode,
  list,
  malformed,
  type Reader,
  record,
  string,
  tryRead,
  u32,
} from './codec.ts'

// A stream of wRPC begins with a version, whom it is for, and goes on in frames: pieces of data, each for the value at a path.
// The empty path is for the parameters, or the results, themselves.

const VERSION = 0

export type Header = { instance: string; name: string }
export type Frame = { path: number[]; data: Uint8Array }

const frame = record('frame', { path: list(u32), data: bytes })
const header = versioned(record('header', { instance: string, name: string }))

/** A stream is given up when so much has come of a frame that is not whole yet. */
const MAX_BYTES = 67_108_864

export function encodeHeader(value: Header): Buffer {
  return encode(header, value)
}

export function encodeFrame(value: Frame): Buffer {
  return encode(frame, value)
}

/** Reads a stream piece by piece. */
export type Parser<value> = {
  /** What became whole with this piece. @throws RPC_MALFORMED */
  push: (piece: Uint8Array) => value[]
  /** Whether the stream may end here. */
  isWhole: () => boolean
}

/** Reads what a client sends: a header, then frames. */
export function createRequestParser(): Parser<Header | Frame> {
  let isHeaderDue = true
  return createParser<Header | Frame>((from) => {
    const read = isHeaderDue ? tryRead(header, from) : tryRead(frame, from)
    if (read.missing === 0) isHeaderDue = false
    return read
  })
}

/** Reads what a server sends: frames. */
export function createResponseParser(): Parser<Frame> {
  return createParser((from) => tryRead(frame, from))
}

function createParser<value>(
  read: (from: Reader) => ReturnType<typeof tryRead<value>>,
): Parser<value> {
  let pieces: Uint8Array[] = []
  let length = 0
  /** Before so many bytes have come, there is nothing to be read. */
  let due = 1
  return {
    push: (piece) => {
      pieces.push(piece)
      length += piece.length
      if (length < due) return []
      const waiting = Buffer.concat(pieces)
      const found: value[] = []
      let at = 0
      due = 1
      while (at < length) {
        const from = createReader(waiting.subarray(at))
        const one = read(from)
        if (one.missing > 0) {
          due = length - at + one.missing
          break
        }
        found.push(one.value)
        at = length - from.left()
      }
      pieces = at < length ? [waiting.subarray(at)] : []
      length -= at
      if (due > MAX_BYTES) throw malformed(`a frame is longer than ${MAX_BYTES} bytes`)
      return found
    },
    isWhole: () => length === 0,
  }
}

function versioned(inner: Codec<Header>): Codec<Header> {
  return {
    ...inner,
    write: (out, value) => {
      out.u8(VERSION)
      inner.write(out, value)
    },
    read: (from) => {
      const version = from.u8()
      if (version !== VERSION) throw malformed(`version ${version} is not ${VERSION}`)
      return inner.read(from)
    },
  }
}
