import { chmod } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { Hex } from 'viem'
import { z } from 'zod'
import { isMultiverseError, MultiverseError } from '../sdk/errors.ts'
import type { JournalPage } from '../sdk/journal.ts'
import { JOB_STATES, TX_STATES } from '../sdk/keeperOutput.ts'
import type { BooksApi } from './books.ts'
import { errorFields, type Log } from './log.ts'
import type { Reconciled } from './reconcile.ts'
import type { Verdict } from './store/verdicts.ts'
import type { PartitionView } from './views.ts'

/** What the outside can ask of a keeper. Null or UNAVAILABLE while it is still starting. */
export type Service = Omit<BooksApi, 'status'> & {
  /** Null when current data is served, else why not. */
  notReady: () => Promise<string | null>
  metrics(): Promise<{ text: string; contentType: string }>
  journal: (after: number, limit: number) => Promise<JournalPage>
  status: () => Promise<object>
  /** What members of a committee signed of a question. */
  verdicts: (question: Hex) => Promise<object[]>
  /** Takes what a member signed. Gives how many signatures are known then. */
  takeVerdict: (verdict: Verdict) => Promise<number>
  worlds: () => Promise<object[]>
  partitions: () => Promise<PartitionView[]>
  partition: (parent: Hex, question: Hex) => Promise<PartitionView | null>
  answer(question: Hex, outcome: number | string): Promise<{ question: Hex; outcome: number }>
  /** Compares chain, books and worlds now. */
  reconcile: () => Promise<Reconciled>
}

/** A listening server. */
export type Listening = { port: number | null; close: () => Promise<void> }

const MAX_PAGE = 1_000
const MAX_BODY_BYTES = 65_536

const whole = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform(Number)
const pageQuery = z.object({
  after: whole.default(0),
  limit: whole.default(MAX_PAGE).transform((limit) => Math.min(limit, MAX_PAGE)),
})
const word = z.templateLiteral(['0x', z.string().regex(/^[0-9a-fA-F]{64}$/)])
const answerBody = z.strictObject({
  question: word,
  outcome: z.union([z.int().nonnegative(), z.string().min(1).max(64)]),
})

const verdictBody = z.strictObject({
  question: word,
  signer: z.templateLiteral(['0x', z.string().regex(/^[0-9a-fA-F]{40}$/)]),
  survivors: z.string().regex(/^\d{1,78}$/),
  signature: z.templateLiteral(['0x', z.string().regex(/^[0-9a-fA-F]{2,8192}$/)]),
})

const jobsQuery = z.object({
  state: z.enum(JOB_STATES).optional(),
  limit: whole.default(MAX_PAGE).transform((limit) => Math.min(limit, MAX_PAGE)),
})
const txsQuery = z.object({
  state: z.enum(TX_STATES).optional(),
  limit: whole.default(100).transform((limit) => Math.min(limit, MAX_PAGE)),
})
/** A job by its key or the beginning of it; null for every dead letter. */
const jobsBody = z.strictObject({ key: z.string().min(3).max(80).nullable() })

/** What is not a bad request. */
const STATUS: Record<string, ContentfulStatusCode> = {
  UNKNOWN_QUESTION: 404,
  UNKNOWN_PARTITION: 404,
  UNKNOWN_WORLD: 404,
  UNKNOWN_JOB: 404,
  NOT_FOUND: 404,
  NOT_ORACLE: 403,
  NOT_A_MEMBER: 403,
  NOT_SIGNED: 403,
  ALREADY_RESOLVED: 409,
  ALREADY_ANSWERED: 409,
  DEADLINE_PASSED: 409,
  AMBIGUOUS_JOB: 409,
  NOT_FAILED: 409,
  NOT_DEAD: 409,
  QUESTION_UNSEEN: 503,
  RPC_FAILED: 503,
  UNAVAILABLE: 503,
  NO_KEEPER: 503,
}

/** The read-only HTTP anybody on the machine may use: health, readiness, metrics, the journal, signed verdicts. */
export function publicApp(service: Service, log: Log): Hono {
  const app = baseApp(log)
  app.get('/health', (context) => context.json({ ok: true }))
  app.get('/ready', async (context) => {
    const reason = await service.notReady()
    return reason === null
      ? context.json({ ready: true })
      : context.json({ ready: false, reason }, 503)
  })
  app.get('/metrics', async (context) => {
    const { text, contentType } = await service.metrics()
    return context.text(text, 200, { 'content-type': contentType })
  })
  serveJournal(app, service)
  app.get('/verdicts/:question', async (context) =>
    context.json({
      verdicts: await service.verdicts(parse(word, context.req.param('question').toLowerCase())),
    }),
  )
  return app
}

