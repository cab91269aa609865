import type { Duplex } from 'node:stream'
import { MultiverseError } from '../../sdk/errors.ts'

/** Messages as JSON lines. */
export type Lines = {
  /** The next message. Rejects with PROVIDER_FAILED when the other side has ended or speaks no JSON. */
  next: () => Promise<Record<string, unknown>>
  write: (data: Buffer | string) => void
}

/** A longer line is no message, bytes. */
const MAX_LINE = 16_777_216

/** Reads JSON lines from a stream. Messages that no one awaits yet are kept. */
export function jsonLines(stream: Duplex, who: string): Lines {
  const inbox: Record<string, unknown>[] = []
  const waiting: PromiseWithResolvers<Record<string, unknown>>[] = []
  let parts: Buffer[] = []
  let length = 0
  let end: MultiverseError | null = null

  const fail = (text: string, cause?: unknown) => {
    end ??= new MultiverseError('PROVIDER_FAILED', `${who} ${text}`, { cause, isRetryable: true })
    for (const { reject } of waiting.splice(0)) reject(end)
  }
  const receive = (line: string) => {
    let message: unknown
    try {
      message = JSON.parse(line)
    } catch {
      message = null
    }
    if (typeof message !== 'object' || message === null) {
      fail(`speaks no JSON: ${JSON.stringify(line.slice(0, 80))}`)
      stream.destroy()
      return
    }
    const first = waiting.shift()
    if (first === undefined) inbox.push(message as Record<string, unknown>)
    else first.resolve(message as Record<string, unknown>)
  }
  stream.on('data', (chunk: Buffer) => {
    let from = 0
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      const line = Buffer.concat([...parts, chunk.subarray(from, at)]).toString()
      parts = []
      length = 0
      from = at + 1
      receive(line)
    }
    parts.push(chunk.subarray(from))
    length += chunk.length - from
    if (length <= MAX_LINE) return
    fail(`says a line of more than ${MAX_LINE} bytes`)
    stream.destroy()
  })
  stream.on('error', (cause) => fail(`failed: ${cause.message}`, cause))
  stream.on('close', () => fail('has ended'))

  return {
    write: (data) => {
      if (end === null) stream.write(data)
    },
    next: async () => {
      const message = inbox.shift()
      if (message !== undefined) return message
      if (end !== null) throw end
      const pending = Promise.withResolvers<Record<string, unknown>>()
      waiting.push(pending)
      return pending.promise
    },
  }
}
