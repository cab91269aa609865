import { z } from 'zod'

const value = z.union([z.string(), z.number(), z.boolean(), z.null()])

/** What `POST /sql` takes: one SELECT, and the values of its `$1`, `$2`, … */
export const sqlRequest = z.strictObject({ sql: z.string(), params: z.array(value).optional() })

const sqlResult = z.object({
  columns: z.array(z.object({ name: z.string(), type: z.string() })),
  rows: z.array(z.array(z.json())),
})
const failure = z.object({ code: z.string(), message: z.string() })
const cursor = z.object({ keeperId: z.string(), epoch: z.int(), seq: z.int() })
const status = z.object({
  chainId: z.int(),
  block: z.object({ number: z.int(), hash: z.string() }).nullable(),
  journals: z.array(cursor),
  problems: z.array(z.object({ of: z.string(), code: z.string(), message: z.string() })),
  ready: z.boolean(),
  reason: z.string().nullable(),
})

const rebuild = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('none') }),
  z.object({ kind: z.literal('running'), block: z.int().nullable(), ms: z.int() }),
  z.object({ kind: z.literal('done'), block: z.int(), ms: z.int() }),
  z.object({ kind: z.literal('failed'), code: z.string(), message: z.string() }),
])

const schemaOf = (schema: z.ZodType) => z.toJSONSchema(schema, { unrepresentable: 'any' })
const content = (schema: z.ZodType) => ({ 'application/json': { schema: schemaOf(schema) } })
const answer = (description: string, schema: z.ZodType) => ({
  description,
  content: content(schema),
})

const format = {
  name: 'format',
  in: 'query',
  schema: { type: 'string', enum: ['json', 'csv', 'parquet'], default: 'json' },
}
const bytes = { schema: { type: 'string', contentMediaType: 'application/octet-stream' } }
const sqlAnswers = {
  200: {
    description:
      'The rows. In JSON big integers, decimals and times are strings; in Parquet integers beyond 64 bits are decimal text.',
    content: {
      ...content(sqlResult),
      'text/csv': { schema: { type: 'string' } },
      'application/vnd.apache.parquet': bytes,
    },
  },
  400: answer('The statement or the request cannot be used.', failure),
  408: answer('It took too long (QUERY_TIMEOUT).', failure),
  413: answer(
    'The request, the result or the memory it takes (QUERY_TOO_LARGE) is too large.',
    failure,
  ),
  429: answer('Too many queries at once, or too many requests from one address.', failure),
}

/** The description of the analytics' HTTP that is served at `/openapi.json`. */
export const openapi = {
  openapi: '3.1.0',
  info: {
    title: 'Multiverse analytics',
    version: '1',
    description: 'Read-only SQL over the DuckDB mirror of one deployment of the multiverse.',
  },
  paths: {
    '/sql': {
      get: {
        summary: 'Runs one SELECT',
        parameters: [
          { name: 'q', in: 'query', required: true, schema: { type: 'string' } },
          format,
        ],
        responses: sqlAnswers,
      },
      post: {
        summary: 'Runs one SELECT with values for its parameters',
        parameters: [format],
        requestBody: { required: true, content: content(sqlRequest) },
        responses: sqlAnswers,
      },
    },
    '/status': {
      get: { summary: 'How far the mirror is', responses: { 200: answer('Now.', status) } },
    },
    '/journal': {
      get: {
        summary: "How far each keeper's journal is read",
        responses: { 200: answer('Now.', z.object({ journals: z.array(cursor) })) },
      },
    },
    '/rebuild': {
      get: { summary: 'How the last rebuild stands', responses: { 200: answer('Now.', rebuild) } },
      post: {
        summary:
          'Makes the database anew from the indexer and the kept journals, and then takes its place',
        responses: {
          202: answer('It has begun.', rebuild),
          403: answer('A web page asked for it.', failure),
          409: answer('One is under way.', failure),
        },
      },
    },
    '/health': {
      get: {
        summary: 'The process lives',
        responses: { 200: answer('It does.', z.object({ ok: z.boolean() })) },
      },
    },
    '/ready': {
      get: {
        summary: 'The mirror is level with the chain',
        responses: {
          200: answer('It is.', z.object({ ready: z.literal(true) })),
          503: answer(
            'It is not.',
            z.object({ ready: z.literal(false), reason: z.string().nullable() }),
          ),
        },
      },
    },
    '/metrics': {
      get: {
        summary: 'Figures for Prometheus',
        responses: {
          200: { description: 'Now.', content: { 'text/plain': { schema: { type: 'string' } } } },
        },
      },
    },
  },
}
