import { z } from 'zod'

// What the seeds' commands that act print with --json: see output.ts. Costs are decimal strings, times milliseconds.

const hex = z.templateLiteral(['0x', z.string()])
const decimal = z.string().regex(/^-?\d+(\.\d+)?$/)
const trit = z.union([z.literal(-1), z.literal(0), z.literal(1)])
const milliseconds = z.number().nonnegative()

const lane = z.strictObject({
  outcome: z.int(),
  name: z.string(),
  /** The verse's own. */
  trit,
  verse: hex,
  world: z.string(),
  instance: z.string(),
  /** Null when it failed, with why. */
  stateRoot: hex.nullable(),
  cost: decimal.nullable(),
  error: z.strictObject({ code: z.string(), message: z.string() }).nullable(),
  executeMs: milliseconds,
  verified: z.boolean(),
  /** What an optimiser chose, and what the verse's own strategy costs; null when nothing cost less. */
  optimized: z.strictObject({ parameters: z.array(z.number()), ownCost: decimal }).nullable(),
  /** Who succeeded in it, what their trits come to, and the trit that is missing. */
  providers: z.array(z.string()),
  sum: z.int(),
  conserved: z.boolean(),
  debt: trit,
})

const played = {
  provider: z.string(),
  seed: z.int(),
  question: hex,
  snapshot: z.string(),
  snapshotMs: milliseconds,
  branchMs: milliseconds,
  lanes: z.array(lane),
}

/** `verse-on-*`. */
export const verseOnOutput = z.strictObject(played)

/** `verse-pipeline`. */
export const pipelineOutput = z.strictObject({
  ...played,
  /** The cheapest verified lane, by name: advice. */
  winner: z.string().nullable(),
  /** Null when the nash or the optimal lane came to nothing. */
  wev: z.strictObject({ ratio: decimal.nullable(), abs: decimal }).nullable(),
  gf3: z.strictObject({ sum: z.int(), conserved: z.boolean() }),
})

/** `world-runtime-create`. */
export const worldOutput = z.strictObject({
  world: z.string(),
  provider: z.string(),
  name: z.string(),
  bootMs: milliseconds,
})

/** `world-runtime-snapshot`. */
export const snapshotOutput = z.strictObject({
  world: z.string(),
  snapshot: z.string(),
  stateRoot: hex,
  bytes: z.int(),
  snapshotMs: milliseconds,
})

/** `world-runtime-branch`. */
export const branchOutput = z.strictObject({
  branch: z.string(),
  parent: z.string(),
  snapshot: z.string(),
  snapshotMs: milliseconds,
  branchMs: milliseconds,
  children: z.array(worldOutput.extend({ trit })),
  gf3Sum: z.int(),
})

const written = { tx: hex, block: z.int() }

const split = {
  question: hex,
  token: z.string(),
  amount: decimal,
  owner: hex,
  /** From the push-down's block being seen to its mined report. */
  reportMs: milliseconds.nullable(),
  verses: z.array(
    z.strictObject({
      name: z.string(),
      verse: hex,
      /** Null for void, which has no world. */
      world: z.string().nullable(),
      trit: trit.nullable(),
      cost: decimal.nullable(),
      verified: z.boolean(),
      /** What the owner has there. */
      balance: decimal,
      sum: z.int().nullable(),
      conserved: z.boolean(),
    }),
  ),
  /** Of the verses' own trits. */
  gf3Sum: z.int(),
  conserved: z.boolean(),
}

/** `world-runtime-push-down`. */
export const pushedOutput = z.strictObject({ ...split, ...written })

const ending = {
  /** What the oracle said, and with it what came true. */
  oracle: z.string(),
  winner: z.string(),
  /** The pipeline's own choice, which decides nothing. */
  advised: z.string().nullable(),
  collapsed: z.array(z.string()),
  /** Back at the owner. */
  redeemed: decimal,
  wev: z.strictObject({
    ratio: decimal.nullable(),
    abs: decimal.nullable(),
    nominal: decimal,
    realized: decimal.nullable(),
  }),
  resolution: z.string(),
}

/** `world-runtime-pull-up`. */
export const pulledOutput = z.strictObject({ question: hex, ...ending, ...written })

/** `verse-orchestrate`. */
export const orchestrateOutput = z.strictObject({ seed: z.int(), ...split, ...ending, ...written })

export type VerseOnOutput = z.infer<typeof verseOnOutput>
export type PipelineOutput = z.infer<typeof pipelineOutput>
export type WorldMadeOutput = z.infer<typeof worldOutput>
export type SnapshotOutput = z.infer<typeof snapshotOutput>
export type BranchOutput = z.infer<typeof branchOutput>
export type PushedOutput = z.infer<typeof pushedOutput>
export type PulledOutput = z.infer<typeof pulledOutput>
export type OrchestrateOutput = z.infer<typeof orchestrateOutput>
export type LaneOutput = z.infer<typeof lane>
