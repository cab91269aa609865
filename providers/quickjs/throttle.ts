/** What a run takes before it waits: the clock is not looked at more closely than that, milliseconds. */
const SLICE_MS = 2
/** The longest wait in one piece: a run that is to stop is not to sleep through it. */
const NAP_MS = 20

const bed = new Int32Array(new SharedArrayBuffer(4))

/**
 * Has its thread take no more than a share of a core: what is given back is to be called again and again by the work itself, and
 * blocks the thread as long as that is ahead.
 */
export function createThrottle(share: number): () => void {
  if (share >= 1) return () => undefined
  const begun = performance.now()
  let slept = 0
  return () => {
    const passed = performance.now() - begun
    const busy = passed - slept
    const ahead = busy / share - passed
    if (ahead < SLICE_MS) return
    const before = performance.now()
    Atomics.wait(bed, 0, 0, Math.min(ahead, NAP_MS))
    slept += performance.now() - before
  }
}
