import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Address, Hex } from 'viem'
import { z } from 'zod'
import { MultiverseError, oneLine } from '../sdk/errors.ts'
import { retryAfterMs } from '../sdk/retryAfter.ts'

const errorSchema = z.object({ code: z.string(), message: z.string() })

const hex = z.templateLiteral(['0x', z.string()])

const addressSchema = z.templateLiteral(['0x', z.string().regex(/^[0-9a-fA-F]{40}$/)])

const partitionSchema = z.object({
  parent: hex,
  question: hex,
  state: z.enum(['running', 'waiting', 'reported', 'answered', 'resolved', 'failed', 'declined']),
  /** The keeper's advisory choice, an outcome. */
  winner: z.number().nullable(),
  worlds: z.array(
    z.object({
      outcome: z.number(),
      name: z.string(),
      trit: z.union([z.literal(-1), z.literal(0), z.literal(1)]),
      provider: z.string().nullable(),
      /** The world's name at its keeper. */
      entityId: z.string(),
      verseId: hex,
      stateRoot: hex.nullable(),
      /** 18-decimal fixed point, as an integer. */
      cost: z.string().nullable(),
      isVerified: z.boolean(),
      /** What the verse's own strategy costs, where an optimiser found something cheaper. */
      optimized: z.object({ ownCost: z.string() }).nullable(),
      /** The providers that succeeded for the verse, and what their trits sum to. */
      lane: z.object({
        providers: z.array(z.string()),
        sum: z.number(),
        conserved: z.boolean(),
        debt: z.number(),
      }),
    }),
  ),
  probabilities: z.array(z.string()),
  error: errorSchema.nullable(),
  timings: z.object({
    snapshotMs: z.number().nullable(),
    branchMs: z.number().nullable(),
    executeMs: z.number().nullable(),
    verifyMs: z.number().nullable(),
    reportMs: z.number().nullable(),
    blockToReportMs: z.number().nullable(),
  }),
})

/** A partition as its keeper sees it. */
export type PartitionView = z.infer<typeof partitionSchema>

/** The keeper of the running stack, over its socket. */
export type KeeperApi = {
  /** What it signs with. */
  address: () => Promise<Address>
  /** Every one it has heard of. */
  partitions: () => Promise<PartitionView[]>
  /** Undefined when it has not heard of it. */
  partition: (parent: Hex, question: Hex) => Promise<PartitionView | undefined>
  /** Tells it a question's answer; it will answer on chain. */
  answer: (question: Hex, outcome: number) => Promise<void>
  /** Hands it what a committee's member signed. Gives how many signatures it knows then. */
  verdict: (verdict: {
    question: Hex
    signer: Address
    survivors: string
    signature: Hex
  }) => Promise<number>
}

/**
 * A client of the keeper's socket. Every call rejects with the keeper's own codes.
 * @throws NO_KEEPER (retryable) when none listens
 */
export function createKeeperApi(socketPath: () => Promise<string>): KeeperApi {
  const call = async (method: string, path: string, body?: unknown) =>
    overSocket(await socketPath(), method, path, body)
  return {
    async address() {
      return z.object({ address: addressSchema }).parse(await call('GET', '/status')).address
    },
    async partitions() {
      return z
        .object({ partitions: z.array(partitionSchema) })
        .parse(await call('GET', '/partitions')).partitions
    },
    async partition(parent, question) {
      try {
        return partitionSchema.parse(await call('GET', `/partitions/${parent}/${question}`))
      } catch (error) {
        if (error instanceof MultiverseError && error.code === 'UNKNOWN_PARTITION') return undefined
        throw error
      }
    },
    async verdict(verdict) {
      const answered = await call('POST', '/verdicts', verdict)
      return z.object({ known: z.number() }).parse(answered).known
    },
    async answer(question, outcome) {
      await call('POST', '/answers', { question, outcome })
    },
  }
}

const answerSchema = z.object({
  columns: z.array(z.object({ name: z.string(), type: z.string() })),
  rows: z.array(z.array(z.json())),
})
type SqlAnswer = z.infer<typeof answerSchema>

