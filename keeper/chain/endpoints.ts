import { http, webSocket } from 'viem'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import { errorFields, type Log } from '../log.ts'
import { faultOf } from './faults.ts'

/** Asks one endpoint. */
export type Request = (args: { method: string; params?: unknown }) => Promise<unknown>

/** Why an endpoint is not asked for a while. */
export type Distrust = 'behind' | 'frozen' | 'lostLogs'

/** Several ways to one chain. One is used until it fails; then the next in order. */
export type Endpoints = {
  request: Request
  /** Asks another than the one in use; undefined when there is none, or it fails. */
  secondOpinion: Request
  /** The one in use, as it may be shown: paths and queries can hold keys. */
  current(): string
  /** The one in use is wrong: another is used from now on, if there is one. */
  distrust(why: Distrust): void
  /** Calls `onHead` when an endpoint in use says by itself that there is a new block. */
  listen(onHead: () => void): void
  /** Whether the one in use says so. */
  isListening(): boolean
  /** Looks whether the others are far ahead of a head that does not move. To be called now and then. */
  probe(head: number): Promise<void>
  close(): void
}

export type EndpointsOptions = {
  urls: readonly string[]
  /** What must hold of an endpoint before it is asked for anything; its errors that are not retryable refuse it. */
  admit: (request: Request) => Promise<void>
  /** Milliseconds that an endpoint may take to answer. */
  timeoutMs: number
  log: Log
}

type Endpoint = {
  name: string
  request: Request
  subscribe: ((onHead: () => void, onEnd: () => void) => Promise<void>) | null
  /** Drops the connection; the next request makes another. */
  drop: () => void
  failures: number
  /** Not asked before then, on the process's own clock; not at all when the endpoint said so itself. */
  restUntil: number
  isLimited: boolean
  isAdmitted: boolean
  isListening: boolean
}

const MAX_REST_MS = 60_000
const DISTRUST_MS = 5_000
/** So many blocks behind the others is more than news that travels. */
const FROZEN_BLOCKS = 3

