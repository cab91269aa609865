import type { HostFunctions } from './functions.ts'
import type {
  Capabilities,
  ExecutionResult,
  HostAnswer,
  Instance,
  Json,
  Limits,
  Origin,
  Rates,
  Output,
  Snapshot,
} from '../provider.ts'

/**
 * A backend of worlds, as far as it differs from the others: `provider.ts` makes a provider of it, and does what they have
 * in common. `state` is the backend's own record of one world, `image` a snapshot that worlds are made from.
 */
export type WorldEngine<state, image> = {
  id: string
  name: string
  capabilities: Capabilities
  /** Of a run, when neither the operator nor the caller says anything. */
  limits: Limits
  /** A larger `memoryBytes` stands for this. */
  maxMemoryBytes?: number
  /** What links can give to its worlds, for engines whose programs can call out of them. */
  functions?: HostFunctions
  /** Children of one branch. */
  maxBranches: number
  /** Refuses code that could never run here, before it waits for its turn. @throws INVALID_ARGUMENT */
  accept?: (code: string) => void
  open: (context: EngineContext) => Promise<OpenEngine<state, image>>
}

export type EngineContext = {
  /** The provider's own folder. */
  dataDir: string
  /** The operator's, which no call exceeds. */
  limits: Limits
  /** Ends a world that cannot go on; calls on it reject with the reason. It is `end`ed as any other is. */
  lose: (instanceId: string, reason: unknown) => void
}

/** An engine from init to shutdown. Calls on one world come one at a time, those on different worlds side by side. */
export type OpenEngine<state, image> = {
  /** Says more of the isolation than the capabilities could before. */
  isolation?: string
  /** A new world. Leaves nothing behind when it fails. */
  create: (id: string, request: NewWorld, signal: AbortSignal) => Promise<state>
  snapshot: (world: World<state>, signal: AbortSignal) => Promise<Omit<Snapshot, 'tookMs'>>
  /** Idempotent; what is no snapshot's id is let be. */
  forget: (snapshotId: string) => Promise<void>
  /**
   * Finds a snapshot and holds it while it is used.
   * @throws UNKNOWN_SNAPSHOT, SNAPSHOT_CORRUPT
   */
  lend: <result>(
    snapshotId: string,
    signal: AbortSignal,
    use: (image: image) => Promise<result>,
  ) => Promise<result>
  /** A new world in the state of an image. Leaves nothing behind when it fails. */
  restore: (id: string, image: image, signal: AbortSignal) => Promise<state>
  /** Moves a world's state, or rejects and leaves it as it was. */
  execute: (world: World<state>, program: Program, signal: AbortSignal) => Promise<ExecutionResult>
  /** Called once for every world. Resolves when nothing of it is left. */
  end: (world: World<state>) => Promise<void>
  /** Stops whatever would keep a task from seeing that it has been cut short; called before `close`. */
  halt?: (reason: Error) => Promise<void>
  /** Called when no task is under way any more and every world has ended. */
  close: () => Promise<void>
}

/** `seed` is an unsigned 64-bit number. */
export type NewWorld = { seed: bigint; origin: Origin | null }

export type Program = Limits &
  Rates & {
    code: string
    /** Is given what is written as it comes, where the engine can tell; the host sees to it that nothing is missing. */
    onOutput: (output: Output) => void
    /** Whether anybody listens to that. */
    isHeard: boolean
    /** Calls a function of the host; null when no link gives the world any. Never rejects. */
    call: ((name: string, args: Json[]) => Promise<HostAnswer>) | null
  }

/** A world as the host keeps it. */
export type World<state> = {
  readonly instance: Instance
  /** The engine's own. */
  readonly state: state
  readonly key: string | undefined
  /** On whose behalf it was made. */
  readonly component: string | undefined
  /** Settles with the last call on it so far. Never rejects. */
  turn: Promise<unknown>
  isEnded: boolean
}
