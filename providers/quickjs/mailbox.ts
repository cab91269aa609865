/**
 * Where a worker that waits in the middle of a program is given an answer: shared memory, as it can take no message then. The
 * first word tells whether one is there, the second its length in bytes.
 */
export type Mailbox = SharedArrayBuffer

const HEAD_BYTES = 8
const EMPTY = 0
const FULL = 1
/** The waiting thread looks this often whether it is to stop. */
const LOOK_MS = 20

/** @param maxBytes the longest answer */
export function createMailbox(maxBytes: number): Mailbox {
  return new SharedArrayBuffer(HEAD_BYTES, { maxByteLength: HEAD_BYTES + maxBytes })
}

/** Puts an answer in, and wakes who waits for it. @throws RangeError when it is too long */
export function put(mailbox: Mailbox, text: string): void {
  const bytes = Buffer.from(text)
  if (mailbox.byteLength < HEAD_BYTES + bytes.length) mailbox.grow(HEAD_BYTES + bytes.length)
  new Uint8Array(mailbox, HEAD_BYTES).set(bytes)
  const head = new Int32Array(mailbox, 0, 2)
  head[1] = bytes.length
  Atomics.store(head, 0, FULL)
  Atomics.notify(head, 0)
}

/** Waits for an answer and takes it out; null as soon as `isOver` says that nobody wants it. Blocks its thread. */
export function take(mailbox: Mailbox, isOver: () => boolean): string | null {
  const head = new Int32Array(mailbox, 0, 2)
  while (Atomics.wait(head, 0, EMPTY, LOOK_MS) === 'timed-out') if (isOver()) return null
  const text = Buffer.from(mailbox, HEAD_BYTES, head[1]).toString()
  Atomics.store(head, 0, EMPTY)
  return text
}
