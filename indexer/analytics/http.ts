import { type HttpBindings, serve, type ServerType } from '@hono/node-server'
import type { Json } from '@duckdb/node-api'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { rateLimiter } from 'hono-rate-limiter'
import { isMultiverseError, MultiverseError, oneLine } from '../../sdk/errors.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { openapi, sqlRequest } from './openapi.ts'
import { toParquet } from './parquet.ts'
import type { QueryResult, RunQuery } from './query.ts'
import type { Rebuild } from './rebuild.ts'
import type { Status } from './status.ts'

const STATUS_CODES: Record<string, 400 | 403 | 408 | 409 | 413 | 429> = {
  CROSS_SITE: 403,
  REBUILD_RUNNING: 409,
  QUERY_TIMEOUT: 408,
  QUERY_TOO_LARGE: 413,
  RESULT_TOO_LARGE: 413,
  REQUEST_TOO_LARGE: 413,
  TOO_MANY_QUERIES: 429,
  TOO_MANY_REQUESTS: 429,
}

/** Requests for SQL that one address may make in a window. */
const RATE = { requests: 1_000, windowMs: 10_000 }

type Options = {
  query: RunQuery
  status: () => Status
  metrics?: Metrics
  rate?: typeof RATE
  /** Left out where nothing could be rebuilt from. */
  rebuild?: Rebuild
}

/** The analytics' routes: read-only SQL, health, readiness, status, metrics, and their description. */
export function createApp({
  query: runQuery,
  status,
  metrics = createMetrics(status),
  rate = RATE,
  rebuild,
}: Options): Hono {
  const app = new Hono<{ Bindings: HttpBindings }>()
  const query: RunQuery = async (sql, values) => {
    const from = performance.now()
    let outcome = 'ok'
    try {
      return await runQuery(sql, values)
    } catch (error) {
      outcome = isMultiverseError(error) ? error.code : 'INTERNAL'
      throw error
    } finally {
      metrics.query(outcome, (performance.now() - from) / 1_000)
    }
  }
  app.use(
    '/sql',
    rateLimiter<{ Bindings: HttpBindings }>({
      windowMs: rate.windowMs,
      limit: rate.requests,
      standardHeaders: 'draft-6',
      keyGenerator: (c) => c.env?.incoming?.socket.remoteAddress ?? 'unknown',
      handler: (c) =>
        refuse(
          c,
          new MultiverseError(
            'TOO_MANY_REQUESTS',
            `more than ${rate.requests} requests in ${rate.windowMs / 1_000} s from one address`,
          ),
        ),
    }),
  )
  const limit = bodyLimit({
    maxSize: 1_024 * 1_024,
    onError: (c) =>
      refuse(c, new MultiverseError('REQUEST_TOO_LARGE', 'the request has over 1 MiB')),
  })
  app.post('/sql', limit, async (c) => {
    const parsed = sqlRequest.safeParse(await c.req.json().catch(() => undefined))
    if (!parsed.success)
      throw new MultiverseError('REQUEST_INVALID', 'the body must be JSON: {sql, params?}')
    return answer(c, await query(parsed.data.sql, parsed.data.params))
  })
  app.get('/sql', async (c) => {
    const sql = c.req.query('q')
    if (sql === undefined) throw new MultiverseError('REQUEST_INVALID', 'there is no SQL in ?q=')
    return answer(c, await query(sql))
  })
  app.get('/status', (c) => c.json(status()))
  app.get('/journal', (c) => c.json({ journals: status().journals }))
  const needRebuild = () => {
    if (rebuild === undefined)
      throw new MultiverseError('NO_STACK', 'nothing follows the chain: start a stack first')
    return rebuild
  }
  app.get('/rebuild', (c) => c.json(needRebuild().state()))
  app.post('/rebuild', (c) => {
    // A page of another site can make a browser send this, but not hide where it comes from.
    if (c.req.header('origin') !== undefined)
      throw new MultiverseError('CROSS_SITE', 'a rebuild cannot be asked for by a web page')
    needRebuild().start()
    return c.json(needRebuild().state(), 202)
  })
  app.get('/openapi.json', (c) => c.json(openapi))
  app.get('/metrics', async (c) =>
    c.text(await metrics.text(), 200, { 'content-type': metrics.contentType }),
  )
  app.get('/health', (c) => c.json({ ok: true }))
  app.get('/ready', (c) => {
    const { ready, reason } = status()
    return ready ? c.json({ ready }) : c.json({ ready, reason }, 503)
  })
  app.notFound((c) => c.json({ code: 'NOT_FOUND', message: `there is no ${c.req.path}` }, 404))
  app.onError((error, c) => refuse(c, error))
  return app as unknown as Hono
}

/** Serves an app on 127.0.0.1. */
export async function listen(
  app: Hono,
  port: number,
): Promise<{ port: number; close(): Promise<void> }> {
  const { promise, resolve, reject } = Promise.withResolvers<ServerType>()
  const server = serve({ fetch: app.fetch, port, hostname: '127.0.0.1' }, () => resolve(server))
  server.once('error', reject)
  await promise.catch((cause: unknown) => {
    throw new MultiverseError('PORT_UNAVAILABLE', `port ${port}: ${oneLine(cause)}`, { cause })
  })
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    close: () =>
      new Promise((done) => {
        server.close(() => done())
        if ('closeAllConnections' in server) server.closeAllConnections()
      }),
  }
}

async function answer(c: Context, result: QueryResult): Promise<Response> {
  const format = c.req.query('format') ?? 'json'
  if (format === 'json') return c.json(result)
  if (format === 'csv')
    return c.body(toCsv(result), 200, { 'content-type': 'text/csv; charset=utf-8' })
  if (format === 'parquet')
    return c.body(await toParquet(result), 200, {
      'content-type': 'application/vnd.apache.parquet',
    })
  throw new MultiverseError('REQUEST_INVALID', `the format is json, csv or parquet, not ${format}`)
}

function refuse(c: Context, error: unknown): Response {
  if (isMultiverseError(error))
    return c.json({ code: error.code, message: error.message }, STATUS_CODES[error.code] ?? 400)
  return c.json({ code: 'INTERNAL', message: oneLine(error) }, 500)
}

/** RFC 4180, with a header. A null is an empty field; what is no plain value is JSON. */
export function toCsv({ columns, rows }: QueryResult): string {
  const lines = [columns.map(({ name }) => name), ...rows]
  return lines.map((line) => `${line.map((cell) => csvField(cell)).join(',')}\r\n`).join('')
}

function csvField(cell: Json): string {
  if (cell === null) return ''
  const text = typeof cell === 'object' ? JSON.stringify(cell) : `${cell}`
  return /[",\r\n]/.test(text) || text === '' ? `"${text.replaceAll('"', '""')}"` : text
}