const statusSchema = z.object({
  block: z.object({ number: z.number(), hash: z.string() }).nullable(),
  journals: z.array(z.object({ keeperId: z.string(), epoch: z.number(), seq: z.number() })),
  problems: z.array(z.object({ of: z.string(), code: z.string(), message: z.string() })),
})

const rebuildSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('none') }),
  z.object({ kind: z.literal('running'), block: z.number().nullable(), ms: z.number() }),
  z.object({ kind: z.literal('done'), block: z.number(), ms: z.number() }),
  z.object({ kind: z.literal('failed'), code: z.string(), message: z.string() }),
])

/** The analytics of the running stack, over HTTP. */
export type AnalyticsApi = {
  sql: (sql: string, params?: readonly string[]) => Promise<SqlAnswer>
  /** The same as CSV text. */
  csv: (sql: string, params?: readonly string[]) => Promise<string>
  /** The same as a Parquet file. */
  parquet: (sql: string, params?: readonly string[]) => Promise<Uint8Array>
  /** How far the mirror has come. */
  status: () => Promise<z.infer<typeof statusSchema>>
  /** Begins to rebuild the database. @throws REBUILD_RUNNING */
  rebuild: () => Promise<void>
  /** How the last rebuild stands. */
  rebuildState: () => Promise<z.infer<typeof rebuildSchema>>
}

/** How long who is asked to wait does so, all in all, and for how long when it is not said. */
const PATIENCE_MS = 60_000
const PAUSE_MS = 250

/**
 * A client of the analytics' HTTP. It asks again when it is told that it asks too often, for a minute.
 * @throws NO_ANALYTICS when nothing answers, and the codes of its SQL endpoint
 */
export function createAnalyticsApi(url: string): AnalyticsApi {
  const call = async (path: string, init?: RequestInit): Promise<Response> => {
    const until = performance.now() + PATIENCE_MS
    for (;;) {
      const response = await fetchFrom(path, init)
      const pauseMs = retryAfterMs(response.headers.get('retry-after')) ?? PAUSE_MS
      if (response.status !== 429 || performance.now() + pauseMs > until) {
        if (!response.ok) throw failureOf(await response.text(), response.status)
        return response
      }
      await response.body?.cancel()
      await sleep(pauseMs)
    }
  }
  const fetchFrom = async (path: string, init?: RequestInit): Promise<Response> => {
    try {
      return await fetch(`${url}${path}`, init)
    } catch (cause) {
      throw new MultiverseError('NO_ANALYTICS', `${url} does not answer`, {
        cause,
        isRetryable: true,
      })
    }
  }
  const ask = (sql: string, params: readonly string[] = [], format = 'json') =>
    call(`/sql?format=${format}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ sql, params }),
    })
  return {
    sql: async (sql, params) => answerSchema.parse(await (await ask(sql, params)).json()),
    csv: async (sql, params) => (await ask(sql, params, 'csv')).text(),
    parquet: async (sql, params) => (await ask(sql, params, 'parquet')).bytes(),
    status: async () => statusSchema.parse(await (await call('/status')).json()),
    rebuild: async () => void (await call('/rebuild', { method: 'POST' })),
    rebuildState: async () => rebuildSchema.parse(await (await call('/rebuild')).json()),
  }
}

/** One request to a keeper's socket. @throws NO_KEEPER (retryable), and the keeper's codes */
export function overSocket(
  socketPath: string,
  method: string,
  path: string,
  body: unknown,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { socketPath, method, path, headers: { 'content-type': 'application/json' } },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8')
          const status = response.statusCode ?? 0
          if (status < 200 || status > 299) reject(failureOf(text, status))
          else resolve(JSON.parse(text))
        })
      },
    )
    sent.on('error', (cause) => {
      reject(
        new MultiverseError('NO_KEEPER', `no keeper listens at ${socketPath}: ${oneLine(cause)}`, {
          cause,
          isRetryable: true,
        }),
      )
    })
    sent.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

/** The error a service answered with. */
function failureOf(text: string, status: number): MultiverseError {
  try {
    const { code, message } = errorSchema.parse(JSON.parse(text))
    return new MultiverseError(code, message.split('\n', 1)[0] ?? message)
  } catch {
    return new MultiverseError('SERVICE_FAILED', `status ${status}: ${text.slice(0, 200)}`)
  }
}
