import { z } from 'zod'

const hex = z.string().regex(/^0x[0-9a-f]*$/) as unknown as z.ZodType<`0x${string}`, `0x${string}`>
const trit = z.union([z.literal(-1), z.literal(0), z.literal(1)])
const wei = z.string().regex(/^-?\d+$/)
const json = z.record(z.string(), z.json())

const head = {
  /** Names the keeper for ever; a new data folder is a new keeper. */
  keeperId: z.string().min(1),
  /** Counts the keeper's journals: it grows when a journal begins anew. */
  epoch: z.int().nonnegative(),
  /** Ascending from 1 without gaps within an epoch. */
  seq: z.int().positive(),
  /** ISO 8601 UTC with milliseconds. */
  at: z.iso.datetime(),
}

const events = [
  z.strictObject({
    kind: z.literal('provider.registered'),
    providerId: z.string(),
    name: z.string(),
    trit,
    capabilities: json,
    apiEndpoint: z.string().nullable(),
    authMethod: z.string().nullable(),
    status: z.string(),
    /** Why it is in that status, in one line; empty when there is nothing to say. */
    reason: z.string().default(''),
    /** What its vendor says of it. Nobody here measured any of it. */
    declared: json.default({}),
  }),
  z.strictObject({
    /** One call of a provider's operation; a branch writes one for each child. */
    kind: z.literal('provider.invoked'),
    invocationId: z.string(),
    providerId: z.string(),
    operation: z.string(),
    verseId: hex.nullable(),
    input: json,
    /** Null when the call failed. */
    output: json.nullable(),
    /** `{code, message}` when the call failed. */
    error: z.strictObject({ code: z.string(), message: z.string() }).nullable(),
    latencyMs: z.number().nonnegative(),
    costUnits: z.number().nonnegative(),
  }),
  z.strictObject({
    kind: z.literal('link.put'),
    linkId: z.string(),
    sourceComponent: z.string(),
    targetProvider: z.string(),
    linkConfig: json,
  }),
  z.strictObject({ kind: z.literal('link.deleted'), linkId: z.string() }),
  z.strictObject({
    kind: z.literal('world.created'),
    entityId: z.string(),
    entityType: z.enum(['microvm', 'sandbox', 'verse']),
    providerId: z.string(),
    parentId: z.string().nullable(),
    snapshotId: z.string().nullable(),
    verseId: hex.nullable(),
    name: z.string().nullable(),
    trit: trit.nullable(),
    memoryMib: z.number().nullable(),
    vcpuCount: z.int().nullable(),
    bootTimeMs: z.number().nonnegative(),
    /** A warm world had been made before it was asked for; absent where that is not told. */
    start: z.enum(['cold', 'warm']).optional(),
  }),
  z.strictObject({
    kind: z.literal('world.snapshotted'),
    entityId: z.string(),
    snapshotId: z.string(),
    snapshotTimeMs: z.number().nonnegative(),
    memoryOverheadMb: z.number().nonnegative(),
  }),
  z.strictObject({
    kind: z.literal('world.branched'),
    branchId: z.string(),
    parentEntityId: z.string(),
    childEntityIds: z.array(z.string()),
    branchType: z.enum(['push_down', 'fork', 'snapshot']),
    snapshotTimeMs: z.number().nonnegative(),
    branchTimeMs: z.number().nonnegative(),
    gf3Sum: z.int(),
  }),
  z.strictObject({
    kind: z.literal('world.executed'),
    entityId: z.string(),
    verseId: hex.nullable(),
    stateRoot: hex,
    cost: wei.nullable(),
    executeTimeMs: z.number().nonnegative(),
  }),
  z.strictObject({
    /** `running` continues as its parent's world, `collapsed` was destroyed. */
    kind: z.literal('world.resolved'),
    entityId: z.string(),
    state: z.enum(['running', 'snapshotted', 'collapsed']),
  }),
  z.strictObject({
    kind: z.literal('partition.started'),
    parent: hex,
    question: hex,
    triggerTx: hex,
    triggerBlock: z.int(),
  }),
  z.strictObject({
    kind: z.literal('partition.reported'),
    parent: hex,
    question: hex,
    /** The pipeline's advisory choice, an outcome; null when every world failed. */
    winner: z.int().nullable(),
    /** By outcome, void last; 18 decimals. */
    probabilities: z.array(wei),
    costs: z.array(wei.nullable()),
    stateRoots: z.array(hex.nullable()),
    txHash: hex,
    blockNumber: z.int(),
    /** From the push-down's block being seen to the report's receipt. */
    latencyMs: z.number().nonnegative(),
  }),
  z.strictObject({
    kind: z.literal('partition.failed'),
    parent: hex,
    question: hex,
    code: z.string(),
    message: z.string(),
  }),
  z.strictObject({
    /** A pipeline that was asked for by its seed, beside any partition, and ran to its end: its lanes are closed. */
    kind: z.literal('pipeline.completed'),
    pipelineId: z.string(),
    seedHex: hex,
    question: hex,
    verses: z.array(hex),
    /** The cheapest verified lane's verse; null when there is none. */
    winner: hex.nullable(),
  }),
  z.strictObject({
    kind: z.literal('wev.measured'),
    wevId: z.string(),
    seedHex: hex,
    worldFrom: z.string(),
    worldTo: z.string(),
    parent: hex,
    question: hex,
    costNash: wei,
    costOptimal: wei,
    /** 18 decimals; null when the optimal cost is 0. */
    priceOfAnarchy: wei.nullable(),
    wevRatio: wei.nullable(),
    wevAbs: wei,
    isInverted: z.boolean(),
  }),
  z.strictObject({
    kind: z.literal('question.answered'),
    question: hex,
    outcome: z.int(),
    source: z.string(),
    txHash: hex,
    blockNumber: z.int(),
  }),
  z.strictObject({
    kind: z.literal('partition.resolved'),
    resolutionId: z.string(),
    parent: hex,
    question: hex,
    verses: z.array(hex),
    winningVerse: hex,
    oracleSource: z.string(),
    blockNumber: z.int(),
    pullUpTimeMs: z.number().nonnegative(),
  }),
] as const

/** What happened, without the envelope: what a keeper writes. */
export const journalEventSchema = z.discriminatedUnion('kind', [...events])
export type JournalEvent = z.infer<typeof journalEventSchema>

/** One entry of a keeper's journal: the envelope and what happened. */
export const journalEntrySchema = z.object({ ...head, event: journalEventSchema })
export type JournalEntry = z.infer<typeof journalEntrySchema>

/** The answer to `GET /journal?after=SEQ&limit=N`: entries with seq > after, ascending. */
export const journalPageSchema = z.object({
  keeperId: z.string(),
  epoch: z.int().nonnegative(),
  entries: z.array(journalEntrySchema),
  /** The highest sequence number written so far; 0 for an empty journal. */
  last: z.int().nonnegative(),
})
export type JournalPage = z.infer<typeof journalPageSchema>
