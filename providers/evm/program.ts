import { z } from 'zod'
import { MultiverseError } from '../../sdk/errors.ts'
import type { Json } from './values.ts'

/**
 * A program of an EVM world: a list of steps, done in order, and what to answer.
 *
 *     { "steps": [
 *         { "kind": "deploy", "as": "game", "bytecode": "0x…", "inputs": ["uint256"], "args": [3] },
 *         { "kind": "send", "from": "0x…", "to": { "$": "game.address" }, "function": "play(string how)",
 *           "args": [{ "$": "input.verse.strategy" }] },
 *         { "kind": "call", "as": "cost", "to": { "$": "game.address" }, "function": "cost() returns (uint256)" } ],
 *       "result": { "cost": { "$": "cost.output" } } }
 *
 * `{ "$": "a.b.0" }` stands for a value: of an earlier step by the name it has (`as`), of a contract that an earlier program
 * deployed under a name, of `input` (what the caller gave), of `head` (the newest block: number, timestamp, hash, stateRoot).
 *
 * Every program moves the clock by a second, and every transaction has a block of its own, a second after the one before.
 * Nothing costs a fee; any address may send. A program that fails leaves its world as it was.
 */
export type Program = z.infer<typeof programSchema>
export type Step = Program['steps'][number]

const reference = z.strictObject({ $: z.string().min(1).max(256) })
const text = z.union([z.string(), reference])
const hex = z.union([z.string().regex(/^0x([0-9a-fA-F]{2})*$/, 'hexadecimal bytes'), reference])
const address = z.union([z.string().regex(/^0x[0-9a-fA-F]{40}$/, 'an address'), reference])
/** A number, or a decimal or hexadecimal string. */
const integer = z.union([z.int(), z.string().regex(/^(\d+|0x[0-9a-fA-F]+)$/), reference])
/** Any JSON, references in it. */
const value = z.json()

const name = z
  .string()
  .regex(/^[a-zA-Z_][a-zA-Z0-9_]{0,63}$/)
  .refine((each) => each !== 'input' && each !== 'head', 'input and head are taken')

/** What a message holds: a function's arguments, or bare bytes. */
const message = {
  /** The step's name. Its outcome is `{status: 'success' | 'reverted', output, reason?, gasUsed, logs}`. */
  as: name.optional(),
  /** The zero address when absent. */
  from: address.optional(),
  /** Wei. */
  value: integer.optional(),
  gas: integer.optional(),
  /** A revert is an outcome, not the end of the program. */
  mayRevert: z.boolean().optional(),
}
const content = {
  /** As in Solidity: `transfer(address to, uint256 amount) returns (bool)`. */
  function: z.string().optional(),
  args: z.array(value).optional(),
  data: hex.optional(),
  /** Types of what comes back, when `function` does not say. Without any, it is bare bytes. */
  returns: z.array(z.string()).optional(),
}

const step = z.discriminatedUnion('kind', [
  /** A transaction. */
  z.strictObject({ kind: z.literal('send'), to: address, ...message, ...content }),
  /** A transaction that makes a contract; named ones are kept for later programs as `{address}`. */
  z.strictObject({
    kind: z.literal('deploy'),
    bytecode: hex,
    /** Types of the constructor's arguments. */
    inputs: z.array(z.string()).optional(),
    args: z.array(value).optional(),
    ...message,
  }),
  /** A call that changes nothing, in the newest block. Without `to`, `data` is code to run once. */
  z.strictObject({ kind: z.literal('call'), to: address.optional(), ...message, ...content }),
  /** Sets a balance, wei. */
  z.strictObject({ kind: z.literal('fund'), account: address, wei: integer }),
  /** Puts code at an address, whose storage stays. */
  z.strictObject({ kind: z.literal('code'), account: address, bytecode: hex }),
  /** Sets a word of storage. */
  z.strictObject({ kind: z.literal('store'), account: address, slot: integer, word: integer }),
  /** Makes empty blocks, `seconds` apart. */
  z.strictObject({
    kind: z.literal('mine'),
    blocks: z.int().min(1).max(1_000).optional(),
    seconds: z.int().min(1).max(4_294_967_296).optional(),
  }),
  /** Looks at an account. Numbers come as decimal strings. */
  z.strictObject({
    kind: z.literal('read'),
    as: name,
    what: z.enum(['balance', 'nonce', 'code', 'storage']),
    account: address,
    slot: integer.optional(),
  }),
  /** Writes a line of output. */
  z.strictObject({ kind: z.literal('print'), to: z.enum(['stdout', 'stderr']).optional(), text }),
])

const programSchema = z.strictObject({
  steps: z.array(step).max(1_000),
  /** JSON with references in it; null when absent. */
  result: value.optional(),
})

const callSchema = z.strictObject({ input: z.json(), program: programSchema })

/**
 * Reads a world's code: a program, or `{input, program}`.
 * @throws PROGRAM_ERROR
 */
export function parseProgram(code: string): { input: Json; program: Program } {
  let data: unknown
  try {
    data = JSON.parse(code)
  } catch (cause) {
    throw new MultiverseError('PROGRAM_ERROR', 'the program is not JSON', { cause })
  }
  const isCall = typeof data === 'object' && data !== null && Object.hasOwn(data, 'program')
  return isCall ? check(callSchema, data) : { input: null, program: check(programSchema, data) }
}

function check<schema extends z.ZodType>(schema: schema, data: unknown): z.infer<schema> {
  const parsed = schema.safeParse(data)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const at = issue?.path.join('.') || 'the top'
  throw new MultiverseError('PROGRAM_ERROR', `the program is wrong at ${at}: ${issue?.message}`, {
    cause: parsed.error,
  })
}

/** What references may stand for. */
export type Scope = ReadonlyMap<string, Json>

/**
 * A value with its references filled in.
 * @throws INVALID_ARGUMENT when one stands for nothing
 */
export function resolve(given: Json, scope: Scope): Json {
  if (Array.isArray(given)) return given.map((each) => resolve(each, scope))
  if (typeof given !== 'object' || given === null) return given
  const names = Object.keys(given)
  if (names.length === 1 && typeof given.$ === 'string') return lookUp(given.$, scope)
  return Object.fromEntries(names.map((each) => [each, resolve(given[each] ?? null, scope)]))
}

function lookUp(path: string, scope: Scope): Json {
  const [first = '', ...rest] = path.split('.')
  let found: Json | undefined = scope.get(first)
  for (const key of rest)
    found =
      typeof found === 'object' && found !== null && Object.hasOwn(found, key)
        ? (found as Record<string, Json>)[key]
        : undefined
  if (found === undefined)
    throw new MultiverseError('INVALID_ARGUMENT', `${path} stands for nothing`)
  return found
}
