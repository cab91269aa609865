import { createGate } from '../providers/host/gate.ts'
import type { WorldRuntimeProvider } from '../providers/provider.ts'
import { MultiverseError } from '../sdk/errors.ts'

/** What a provider is asked for at most; null for no bound. */
export type ProviderLimits = {
  /** Calls under way at the same time. */
  concurrency: number | null
  /** Calls that begin in a minute, evenly spread. */
  perMinute: number | null
}

/** Lets calls begin no faster, and no more at a time, than a provider bears. */
export type Limiter = {
  run: <T>(call: () => Promise<T>) => Promise<T>
  /** Turns away whoever waits. */
  close: () => void
}

const MINUTE_MS = 60_000

/** @param now in milliseconds, on any clock that only goes forward */
export function createLimiter(
  { concurrency, perMinute }: ProviderLimits,
  now: () => number = () => performance.now(),
): Limiter {
  const gate = concurrency === null ? null : createGate(concurrency)
  const closing = new AbortController()
  let nextAt = 0

  async function turn(): Promise<void> {
    if (perMinute === null) return
    const at = Math.max(now(), nextAt)
    nextAt = at + MINUTE_MS / perMinute
    await waitFor(at - now(), closing.signal)
  }

  async function begin<T>(call: () => Promise<T>): Promise<T> {
    await turn()
    if (closing.signal.aborted) throw aborted()
    return call()
  }

  return {
    run: (call) => (gate === null ? begin(call) : gate(() => begin(call))),
    close: () => closing.abort(),
  }
}

/** A provider whose worlds are made, split and run within limits. Whatever ends something is never held up. */
export function limited(provider: WorldRuntimeProvider, { run }: Limiter): WorldRuntimeProvider {
  return {
    ...provider,
    create: (options) => run(() => provider.create(options)),
    snapshot: (instanceId, options) => run(() => provider.snapshot(instanceId, options)),
    branch: (snapshotId, count, options) => run(() => provider.branch(snapshotId, count, options)),
    execute: (instanceId, code, options) => run(() => provider.execute(instanceId, code, options)),
  }
}

function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  if (ms <= 0) return Promise.resolve()
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    }, ms)
    function stop() {
      clearTimeout(timer)
      reject(aborted())
    }
    signal.addEventListener('abort', stop, { once: true })
  })
}

function aborted(): MultiverseError {
  return new MultiverseError('ABORTED', 'the keeper ends: no call of a provider begins any more', {
    isRetryable: true,
  })
}
