import { resultInvalid } from './errors.ts'

/** A world's result is at most this many bytes of JSON. */
export const MAX_RESULT_BYTES = 1_048_576
/** Each of a run's stdout and stderr is cut after this many bytes. */
export const MAX_OUTPUT_BYTES = 65_536

/** The value of a run. @throws RESULT_INVALID */
export function readValue(json: string): unknown {
  const length = Buffer.byteLength(json)
  if (length > MAX_RESULT_BYTES)
    throw resultInvalid(`has ${length} bytes of JSON, at most ${MAX_RESULT_BYTES}`)
  try {
    return JSON.parse(json) as unknown
  } catch (cause) {
    throw resultInvalid('is not JSON', cause)
  }
}

/** Collects text up to {@link MAX_OUTPUT_BYTES}, and hands on each piece of it. */
export function createOutput(listener: (text: string) => void = () => {}): {
  add: (text: string) => void
  text: () => string
} {
  const parts: string[] = []
  let left = MAX_OUTPUT_BYTES
  return {
    add: (text) => {
      if (left === 0) return
      const bytes = Buffer.from(text)
      const part = bytes.length <= left ? text : bytes.toString('utf8', 0, left)
      parts.push(part)
      left -= Math.min(left, bytes.length)
      listener(part)
    },
    text: () => parts.join(''),
  }
}
