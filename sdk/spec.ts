import { type Hex, parseUnits } from 'viem'
import { z } from 'zod'
import { MultiverseError } from './errors.ts'
import { contentHash, labelsHash, MAX_OUTCOMES, specHash } from './ids.ts'
import { WAD } from './wev.ts'

/** A spec's JSON is at most this many UTF-8 bytes. */
export const MAX_SPEC_BYTES = 65_536

const probability = z
  .string()
  .regex(
    /^(0(\.\d{1,18})?|1(\.0{1,18})?)$/,
    'a decimal string from 0 to 1 with at most 18 decimals',
  )

const liveVerse = z.strictObject({
  name: z.string().min(1).max(64),
  strategy: z.string().max(256),
  trit: z.union([z.literal(-1), z.literal(0), z.literal(1)]),
  probability,
})

const voidVerse = z.strictObject({ name: z.string().min(1).max(64), probability: z.literal('0') })

export const parameterSchema = z
  .strictObject({ name: z.string().min(1).max(64), low: z.number(), high: z.number() })
  .refine(({ low, high }) => low < high, 'low must be below high')

/** How an optimiser trains (group-relative policy optimisation); what is absent is as in its defaults. */
export const trainingSchema = z
  .strictObject({
    /** Updates of the policy, each by one group of rollouts. */
    groups: z.int().min(1).max(10_000),
    /** Rollouts in a group. */
    groupSize: z.int().min(2).max(1_024),
    /** A group is played by a policy that is at most this many updates old. */
    staleness: z.int().min(0).max(16),
    /** Steps of the policy on one group. */
    epochs: z.int().min(1).max(64),
    /** Length of a step, in deviations of the policy. */
    rate: z.number().positive().max(1),
    /** A rollout counts no more once its probability has changed by this share in its favour. */
    clip: z.number().positive().max(10),
    /** Weight of the divergence from the policy that training begins with. */
    kl: z.number().nonnegative().max(10),
    /** Deviation that training begins with, as a share of a parameter's range. */
    deviation: z.number().positive().max(1),
  })
  .partial()

const outcomeSource = z.discriminatedUnion('source', [
  z.strictObject({ source: z.literal('pipeline') }),
  z.strictObject({ source: z.literal('manual') }),
  z.strictObject({
    source: z.literal('http'),
    urls: z.array(z.url()).min(1).max(8),
    pointer: z.string().max(256),
    quorum: z.int().min(1),
    notBefore: z.int().nonnegative(),
  }),
  z.strictObject({
    source: z.literal('price'),
    feed: z.string().regex(/^0x[0-9a-fA-F]{40}$/),
    at: z.int().nonnegative(),
    thresholds: z.array(z.string().regex(/^-?\d+$/)).min(1),
  }),
])

export const specSchema = z
  .strictObject({
    version: z.literal(1),
    title: z.string().min(1).max(256),
    /** What `setup` and `program` are written in; JavaScript when absent. */
    language: z.enum(['javascript', 'python', 'evm']).optional(),
    /**
     * Where the worlds of a partition of ROOT begin: with nothing when absent, else from the chain that the question is on, at
     * the block of the push-down. Worlds of the EVM are that chain; those of JavaScript can look at it with
     * `host.call('chain.call', {to, data})`.
     */
    origin: z.literal('chain').optional(),
    /** One for each outcome in order, without the void outcome. */
    verses: z
      .array(liveVerse)
      .min(1)
      .max(MAX_OUTCOMES - 1),
    /** The last outcome, which has no world. */
    void: voidVerse,
    /** Run once in the parent's world before the snapshot. Statements; for the EVM a JSON program. */
    setup: z.string(),
    /** Body of a function of `input` = {verse: {name, strategy, trit, outcome}, seed}; returns {cost, …} or its promise. */
    program: z.string().min(1),
    /** Numbers that an optimiser may choose in place of a strategy; the program finds them in `input.parameters`. */
    parameters: z.array(parameterSchema).min(1).max(16).optional(),
    /** How those are looked for. `seed` draws the rollouts; the spec's own when absent. */
    training: trainingSchema.safeExtend({ seed: z.int().nonnegative().optional() }).optional(),
    needs: z.strictObject({ parallel: z.boolean(), optimize: z.boolean(), verify: z.boolean() }),
    /** Where the answer comes from. */
    outcome: outcomeSource,
    /** The oracle contract's parameters, ABI-encoded: those whose hash the question binds. Whoever settles it needs them. */
    terms: z.templateLiteral(['0x', z.string().regex(/^([0-9a-f]{2})*$/)]).optional(),
    /** Seed of every random source in the worlds, unsigned 64-bit. */
    seed: z.int().nonnegative(),
  })
  .superRefine((spec, context) => {
    const sum = spec.verses.reduce((total, verse) => total + parseUnits(verse.probability, 18), 0n)
    if (sum !== WAD)
      context.addIssue({
        code: 'custom',
        path: ['verses'],
        message: `probabilities sum to ${sum} of ${WAD}`,
      })
    const names = [...spec.verses, spec.void].map((verse) => verse.name)
    const twice = names.find((name, index) => names.indexOf(name) !== index)
    if (twice !== undefined)
      context.addIssue({ code: 'custom', path: ['verses'], message: `two verses named ${twice}` })
  })

