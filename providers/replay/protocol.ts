import { z } from 'zod'
import type { Limits } from '../provider.ts'
import type { Lane, Work } from './lane.ts'

// What a verifier's process and this one say to each other.

/** How a process makes a provider: by its name, or by a module that exports `createProvider`. */
export type Source = {
  id: string
  module: string | null
  dataDir: string
  /** The provider's own, as where the lanes ran; null for its defaults. */
  limits: Limits | null
}

export type Task = {
  id: number
  source: Source
  from: Lane['from']
  steps: Work[]
  limits: { timeMs?: number; memoryBytes?: number }
}

/** What a process is told: to do a task, to leave off, or to open a provider before there is a task that needs it. */
export type Order =
  | ({ kind: 'task' } & Task)
  | { kind: 'stop'; id: number }
  | { kind: 'open'; source: Source }

/** What a process tells: it is there; a task's world is; a step was done; the task is over; it could not begin at all. */
export const notice = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('ready') }),
  z.strictObject({ kind: z.literal('begun'), id: z.int() }),
  z.strictObject({
    kind: z.literal('done'),
    id: z.int(),
    step: z.int(),
    stateRoot: z.string().regex(/^0x[0-9a-f]{64}$/),
    value: z.json(),
  }),
  z.strictObject({
    kind: z.literal('failed'),
    id: z.int(),
    step: z.int(),
    code: z.string(),
    message: z.string(),
  }),
  z.strictObject({ kind: z.literal('over'), id: z.int() }),
  z.strictObject({
    kind: z.literal('lost'),
    id: z.int(),
    code: z.string(),
    message: z.string(),
    isRetryable: z.boolean(),
  }),
])
export type Notice = z.infer<typeof notice>