/** Adds the route of the journal's pages. */
export function serveJournal(app: Hono, { journal }: Pick<Service, 'journal'>): void {
  app.get('/journal', async (context) => {
    const { after, limit } = parse(pageQuery, context.req.query())
    return context.json(await journal(after, limit))
  })
}

/** The HTTP over the keeper's socket, for its owner: everything that tells it what to do. */
export function controlApp(service: Service, log: Log): Hono {
  const app = baseApp(log)
  app.get('/status', async (context) => context.json(await service.status()))
  app.get('/duties', async (context) => context.json({ duties: await service.duties() }))
  app.get('/worlds', async (context) => context.json({ worlds: await service.worlds() }))
  app.get('/partitions', async (context) =>
    context.json({ partitions: await service.partitions() }),
  )
  app.get('/partitions/:parent/:question', async (context) => {
    const { parent, question } = context.req.param()
    const found = await service.partition(parse(word, parent), parse(word, question))
    if (!found)
      throw new MultiverseError('UNKNOWN_PARTITION', `no partition of ${parent} by ${question}`)
    return context.json(found)
  })
  app.post('/answers', async (context) => {
    const { question, outcome } = await readBody(context, answerBody)
    return context.json(await service.answer(question, outcome), 202)
  })
  app.post('/verdicts', async (context) => {
    const known = await service.takeVerdict(await readBody(context, verdictBody))
    return context.json({ known }, 202)
  })
  app.get('/jobs', async (context) =>
    context.json({ jobs: await service.jobs(parse(jobsQuery, context.req.query())) }),
  )
  app.get('/jobs/:key', async (context) =>
    context.json(await service.job(context.req.param('key'))),
  )
  for (const act of ['retry', 'drop'] as const)
    app.post(`/jobs/${act}`, async (context) => {
      const { key } = await readBody(context, jobsBody)
      return context.json({ keys: await service[act](key) })
    })
  app.post('/reconcile', async (context) => context.json(await service.reconcile()))
  app.get('/txs', async (context) =>
    context.json({ txs: await service.txs(parse(txsQuery, context.req.query())) }),
  )
  return app
}

/** Serves on a port of 127.0.0.1; 0 takes a free one. @throws PORT_IN_USE */
export async function servePort(app: Hono, port: number): Promise<Listening> {
  const server = serverOf(app)
  await listen(server, () => server.listen(port, '127.0.0.1'), `port ${port}`)
  return { port: (server.address() as AddressInfo).port, close: () => close(server) }
}

/** Serves on a unix socket that only its owner may use. @throws PORT_IN_USE */
export async function serveSocket(app: Hono, path: string): Promise<Listening> {
  const server = serverOf(app)
  // Nobody else can connect in between: the mode is masked while the socket is made.
  const mask = process.umask(0o177)
  try {
    await listen(server, () => server.listen(path), path)
  } finally {
    process.umask(mask)
  }
  await chmod(path, 0o600)
  return { port: null, close: () => close(server) }
}

function serverOf(app: Hono): Server {
  const answer = getRequestListener(app.fetch)
  return createServer((request, response) => void answer(request, response))
}

/** Routes whose failures are told as JSON: {code, message}. */
export function baseApp(log: Log): Hono {
  const app = new Hono()
  app.notFound((context) =>
    context.json(
      { code: 'NOT_FOUND', message: `no ${context.req.method} ${context.req.path}` },
      404,
    ),
  )
  app.onError((error, context) => {
    const isKnown = isMultiverseError(error)
    if (!isKnown) log.error({ path: context.req.path, ...errorFields(error) }, 'request.failed')
    const code = isKnown ? error.code : 'UNEXPECTED'
    const message = isKnown ? error.message : 'the keeper failed: its log says why'
    return context.json({ code, message }, isKnown ? (STATUS[code] ?? 400) : 500)
  })
  return app
}

/** A request's body as it should be. @throws BAD_REQUEST */
export async function readBody<T>(context: Context, schema: z.ZodType<T>): Promise<T> {
  const text = await context.req.text()
  if (text.length > MAX_BODY_BYTES)
    throw new MultiverseError('BAD_REQUEST', `a body of more than ${MAX_BODY_BYTES} bytes`)
  return parse(schema, json(text))
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const where = issue?.path.join('.')
  throw new MultiverseError(
    'BAD_REQUEST',
    `${where ? `${where}: ` : ''}${issue?.message ?? 'not understood'}`,
  )
}

function json(text: string): unknown {
  if (text.length > MAX_BODY_BYTES)
    throw new MultiverseError('BAD_REQUEST', `a body of more than ${MAX_BODY_BYTES} bytes`)
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new MultiverseError('BAD_REQUEST', 'the body is not JSON', { cause })
  }
}

function listen(server: Server, start: () => void, where: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new MultiverseError('PORT_IN_USE', `${where} is taken by another process`)
          : error,
      )
    })
    server.once('listening', resolve)
    start()
  })
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
