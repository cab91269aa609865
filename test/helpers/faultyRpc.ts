import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type Hex, hexToNumber, numberToHex } from 'viem'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import {
  ceilingOf,
  type Faults,
  faultyAnswer,
  NO_FAULTS,
  resultOf,
  type RpcAnswer,
  type RpcCall,
  type Upstream,
} from './rpcFaults.ts'

// A JSON-RPC endpoint over HTTP and WebSocket in front of a real node, with faults that a test switches while it runs.

/** Faults of the wire, beside those of single calls. */
export type WireFaults = Faults & {
  /** Milliseconds that every answer takes longer. */
  delayMs: number
  /** Connections are cut when something is asked. */
  cutsConnections: boolean
  /** Nothing that is asked is ever answered. */
  hangs: boolean
  /** HTTP status in place of an answer, with its Retry-After in seconds when one is given. */
  refuses: { status: number; retryAfterS?: number } | null
  /** Subscriptions stay open and say nothing. */
  mutesSubscriptions: boolean
}

export type FaultyRpc = {
  url: string
  wsUrl: string
  /** Adds to the faults that are on. */
  set(faults: Partial<WireFaults>): void
  /** All is well again. */
  heal(): void
  /** As if the chain had ended with its present head. */
  freeze(): Promise<void>
  /** How often each method was asked for, whatever became of it. */
  calls: Map<string, number>
  /** Ends it, with every connection; idempotent. */
  stop(): Promise<void>
}

const ALL_WELL: WireFaults = {
  ...NO_FAULTS,
  delayMs: 0,
  cutsConnections: false,
  hangs: false,
  refuses: null,
  mutesSubscriptions: false,
}

/** Starts a proxy before the node at `target`, an http URL, on a free port. */
export async function startFaultyRpc(target: string): Promise<FaultyRpc> {
  let faults: WireFaults = { ...ALL_WELL }
  const calls = new Map<string, number>()
  const sockets = new Set<Socket>()
  const timers = new Set<NodeJS.Timeout>()
  const ask = upstreamOf(target)

  const server = createServer((request, response) => void serve(request, response))
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const webSockets = new WebSocketServer({ server })
  webSockets.on('connection', (client) => bridge(client))

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const asked = JSON.parse(Buffer.concat(chunks).toString()) as RpcCall | RpcCall[]
    count(asked)
    if (faults.cutsConnections) return void request.socket.destroy()
    if (faults.hangs) return
    await pause(faults.delayMs)
    if (faults.refuses) {
      const { status, retryAfterS } = faults.refuses
      const headers = retryAfterS === undefined ? {} : { 'retry-after': `${retryAfterS}` }
      response.writeHead(status, headers).end()
      return
    }
    const body = await answerAll(asked)
    if (faults.cutsConnections) return void request.socket.destroy()
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }

  async function answerAll(asked: RpcCall | RpcCall[]): Promise<object> {
    return Array.isArray(asked) ? Promise.all(asked.map(answer)) : answer(asked)
  }

  async function answer(call: RpcCall): Promise<object> {
    const given = await faultyAnswer(faults, call, ask).catch((error: unknown): RpcAnswer => {
      return { error: { code: -32_603, message: `upstream: ${String(error)}` } }
    })
    return { jsonrpc: '2.0', id: call.id ?? null, ...given }
  }

  /** One client's socket: subscriptions go to the node, calls are answered as over HTTP. */
  function bridge(client: WebSocket): void {
    const node = new WebSocket(target.replace(/^http/, 'ws'))
    const opened = new Promise<void>((resolve) => node.once('open', resolve))
    node.on('error', () => client.terminate())
    node.on('close', () => client.terminate())
    client.on('error', () => client.terminate())
    client.on('close', () => node.terminate())
    client.on('message', (data) => void hear(textOf(data)))
    node.on('message', (data) => void tell(textOf(data)))

    async function hear(text: string): Promise<void> {
      const asked = JSON.parse(text) as RpcCall | RpcCall[]
      count(asked)
      if (faults.cutsConnections) return client.terminate()
      if (faults.hangs) return
      await pause(faults.delayMs)
      if (!Array.isArray(asked) && /^eth_(un)?subscribe$/.test(asked.method)) {
        await opened
        node.send(text)
      } else {
        const body = await answerAll(asked)
        if (client.readyState === WebSocket.OPEN) client.send(JSON.stringify(body))
      }
    }

    /** What the node says by itself, as an endpoint that is behind or mute would say it. */
    async function tell(text: string): Promise<void> {
      type Notice = { method?: string; params?: { result?: { number?: Hex } } }
      const notice = JSON.parse(text) as Notice
      const header = notice.method === 'eth_subscription' ? notice.params?.result : undefined
      if (header?.number !== undefined) {
        if (faults.mutesSubscriptions || faults.hangs) return
        const ceiling = await ceilingOf(faults, ask).catch(() => null)
        if (ceiling !== null && hexToNumber(header.number) > ceiling) {
          if (faults.frozenAt !== null) return
          const past = await ask('eth_getBlockByNumber', [numberToHex(ceiling), false])
          notice.params!.result = resultOf(past) as { number: Hex }
        }
      }
      if (client.readyState === WebSocket.OPEN) client.send(JSON.stringify(notice))
    }
  }

  function count(asked: RpcCall | RpcCall[]): void {
    for (const { method } of Array.isArray(asked) ? asked : [asked])
      calls.set(method, (calls.get(method) ?? 0) + 1)
  }

  function pause(ms: number): Promise<void> {
    if (ms === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        timers.delete(timer)
        resolve()
      }, ms)
      timers.add(timer)
    })
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  let stopping: Promise<void> | null = null
  return {
    url: `http://127.0.0.1:${port}`,
    wsUrl: `ws://127.0.0.1:${port}`,
    calls,
    set(changes) {
      faults = { ...faults, ...changes }
    },
    heal() {
      faults = { ...ALL_WELL }
    },
    async freeze() {
      faults = {
        ...faults,
        frozenAt: hexToNumber(resultOf(await ask('eth_blockNumber', [])) as Hex),
      }
    },
    stop() {
      stopping ??= new Promise((resolve) => {
        for (const timer of timers) clearTimeout(timer)
        for (const client of webSockets.clients) client.terminate()
        webSockets.close()
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      })
      return stopping
    },
  }
}

/** Asks the node itself, one call at a time. */
function upstreamOf(target: string): Upstream {
  let id = 0
  return async (method, params) => {
    const response = await fetch(target, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: ++id, method, params }),
    })
    const answer = (await response.json()) as RpcAnswer
    return 'error' in answer ? { error: answer.error } : { result: answer.result }
  }
}

function textOf(data: RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString()
  return Buffer.from(data as Buffer).toString()
}
