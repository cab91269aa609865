import type { Hex } from 'viem'
import type { Trit } from '../sdk/gf3.ts'

/**
 * The world-runtime contract: what a capability provider for execution worlds offers. Grouped and named as in the
 * project's seed documents. An operation a vendor does not have rejects with code UNSUPPORTED, never a fake success.
 *
 * Error codes every provider may reject with: NOT_INITIALIZED, UNSUPPORTED, UNKNOWN_INSTANCE, UNKNOWN_SNAPSHOT,
 * LINK_DENIED, FUNCTION_NOT_LINKED (a program called a function of the host that no link gives its world), EXECUTION_TIMEOUT, OUT_OF_MEMORY, PROGRAM_ERROR, RESULT_INVALID, SNAPSHOT_CORRUPT, PROVIDER_FAILED, ABORTED
 * (the caller's signal), DEADLINE_EXCEEDED (the caller's deadline), INVALID_ARGUMENT. Those that say that the same call may
 * succeed later are retryable (`isRetryable`); what an error came from is its `cause`.
 */
export type WorldRuntimeProvider = {
  /** Stable name, such as `quickjs`. */
  readonly id: string
  readonly name: string
  readonly trit: Trit

  // Lifecycle
  init(config: ProviderConfig): Promise<void>
  /** Ends every instance. Idempotent. */
  shutdown(): Promise<void>

  // Link management (wasmCloud v1 semantics)
  /**
   * Grants a component what the link names: to use the provider, or, with `function` in its config, a function of the host to
   * the worlds that were made on the component's behalf, under the link's name. The source may be one instance: then only that
   * world has it, until it ends. A duplicate is ignored.
   * @throws INVALID_ARGUMENT, UNSUPPORTED (the provider has no such function to give)
   */
  receiveLinkConfig(link: LinkConfig): Promise<void>
  /** Withdraws it at once: the very next call that it permitted is refused, in the middle of a run too. Idempotent. */
  deleteLink(link: LinkConfig): Promise<void>

  // Core operations
  create(options: CreateOptions): Promise<Instance>
  /** Content-addressed: equal states have equal ids. The instance goes on. The same `key` gives the same snapshot. */
  snapshot(instanceId: string, options?: SnapshotOptions): Promise<Snapshot>
  /** Lets a snapshot go; what was branched from it lives on. Idempotent. */
  forget(snapshotId: string, options?: CallOptions): Promise<void>
  /** `count` new instances that continue from the snapshot; 0 gives none. The same `key` gives the same instances. */
  branch(snapshotId: string, count: number, options?: BranchOptions): Promise<Instance[]>
  execute(instanceId: string, code: string, options?: ExecuteOptions): Promise<ExecutionResult>
  /** The winner's instance goes on, the others are destroyed. */
  merge(
    instanceIds: readonly string[],
    oracle: OracleResult,
    options?: CallOptions,
  ): Promise<Instance>
  /** Idempotent. */
  destroy(instanceId: string, options?: CallOptions): Promise<void>

  // Capabilities query
  capabilities(): Capabilities
  /** The instances alive now. */
  list(): Promise<Instance[]>
}

/** `dataDir` is a folder of the provider's own, for what must outlive the process. */
export type ProviderConfig = { dataDir: string; limits?: Partial<Limits>; rates?: Rates }

/** How fast a run may go. A provider that cannot hold one to a rate says so (`capabilities().rates`), and refuses it. */
export type Rates = {
  /** Share of one core, above 0 and up to 1. */
  cpuShare?: number
  /** Bytes a second that it may read from and write to its disk, together. */
  ioBytesPerS?: number
}

/** Bounds of one world. */
export type Limits = {
  /** Wall time of one execute, milliseconds. */
  timeMs: number
  /** The world's own memory, bytes. */
  memoryBytes: number
}

/** A component's right to use a provider, and how. `config` is the link's own; secrets never stand in it. */
export type LinkConfig = {
  source: string
  target: string
  name: string
  config: Record<string, string>
}

/**
 * A call that is cut short, by the signal or after `deadlineMs` milliseconds, rejects at once. It has no effect then, but for
 * `forget`, `merge` and `destroy`: what they have begun to end, ends.
 */
export type CallOptions = { signal?: AbortSignal; deadlineMs?: number }

export type SnapshotOptions = CallOptions & {
  /** The same key gives the same snapshot, as long as it is not forgotten, even when the instance has gone on since. */
  key?: string
}

export type CreateOptions = CallOptions & {
  /** The same key gives the same instance. */
  key?: string
  /** Seeds the world's random source, unsigned 64-bit. */
  seed: bigint
  /** The component on whose behalf the world runs: its links are the world's rights. */
  component?: string
  /** What the world starts from, for providers that can (`capabilities().origin`); the others reject with UNSUPPORTED. */
  origin?: Origin
}

/** A block of a chain. The hash is checked: ORIGIN_MOVED when another block has its number by now. */
export type Origin = { url: string; blockNumber: number; blockHash: Hex }

export type BranchOptions = CallOptions & { key?: string; component?: string }

export type ExecuteOptions = CallOptions &
  Partial<Limits> &
  Rates & {
    component?: string
    /**
     * What functions of the host answered in an earlier run of the same code. They are not called again, and no link is
     * asked for: each of the program's calls is given the next answer when it is the same call, and is refused when not.
     */
    answers?: readonly HostCall[]
    /** Is given what the program writes as it comes: at the latest each whole line, but for floods of them. */
    onOutput?: (output: Output) => void
  }

/** What a program asked of a function of the host, and what it was told: what makes its run different from another. */
export type HostCall = { name: string; args: Json[]; answer: HostAnswer }
export type HostAnswer =
  | { kind: 'value'; value: Json }
  | { kind: 'error'; code: string; message: string }

/** What JSON can say. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** A piece of what a program has written, and where to. */
export type Output = { stream: 'stdout' | 'stderr'; text: string }

export type Instance = {
  id: string
  providerId: string
  /** The snapshot it was branched from; null when created anew. */
  snapshotId: string | null
  /** From the call to the instance being ready, milliseconds. */
  bootMs: number
  /** Whether it had been made before it was asked for; absent is no. */
  isWarm?: true
}

export type Snapshot = {
  id: string
  /** Hash of the whole state; equal to the state root of the instance at that moment. */
  stateRoot: Hex
  /** Bytes kept. */
  bytes: number
  tookMs: number
}

export type ExecutionResult = {
  /** The code's completion value, awaited when it was a promise: JSON only. */
  value: unknown
  stdout: string
  stderr: string
  exitCode: number
  /** Hash of the world's whole state after the run. */
  stateRoot: Hex
  tookMs: number
  /** The calls of functions of the host that were answered, in their order; absent when there were none. */
  calls?: HostCall[]
}

/** The oracle's word on a set of instances: which one came true. */
export type OracleResult = { winner: string }

/** What a provider can do; stored as JSON in the registry. */
export type Capabilities = {
  snapshot: boolean
  branch: boolean
  execute: boolean
  merge: boolean
  languages: string[]
  isolation: string
  deterministic: boolean
  /** Whether a world can start from a block of a chain; absent is no. */
  origin?: boolean
  /** The rates that runs are held to when they are asked for; absent is none. */
  rates?: (keyof Rates)[]
  /** The functions of the host that links can give to worlds; absent is none. */
  functions?: string[]
}
