import type { Address, Log as ChainLog } from 'viem'
import type { Deployment } from '../../sdk/deployment.ts'
import { isMultiverseError, MultiverseError, oneLine } from '../../sdk/errors.ts'
import { errorFields, type Log } from '../log.ts'
import { isDatabaseError } from '../store/faults.ts'
import { createPause } from '../time.ts'
import { type Fact, readFacts } from './facts.ts'
import { readRanges } from './backfill.ts'
import { readBlockLogs, readRangeLogs } from './logs.ts'
import { getHeader, type Rpc } from './rpc.ts'
import { verifyChain } from './verify.ts'
import { advance, type Header, place, type Window } from './window.ts'

/** A block of the window with what happened in it. */
export type FactBlock = { header: Header; facts: Fact[] }

/** What the follower tells. Whoever takes it must have stored it whole, or not at all, when the promise settles. */
export type Change =
  /** Facts of blocks before the window, ascending; told again from the start after a crash. */
  | { kind: 'history'; facts: Fact[] }
  /**
   * Blocks above `ancestor` were taken back (null: none were), then `blocks` came. `window` is what is remembered from
   * now on. At the head, whatever was taken back and did not come again is gone.
   */
  | {
      kind: 'blocks'
      ancestor: number | null
      blocks: FactBlock[]
      window: Window
      isHead: boolean
      /** The newest block that the chain itself calls safe or final; null when depth alone counts. */
      final: number | null
      /** Unix milliseconds when the head was first seen. */
      seenAt: number
    }

/** How the follower is doing. `error` is why it is not current. */
export type FollowerState = {
  head: Header | null
  isCurrent: boolean
  error: string | null
  /** The newest block that the endpoint told of. */
  newest: number | null
}

/** Follows a chain until it is stopped. */
export type Follower = {
  /** Resolves when the chain has been followed up to its head for the first time. */
  caughtUp: Promise<void>
  state: () => FollowerState
  stop: () => Promise<void>
}

export type FollowerOptions = {
  rpc: Rpc
  deployment: Deployment
  keeper: Address
  /** The window as it was stored. */
  window: Window
  windowSize: number
  /** Blocks asked for at once when history is read, at first and at most. */
  rangeSize: number
  /** Nothing before this block is read. */
  startBlock: number
  /** What counts as deep beside depth itself. */
  finality: 'latest' | 'safe' | 'finalized'
  pollMs: number
  /** Milliseconds that an endpoint may be behind what was read before that is taken for a rollback. */
  lagPatienceMs: number
  probeMs?: number
  apply: (change: Change) => Promise<void>
  /** The endpoint answers again after it had not. */
  onRecovered: () => Promise<void>
  /** The chain is not the deployment's. The follower has ended. */
  onFatal: (error: MultiverseError) => void
  log: Log
}

const PARALLEL_CALLS = 16
const MAX_BACKOFF_MS = 5_000
/** Where an endpoint tells new heads by itself, they are asked for so many times less often. */
const LISTENING_FACTOR = 4
/** How often the other endpoints are asked for their heads, milliseconds. */
const PROBE_MS = 10_000