/** What a question is about: see DESIGN of specs in docs/spec.md. */
export type Spec = z.infer<typeof specSchema>

/** A number that an optimiser may choose, from `low` to `high`. */
export type Parameter = z.infer<typeof parameterSchema>

/** Where a question's answer comes from. */
export type OutcomeSource = Spec['outcome']

/** A spec with the hashes that its question binds. `json` is the exact text that was hashed. */
export type LoadedSpec = { spec: Spec; json: string; labels: string[]; specHash: Hex }

/**
 * Parses and checks a spec's JSON text.
 * @throws SPEC_TOO_LARGE, SPEC_NOT_JSON, SPEC_INVALID
 */
export function parseSpec(json: string): LoadedSpec {
  const bytes = new TextEncoder().encode(json).byteLength
  if (bytes > MAX_SPEC_BYTES)
    throw new MultiverseError(
      'SPEC_TOO_LARGE',
      `spec has ${bytes} bytes, at most ${MAX_SPEC_BYTES}`,
    )
  let data: unknown
  try {
    data = JSON.parse(json)
  } catch (cause) {
    throw new MultiverseError('SPEC_NOT_JSON', `spec is not JSON: ${String(cause)}`, { cause })
  }
  const parsed = specSchema.safeParse(data)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new MultiverseError(
      'SPEC_INVALID',
      `spec is invalid at ${issue?.path.join('.') || 'the top'}: ${issue?.message ?? 'unknown'}`,
      { cause: parsed.error },
    )
  }
  const labels = specLabels(parsed.data)
  return {
    spec: parsed.data,
    json,
    labels,
    specHash: specHash({ contentHash: contentHash(json), labelsHash: labelsHash(labels) }),
  }
}

/** The outcomes' labels in order, void last. */
export function specLabels(spec: Spec): string[] {
  return [...spec.verses.map((verse) => verse.name), spec.void.name]
}

/** A spec as a data: URI, for `ask`. */
export function specDataUri(json: string): string {
  return `data:application/json;base64,${Buffer.from(json, 'utf8').toString('base64')}`
}

/**
 * A cost reported by a program as 18-decimal fixed point. Takes finite, non-negative numbers and decimal strings.
 * @throws INVALID_COST
 */
export function parseCost(cost: unknown): bigint {
  const text =
    typeof cost === 'number' && Number.isFinite(cost) && cost < 1e18 ? cost.toFixed(18) : cost
  if (typeof text !== 'string' || !/^\d{1,20}(\.\d{1,18})?$/.test(text))
    throw new MultiverseError(
      'INVALID_COST',
      `cost must be a number from 0 to below 1e18: ${JSON.stringify(cost) ?? String(cost)}`,
    )
  const fixed = parseUnits(text, 18)
  if (fixed >= 2n ** 128n) throw new MultiverseError('INVALID_COST', `cost is too large: ${text}`)
  return fixed
}

/**
 * The code that runs a spec's program in a world; its completion value is the program's result (or its promise).
 * @param parameters what an optimiser chose, in the order of the spec's parameters
 */
export function programCode(
  spec: Pick<Spec, 'language' | 'program' | 'seed'>,
  verse: { name: string; strategy: string; trit: number; outcome: number },
  parameters?: readonly number[],
): string {
  const input = JSON.stringify({ verse, seed: spec.seed, parameters })
  return CODE[spec.language ?? 'javascript'](spec.program, input)
}

/** The first line of a program in Python: worlds that speak several languages look there. */
export const PYTHON = '#!/usr/bin/env python3'

const CODE: Record<NonNullable<Spec['language']>, (program: string, input: string) => string> = {
  javascript: (program, input) => `(async function (input) {${program}\n})(${input})`,
  // JSON text in a JSON string is a Python literal too. Lines inside of strings are indented with the rest. What the program was
  // given stays in the world, so that verses whose programs leave nothing behind are in different states all the same.
  python: (program, input) =>
    `${PYTHON}\nimport json\ndef program(input):\n${program.replaceAll(/^/gm, '    ')}\nprogram(given := json.loads(${JSON.stringify(input)}))`,
  evm: (program, input) => `{"input":${input},"program":${program}}`,
}