export function createEndpoints(options: EndpointsOptions): Endpoints {
  const { urls, admit, timeoutMs, log } = options
  const all = urls.map((url) => openEndpoint(url, timeoutMs))
  let inUse = all[0]!
  let onHead: (() => void) | null = null
  /** The head that was compared with the others' the last time. */
  let probed = -1

  async function request(args: { method: string; params?: unknown }): Promise<unknown> {
    let failed: unknown = null
    for (const endpoint of candidates()) {
      try {
        if (!endpoint.isAdmitted && all.length > 1) await admit(endpoint.request)
        endpoint.isAdmitted = true
        const result = await endpoint.request(args)
        endpoint.failures = 0
        use(endpoint, failed)
        return result
      } catch (error) {
        if (!rests(endpoint, args.method, error)) throw error
        failed = error
      }
    }
    if (failed !== null) throw failed
    const waitMs = Math.max(0, inUse.restUntil - performance.now())
    throw new MultiverseError(
      'RPC_FAILED',
      `${inUse.name} asks to be left alone for ${Math.ceil(waitMs / 1_000)} s`,
      { isRetryable: true, retryAfterMs: waitMs },
    )
  }

  /** Whom to ask, in order: the one in use, the others that do not rest, then those that rest of themselves. */
  function candidates(): Endpoint[] {
    const now = performance.now()
    const inOrder = [inUse, ...all.filter((each) => each !== inUse)]
    const [awake, resting] = [
      inOrder.filter(({ restUntil }) => restUntil <= now),
      inOrder.filter(({ restUntil }) => restUntil > now),
    ]
    const mayWake = resting.filter(({ isLimited }) => !isLimited)
    return awake.length > 0 ? awake : mayWake.toSorted((a, b) => a.restUntil - b.restUntil)
  }

  /** Notes a failure. False when it is not the endpoint's. */
  function rests(endpoint: Endpoint, method: string, error: unknown): boolean {
    if (isMultiverseError(error) && !error.isRetryable) {
      log.error({ endpoint: endpoint.name, ...errorFields(error) }, 'rpc.refused')
      rest(endpoint, MAX_REST_MS, true)
      return true
    }
    const fault = faultOf(method, error instanceof MultiverseError ? error.cause : error)
    if (fault.kind === 'call') return false
    endpoint.failures++
    const growingMs = Math.min(MAX_REST_MS, 500 * 2 ** Math.min(endpoint.failures, 10))
    if (fault.kind === 'limit') {
      const waitMs = fault.retryAfterMs ?? growingMs
      log.warn({ endpoint: endpoint.name, waitMs }, 'rpc.limited')
      rest(endpoint, waitMs, true)
      return true
    }
    endpoint.isAdmitted = false
    endpoint.isListening = false
    endpoint.drop()
    rest(endpoint, growingMs, false)
    return true
  }

  function use(endpoint: Endpoint, failed: unknown): void {
    endpoint.restUntil = 0
    if (endpoint !== inUse) {
      const fields = { from: inUse.name, to: endpoint.name }
      log.warn(failed === null ? fields : { ...fields, ...errorFields(failed) }, 'rpc.switched')
      inUse = endpoint
    }
    if (onHead && endpoint.subscribe && !endpoint.isListening) {
      endpoint.isListening = true
      const end = () => (endpoint.isListening = false)
      endpoint.subscribe(onHead, end).catch(end)
    }
  }

  function distrust(why: Distrust): void {
    if (all.length === 1) return
    const from = inUse
    rest(from, DISTRUST_MS, false)
    const [next] = candidates()
    if (!next || next === from) return
    log.warn({ from: from.name, to: next.name, why }, 'rpc.distrusted')
    inUse = next
  }

  async function secondOpinion(args: { method: string; params?: unknown }): Promise<unknown> {
    const other = all.find((each) => each !== inUse && each.restUntil <= performance.now())
    if (!other) return undefined
    try {
      if (!other.isAdmitted) await admit(other.request)
      other.isAdmitted = true
      return await other.request(args)
    } catch (error) {
      rests(other, args.method, error)
      return undefined
    }
  }

  return {
    request,
    secondOpinion,
    current: () => inUse.name,
    distrust,
    listen(callback) {
      onHead = callback
    },
    isListening: () => inUse.isListening,
    async probe(head) {
      if (all.length === 1) return
      const others = all.filter((each) => each !== inUse && each.restUntil <= performance.now())
      const heads = await Promise.all(
        others.map(async (each) => {
          const head = await each.request({ method: 'eth_blockNumber' }).catch(() => '0x0')
          return Number(head)
        }),
      )
      const isFrozen = head === probed && Math.max(...heads, 0) - head >= FROZEN_BLOCKS
      probed = head
      if (isFrozen) distrust('frozen')
    },
    close() {
      onHead = null
      for (const each of all) each.drop()
    },
  }
}

function rest(endpoint: Endpoint, ms: number, isLimited: boolean): void {
  endpoint.restUntil = performance.now() + ms
  endpoint.isLimited = isLimited
}

function openEndpoint(url: string, timeoutMs: number): Endpoint {
  const fresh = {
    name: URL.parse(url)?.origin ?? 'the endpoint',
    failures: 0,
    restUntil: 0,
    isLimited: false,
    isAdmitted: false,
    isListening: false,
  }
  if (!/^wss?:/.test(url)) {
    const { request } = http(url, { retryCount: 0, timeout: timeoutMs })({ retryCount: 0 })
    return { ...fresh, request, subscribe: null, drop: () => {} }
  }
  const transport = webSocket(url, { retryCount: 0, timeout: timeoutMs, reconnect: false })({
    retryCount: 0,
  })
  const socket = transport.value!
  return {
    ...fresh,
    request: transport.request,
    subscribe: async (onHead, onEnd) => {
      await socket.subscribe({ params: ['newHeads'], onData: onHead, onError: onEnd })
    },
    drop: () => {
      // A client whose socket is closed stays in the library's cache until it is closed too.
      void socket.getRpcClient().then(
        (client) => client.close(),
        () => {},
      )
    },
  }
}