/** Starts to follow the deployment's chain: by block hash, through reorganisations and through the endpoint going away. */
export function followChain(options: FollowerOptions): Follower {
  const { rpc, deployment, windowSize, startBlock, pollMs, apply, log } = options
  const { endpoints } = rpc
  const { multiverse, worlds, optimisticOracle: game } = deployment.addresses
  const addresses = [multiverse, worlds, ...(game === undefined ? [] : [game])]
  const sources = { multiverse, worlds, game, keeper: options.keeper }
  const pause = createPause()
  const caughtUp = Promise.withResolvers<void>()
  // Nobody has to wait for it.
  caughtUp.promise.catch(() => {})
  let window = options.window
  let head: Header | null = null
  let newestSeen: number | null = null
  let error: string | null = 'has not reached the endpoint yet'
  let rangeSize = { size: options.rangeSize, max: 5 * options.rangeSize }
  /** Since when the endpoints are behind the window; null when they are not. */
  let behindSince: number | null = null
  let probedAt = performance.now()
  const stopping = new AbortController()

  const facts = (logs: ChainLog[]) => readFacts(logs, sources)

  async function run(): Promise<void> {
    let isVerified = false
    let failures = 0
    let failing: 'rpc' | 'books' = 'rpc'
    while (!stopping.signal.aborted) {
      try {
        if (!isVerified) await verifyChain(rpc, deployment)
        isVerified = true
        await tick()
        if (failures > 0) log.info({ endpoint: endpoints.current(), failures }, `${failing}.up`)
        if (failures > 0) await options.onRecovered()
        failures = 0
        error = null
        caughtUp.resolve()
        await pause.wait(endpoints.isListening() ? pollMs * LISTENING_FACTOR : pollMs)
      } catch (cause) {
        // The chain moved while it was read.
        if (isMultiverseError(cause, 'CHAIN_MOVED')) {
          await pause.wait(pollMs)
          continue
        }
        if (isMultiverseError(cause) && !cause.isRetryable) {
          options.onFatal(cause)
          return
        }
        const before: string = failing
        failing = isDatabaseError(cause) ? 'books' : 'rpc'
        error = failing === 'books' ? `not written down: ${oneLine(cause)}` : oneLine(cause)
        isVerified = false
        if (failures % 20 === 0 || failing !== before)
          log.warn(
            {
              ...(failing === 'rpc' ? { endpoint: endpoints.current() } : {}),
              ...errorFields(cause),
              attempt: failures + 1,
            },
            `${failing}.down`,
          )
        failures++
        await pause.wait(Math.min(MAX_BACKOFF_MS, pollMs * 2 ** Math.min(failures, 10)))
      }
    }
  }

  async function tick(): Promise<void> {
    const newest = await getHeader(rpc)
    newestSeen = newest.number
    const seenAt = Date.now()
    if (performance.now() - probedAt > (options.probeMs ?? PROBE_MS)) {
      probedAt = performance.now()
      await endpoints.probe(newest.number)
    }
    const tip = window.at(-1)
    if (newest.hash === tip?.hash) {
      behindSince = null
      // Known from an earlier life: what depends on the head is to be looked at in this one too.
      if (head === null)
        await take(
          { ancestor: null, blocks: [], isHead: true, seenAt, final: await final() },
          window,
        )
      head = newest
      return
    }
    const isFarBehind = newest.number - (tip?.number ?? startBlock - 1) > windowSize
    if (isFarBehind) await readHistory(newest, seenAt)
    await follow(isFarBehind ? [] : window, newest, seenAt, true)
    head = newest
  }

  /** Takes in what lies too far back for the window. The window is to begin anew after it. */
  async function readHistory(newest: Header, seenAt: number): Promise<void> {
    const tip = window.at(-1)
    if (tip) await follow(window, await getHeader(rpc, tip.number), seenAt, false)
    const first = (window.at(-1)?.number ?? startBlock - 1) + 1
    const last = newest.number - windowSize
    rangeSize = await readRanges(
      { first, last, size: rangeSize },
      async (from, to) => facts(await readRangeLogs(rpc, addresses, [from, to], log)),
      async (found, from, to) => {
        if (found.length > 0) await apply({ kind: 'history', facts: found })
        log.info({ from, to, of: last, facts: found.length }, 'history.read')
      },
    )
  }

  /** Takes in what lies between `base`, the window or nothing at all, and `newest`. */
  async function follow(
    base: Window,
    newest: Header,
    seenAt: number,
    isHead: boolean,
  ): Promise<void> {
    const start = Math.max(startBlock, newest.number - windowSize + 1)
    let branch = base.length > 0 ? [newest] : await withAncestors([newest], start)
    for (;;) {
      const step = place(base, branch)
      switch (step.kind) {
        case 'same':
          return
        case 'need':
          branch = await withAncestors(branch, step.from)
          break
        case 'deep': {
          // More was taken back than is remembered. Nothing is guessed: all is read again from the deployment on.
          await verifyChain(rpc, deployment)
          log.warn({ tip: base.at(-1)?.number, head: newest.number }, 'reorg.deep')
          const ancestor = deployment.startBlock - 1
          await take({ ancestor, blocks: [], isHead: false, seenAt, final: null }, [])
          throw new MultiverseError('CHAIN_MOVED', 'the chain was reorganised below the window')
        }
        case 'extend':
        case 'fork': {
          if (step.kind === 'fork' && step.blocks.length === 0 && isLagging(newest)) return
          behindSince = null
          const ancestor = step.kind === 'fork' ? step.ancestor.number : null
          if (step.kind === 'fork')
            log.warn({ ancestor, depth: step.dropped.length, head: newest.number }, 'reorg.seen')
          const blocks = await inBatches(step.blocks, async (header) => ({
            header,
            facts: facts(await readBlockLogs(rpc, addresses, header, log)),
          }))
          const change = { ancestor, blocks, isHead, seenAt, final: await final() }
          await take(change, advance(base, step, windowSize))
          return
        }
      }
    }
  }

  /**
   * Whether a head that is an older block of the window is of an endpoint that is behind, not of a chain that was rolled back.
   * Chains are not rolled back without other blocks in the place of those; only people do that to a chain of their own.
   */
  function isLagging(newest: Header): boolean {
    const now = performance.now()
    if (behindSince === null) {
      const [endpoint, tip] = [endpoints.current(), window.at(-1)?.number]
      log.warn({ endpoint, head: newest.number, tip }, 'rpc.behind')
    }
    behindSince ??= now
    endpoints.distrust('behind')
    return now - behindSince < options.lagPatienceMs
  }

  async function final(): Promise<number | null> {
    const { finality } = options
    return finality === 'latest' ? null : (await getHeader(rpc, finality)).number
  }

  /** Stores a change and only then remembers it. */
  async function take(
    change: Omit<Extract<Change, { kind: 'blocks' }>, 'kind' | 'window'>,
    after: Window,
  ): Promise<void> {
    await apply({ kind: 'blocks', window: after, ...change })
    window = after
  }

  /** `branch` with its ancestors from the block numbered `from` on. @throws CHAIN_MOVED when they do not link */
  async function withAncestors(branch: Header[], from: number): Promise<Header[]> {
    const lowest = branch[0]!
    const numbers = Array.from({ length: Math.max(0, lowest.number - from) }, (_, i) => from + i)
    const whole = [...(await inBatches(numbers, (number) => getHeader(rpc, number))), ...branch]
    if (whole.some((header, i) => i > 0 && header.parentHash !== whole[i - 1]!.hash))
      throw new MultiverseError('CHAIN_MOVED', `blocks from ${from} on do not link`, {
        isRetryable: true,
      })
    return whole
  }

  endpoints.listen(() => pause.wake())
  const running = run()
  return {
    caughtUp: caughtUp.promise,
    state: () => ({ head, isCurrent: error === null && head !== null, error, newest: newestSeen }),
    async stop() {
      stopping.abort()
      pause.wake()
      caughtUp.reject(new MultiverseError('STOPPED', 'the keeper was stopped'))
      await running
    },
  }
}

async function inBatches<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let at = 0; at < items.length; at += PARALLEL_CALLS)
    results.push(...(await Promise.all(items.slice(at, at + PARALLEL_CALLS).map(work))))
  return results
}
