import { hash } from 'node:crypto'
import { z } from 'zod'
import { hostCalls } from '../host/functions.ts'
import type { HostCall } from '../provider.ts'

/** What a world did, and what it claims that this made of it. */
export const laneSchema = z.strictObject({
  /** The provider whose worlds it ran in. */
  worlds: z.string().min(1),
  /** Where it began: a snapshot, or a new world of that seed (unsigned 64-bit, decimal). */
  from: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('snapshot'), snapshotId: z.string() }),
    z.strictObject({ kind: z.literal('seed'), seed: z.string().regex(/^\d{1,20}$/) }),
  ]),
  /** What was executed, in order. Runs that failed left no mark, and are not here. */
  steps: z
    .array(
      z.strictObject({
        code: z.string(),
        /** The state's hash after the step, as the world said. */
        stateRoot: z.string(),
        /** What the step answered, as the world said; not compared when absent. */
        value: z.json().optional(),
        /** SHA-256 of the answer's JSON text, for whoever does not keep answers: {@link hashValue}. */
        valueHash: z.string().optional(),
        /** What functions of the host had answered it: they are not asked again. */
        calls: hostCalls.optional(),
      }),
    )
    .min(1)
    .max(10_000),
  limits: z
    .strictObject({ timeMs: z.number().positive(), memoryBytes: z.number().positive() })
    .partial()
    .optional(),
})

export type Lane = z.infer<typeof laneSchema>
/** What a step does: its code, and what functions of the host are to answer it. */
export type Work = { code: string; calls?: HostCall[] | undefined }
/** What is claimed of a step. */
export type Claim = Pick<Lane['steps'][number], 'stateRoot' | 'value' | 'valueHash'>
/** What became of a step when it was done again. */
export type Redone =
  | { kind: 'done'; stateRoot: string; value: unknown }
  | { kind: 'failed'; code: string; message: string }

/** What re-execution says of a lane. */
export type Verdict =
  | { kind: 'verified'; steps: number; tookMs: number }
  | {
      kind: 'diverged'
      /** The first step, from 0, whose claim is not what it comes to; all before it were done again as claimed. */
      step: number
      /** SHA-256 of its code. */
      codeHash: string
      /** What is wrong: the claim makes no sense at all, or the state, or the answer, or it fails. */
      what: 'claim' | 'stateRoot' | 'value' | 'failure'
      claimed: Claim
      /** Null when the claim makes no sense, and nothing was done. */
      computed: Redone | null
      tookMs: number
    }
  /** Two re-executions differ from each other at this step: the world is not one that can be verified so. */
  | { kind: 'undecided'; step: number; computed: Redone[]; tookMs: number }

/** Stands for an answer in a claim. It tells apart what `JSON.stringify` does. */
export function hashValue(value: unknown): string {
  return `0x${hash('sha256', JSON.stringify(value) ?? '', 'hex')}`
}
