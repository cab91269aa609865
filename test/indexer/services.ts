import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePorts } from '../../cli/stack/ports.ts'
import { ANALYTICS_NODE } from '../../cli/stack/specs.ts'
import type { Deployment } from '../../sdk/deployment.ts'
import type { JournalEntry } from '../../sdk/journal.ts'

// The indexer's two processes, started as the stack starts them.

export type Service = {
  url: string
  process: ChildProcess
  /** Everything it wrote so far. */
  output(): string
  /** Resolves when /ready says so; rejects when the process ends first. */
  ready(): Promise<void>
  /** Ends it in order and gives its exit code. */
  stop(): Promise<number | null>
  /** Ends it as a power cut would. */
  kill(): Promise<void>
  /** Resolves with the exit code. */
  ended: Promise<number | null>
}

const PONDER = fileURLToPath(new URL('../../indexer/main.ts', import.meta.url))
const ANALYTICS = fileURLToPath(new URL('../../indexer/analytics/main.ts', import.meta.url))

export type Folder = { path: string; remove(): Promise<void> }

/** A data folder of its own for a deployment. */
export async function createDataFolder(deployment: Deployment): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'multiverse-indexer-'))
  await writeFile(join(path, 'deployment.json'), JSON.stringify(deployment))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

/** On a free port, unless one is given; on PGlite, unless a Postgres is. */
export async function startPonder(
  dataDir: string,
  rpcUrl: string,
  { port: wanted, databaseUrl = '' }: { port?: number; databaseUrl?: string } = {},
): Promise<Service> {
  const port = wanted ?? (await freePorts()).indexer
  return start(PONDER, port, {
    MULTIVERSE_DATA: dataDir,
    MULTIVERSE_RPC_URL: rpcUrl,
    INDEXER_PORT: `${port}`,
    INDEXER_DATABASE_URL: databaseUrl,
  })
}

export async function startAnalytics(
  dataDir: string,
  {
    rpcUrl,
    indexerUrl,
    keeperUrls = [],
    mostKiB,
  }: {
    rpcUrl: string
    indexerUrl: string
    keeperUrls?: string[]
    /** What one file can hold: as on a disk that is nearly full, no more can be written then. */
    mostKiB?: number
  },
  wanted?: number,
): Promise<Service> {
  const port = wanted ?? (await freePorts()).indexer
  const environment = {
    ...ANALYTICS_NODE.env,
    MULTIVERSE_DATA: dataDir,
    MULTIVERSE_RPC_URL: rpcUrl,
    ANALYTICS_PORT: `${port}`,
    INDEXER_URL: indexerUrl,
    KEEPER_URLS: keeperUrls.join(','),
  }
  return start(ANALYTICS, port, environment, { flags: ANALYTICS_NODE.flags, mostKiB })
}

/** Starts analytics with what is given and nothing else, to see it refuse. */
export function startAnalyticsBare(environment: Record<string, string>): Service {
  return start(ANALYTICS, 0, { ANALYTICS_PORT: '0', ...environment })
}

function start(
  entry: string,
  port: number,
  environment: Record<string, string>,
  { flags = [], mostKiB }: { flags?: readonly string[]; mostKiB?: number | undefined } = {},
): Service {
  const line = [process.execPath, ...flags, entry]
  const [file, ...args] =
    mostKiB === undefined ? line : ['bash', '-c', `ulimit -f ${mostKiB}; exec "$0" "$@"`, ...line]
  const child = spawn(file!, args, {
    env: { ...process.env, ...environment, MULTIVERSE_SUPERVISED: '1' },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => {
      text += data.toString()
    })
  const url = `http://127.0.0.1:${port}`
  const ended = once(child, 'close').then(([code]) => code as number | null)
  let hasEnded = false
  void ended.then(() => {
    hasEnded = true
  })
  return {
    url,
    process: child,
    output: () => text,
    ended,
    async ready() {
      while (!(await answers(`${url}/ready`))) {
        if (hasEnded) throw new Error(`${entry} ended:\n${text}`)
        await sleep(20)
      }
    },
    async stop() {
      child.kill('SIGTERM')
      return ended
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(2_000) })).ok
  } catch {
    // Not listening yet.
    return false
  }
}

/** Waits for a condition, checked again and again; rejects with `what` after `timeoutMs`. */
export async function until(
  what: string,
  condition: () => Promise<boolean>,
  timeoutMs = 240_000,
): Promise<void> {
  const end = Date.now() + timeoutMs
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await sleep(20)
  }
}

export type ServedJournal = { url: string; close(): Promise<void> }

/** Serves a journal as a keeper does, in pages of whatever `entries` gives when it is asked. */
export async function serveJournal(
  entries: () => JournalEntry[],
  pageSize = 7,
): Promise<ServedJournal> {
  const server = createHttpServer((request, response) => {
    const { searchParams } = new URL(request.url!, 'http://keeper')
    const all = entries()
    const after = Number(searchParams.get('after'))
    const limit = Math.min(Number(searchParams.get('limit')), pageSize)
    const last = all.at(-1)
    response.setHeader('content-type', 'application/json').end(
      JSON.stringify({
        keeperId: last?.keeperId,
        epoch: last?.epoch,
        last: last?.seq ?? 0,
        entries: all.filter(({ seq }) => seq > after).slice(0, limit),
      }),
    )
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

export type Gate = {
  url: string
  /** Requests wait until it is opened again. */
  hold(): void
  open(): void
  close(): Promise<void>
}

/** Passes requests on to `target` and tells of each that was answered, before the answer goes out. */
export async function openGate(
  target: string,
  onAnswer: (request: { path: string; body: string }) => void,
): Promise<Gate> {
  let opened = Promise.withResolvers<void>()
  opened.resolve()
  const server = createHttpServer((request, response) => {
    const pass = async () => {
      const body = await text(request)
      await opened.promise
      const answer = await fetch(new URL(request.url!, target), {
        method: request.method!,
        headers: { 'content-type': 'application/json' },
        ...(body !== '' && { body }),
      })
      const content = Buffer.from(await answer.arrayBuffer())
      onAnswer({ path: decodeURIComponent(request.url!), body })
      response.writeHead(answer.status, {
        'content-type': answer.headers.get('content-type') ?? '',
      })
      response.end(content)
    }
    pass().catch(() => response.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    hold() {
      opened = Promise.withResolvers<void>()
    },
    open: () => opened.resolve(),
    close: () =>
      new Promise((resolve) => {
        opened.resolve()
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
