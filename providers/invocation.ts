import { hash, randomUUID } from 'node:crypto'
import type { Hex } from 'viem'
import { isMultiverseError, oneLine } from '../sdk/errors.ts'
import type { JournalEvent } from '../sdk/journal.ts'
import type { LinkConfig, WorldRuntimeProvider } from './provider.ts'

/** A call as the journal sees it. */
export type Invocation = {
  operation: 'create' | 'snapshot' | 'forget' | 'branch' | 'execute' | 'merge' | 'destroy'
  /** The instance it is about, or that it gave; null when there is none. */
  instanceId: string | null
  /** The caller's idempotency key. */
  key: string | null
  /** Position among a branch's children, from 0; null for other operations. */
  child: number | null
}

type Row = Extract<JournalEvent, { kind: 'provider.invoked' }>
type Json = Row['input']
/** What is told of a provider. */
type Told = Extract<JournalEvent, { kind: 'provider.invoked' | 'link.put' | 'link.deleted' }>

/** What one row says of the call's end; `ms` is time on one core. */
type Outcome = { instanceId: string | null; ms: number; output: Json | null }

/** Values of results larger than this are left out of the journal, characters of JSON. */
const MAX_VALUE = 4_096
/** A branch that failed writes one row for each child it was asked for, up to this many. */
const MAX_ROWS = 256

/**
 * A provider whose every core operation is journalled as `provider.invoked`: one event a call, one a child for a branch,
 * failures too. So are links that were put and deleted (`link.put`, `link.deleted`). Lifecycle and queries pass through.
 *
 * `costUnits` are core-seconds: the time a call kept one core busy, as the provider measured it; for a failed call the time
 * it took in all, shared among a branch's children. `latencyMs` is what the caller waited.
 *
 * The call rejects when `write` does, even though it has been done.
 * @param verseOf names the verse that a call is for
 */
export function journalled(
  provider: WorldRuntimeProvider,
  write: (event: Told) => void | Promise<void>,
  { verseOf = () => null }: { verseOf?: (invocation: Invocation) => Hex | null } = {},
): WorldRuntimeProvider {
  return {
    id: provider.id,
    name: provider.name,
    trit: provider.trit,
    init: (config) => provider.init(config),
    shutdown: () => provider.shutdown(),
    receiveLinkConfig: async (link) => {
      await provider.receiveLinkConfig(link)
      await write(linkPut(link))
    },
    deleteLink: async (link) => {
      await provider.deleteLink(link)
      await write({ kind: 'link.deleted', linkId: linkId(link) })
    },
    capabilities: () => provider.capabilities(),
    list: () => provider.list(),
    create: (options) =>
      invoke(
        { operation: 'create', key: options.key ?? null },
        { seed: String(options.seed), component: options.component ?? null },
        () => provider.create(options),
        (instance) => [{ instanceId: instance.id, ms: instance.bootMs, output: { ...instance } }],
      ),
    snapshot: (instanceId, options) =>
      invoke(
        { operation: 'snapshot', instanceId, key: options?.key ?? null },
        {},
        () => provider.snapshot(instanceId, options),
        (snapshot) => [{ instanceId, ms: snapshot.tookMs, output: { ...snapshot } }],
      ),
    forget: (snapshotId, options) =>
      invoke(
        { operation: 'forget' },
        { snapshotId },
        () => provider.forget(snapshotId, options),
        () => [{ instanceId: null, ms: 0, output: {} }],
      ),
    branch: (snapshotId, count, options = {}) =>
      invoke(
        { operation: 'branch', key: options.key ?? null, children: count },
        { snapshotId, count, component: options.component ?? null },
        () => provider.branch(snapshotId, count, options),
        (instances, latencyMs) =>
          instances.map((instance) => ({
            instanceId: instance.id,
            ms: latencyMs / instances.length,
            output: { ...instance },
          })),
      ),
    execute: (instanceId, code, options = {}) =>
      invoke(
        { operation: 'execute', instanceId },
        {
          codeHash: `0x${hash('sha256', code, 'hex')}`,
          codeBytes: Buffer.byteLength(code),
          timeMs: options.timeMs ?? null,
          memoryBytes: options.memoryBytes ?? null,
          component: options.component ?? null,
        },
        () => provider.execute(instanceId, code, options),
        ({ value, stdout, stderr, calls = [], ...result }) => {
          const isLong = JSON.stringify(value).length > MAX_VALUE
          const output = {
            ...result,
            value: isLong ? null : (value as Json[string]),
            calls: calls.length,
            stdoutBytes: Buffer.byteLength(stdout),
            stderrBytes: Buffer.byteLength(stderr),
          }
          return [{ instanceId, ms: result.tookMs, output }]
        },
      ),
    merge: (instanceIds, oracle, options) =>
      invoke(
        { operation: 'merge', instanceId: oracle.winner },
        { instanceIds: [...instanceIds], winner: oracle.winner },
        () => provider.merge(instanceIds, oracle, options),
        (instance) => [{ instanceId: instance.id, ms: 0, output: { ...instance } }],
      ),
    destroy: (instanceId, options) =>
      invoke(
        { operation: 'destroy', instanceId },
        {},
        () => provider.destroy(instanceId, options),
        () => [{ instanceId, ms: 0, output: {} }],
      ),
  }

  async function invoke<result>(
    call: Pick<Invocation, 'operation'> & {
      instanceId?: string
      key?: string | null
      children?: number
    },
    input: Json,
    perform: () => Promise<result>,
    rowsOf: (result: result, latencyMs: number) => Outcome[],
  ): Promise<result> {
    const { operation, instanceId = null, key = null, children } = call
    const begun = performance.now()
    const [done] = await Promise.allSettled([perform()])
    const latencyMs = performance.now() - begun
    const rows =
      done.status === 'fulfilled'
        ? rowsOf(done.value, latencyMs)
        : failedRows(instanceId, latencyMs, children ?? 1)
    const error = done.status === 'rejected' ? toError(done.reason) : null
    for (const [i, row] of rows.entries()) {
      const child = children === undefined ? null : i
      await write({
        kind: 'provider.invoked',
        invocationId: randomUUID(),
        providerId: provider.id,
        operation,
        verseId: verseOf({ operation, instanceId: row.instanceId, key, child }),
        input: { ...input, ...(instanceId === null ? {} : { instanceId }) },
        output: row.output,
        error,
        latencyMs,
        costUnits: row.ms / 1_000,
      })
    }
    if (done.status === 'rejected') throw done.reason
    return done.value
  }
}

/** The journal's event of a link that is there. */
export function linkPut(link: LinkConfig): Extract<JournalEvent, { kind: 'link.put' }> {
  const { source, target, config } = link
  return {
    kind: 'link.put',
    linkId: linkId(link),
    sourceComponent: source,
    targetProvider: target,
    linkConfig: config,
  }
}

function linkId({ source, target, name }: LinkConfig): string {
  return `${source}-${target}-${name}`
}

function failedRows(instanceId: string | null, latencyMs: number, children: number): Outcome[] {
  const count = Number.isInteger(children) ? Math.min(Math.max(children, 1), MAX_ROWS) : 1
  return Array.from({ length: count }, () => ({ instanceId, ms: latencyMs / count, output: null }))
}

function toError(error: unknown): NonNullable<Row['error']> {
  const code = isMultiverseError(error) ? error.code : 'PROVIDER_FAILED'
  return { code, message: oneLine(error) }
}
