import { hash, randomUUID } from 'node:crypto'
import type { Hex } from 'viem'
import { isMultiverseError, MultiverseError, oneLine } from '../sdk/errors.ts'
import type { Trit } from '../sdk/gf3.ts'
import type { JournalEvent } from '../sdk/journal.ts'
import { createCalls } from './host/calls.ts'
import type { CallOptions, Limits, ProviderConfig, WorldRuntimeProvider } from './provider.ts'

/** What a provider that keeps no worlds does: one verb, given and answered in JSON. */
export type Workloads<parsed, result> = {
  id: string
  name: string
  trit: Trit
  /** What `execute` speaks: the verb's name. */
  verb: 'optimize' | 'verify' | 'infer'
  /** @throws INVALID_ARGUMENT */
  parse: (request: unknown) => parsed
  perform: (request: parsed, options: WorkOptions) => Promise<result>
  open?: (config: ProviderConfig) => Promise<void>
  close?: () => Promise<void>
}

export type WorkOptions = { signal: AbortSignal; component?: string }

/** How a verb is called. */
export type VerbOptions = CallOptions & Partial<Pick<Limits, 'timeMs'>> & { component?: string }

/** A provider's own verb, beside the contract that all providers share. */
export type Working<verb extends string, request, result> = WorldRuntimeProvider &
  Record<verb, (request: request, options?: VerbOptions) => Promise<result>>

const DEFAULT_MS = 600_000
const MAX_CODE_BYTES = 16_777_216

/**
 * A provider that works on other providers' worlds. It has no worlds of its own: all operations but `execute` reject with
 * UNSUPPORTED. `execute` takes the verb's request as JSON text, and gives its result; the instance is the one that the work
 * is about, and is not looked up.
 *
 * Codes beside the contract's are the verb's own.
 */
export function createWorkloads<verb extends string, request, parsed, result>(
  work: Workloads<parsed, result> & { verb: verb },
): Working<verb, request, result> {
  const { id, name, trit, verb } = work
  const calls = createCalls(id)
  let limits: Pick<Limits, 'timeMs'> | null = null
  const ready = () => {
    if (limits === null) throw notInitialised(id)
    return limits
  }
  const unsupported = async (operation: string): Promise<never> => {
    ready()
    throw new MultiverseError('UNSUPPORTED', `${id} does not ${operation}: it keeps no worlds`)
  }

  const perform = async (given: unknown, options: VerbOptions = {}): Promise<result> => {
    ready()
    const request = work.parse(given)
    const timeMs = Math.min(options.timeMs ?? ready().timeMs, ready().timeMs)
    if (!Number.isFinite(timeMs) || timeMs <= 0) throw invalid(`timeMs ${timeMs} is not above 0`)
    return calls.perform(verb, null, options, async (signal) => {
      const limit = new AbortController()
      const late = new MultiverseError('EXECUTION_TIMEOUT', `${id} took longer than ${timeMs} ms`)
      const timer = setTimeout(() => limit.abort(late), timeMs)
      const either = AbortSignal.any([signal, limit.signal])
      const { component } = options
      try {
        const rights = component === undefined ? {} : { component }
        return await work.perform(request, { signal: either, ...rights })
      } catch (error) {
        either.throwIfAborted()
        throw error
      } finally {
        clearTimeout(timer)
      }
    })
  }

  const provider: WorldRuntimeProvider = {
    id,
    name,
    trit,
    init: async (config) => {
      if (limits !== null) throw invalid(`${id} is initialised already`)
      limits = { timeMs: config.limits?.timeMs ?? DEFAULT_MS }
      try {
        calls.links.open(config.dataDir)
        await work.open?.(config)
      } catch (error) {
        limits = null
        throw error
      }
    },
    shutdown: async () => {
      if (limits === null) return
      limits = null
      calls.cut(null, notInitialised(id))
      await calls.settled()
      calls.clear()
      await work.close?.()
    },
    receiveLinkConfig: async (link) => {
      ready()
      calls.links.put(link)
    },
    deleteLink: async (link) => {
      ready()
      calls.withdraw(link)
    },
    create: () => unsupported('create'),
    snapshot: () => unsupported('snapshot'),
    forget: () => unsupported('forget'),
    branch: () => unsupported('branch'),
    merge: () => unsupported('merge'),
    destroy: () => unsupported('destroy'),
    execute: async (_instanceId, code, options = {}) => {
      ready()
      const begun = performance.now()
      const value = await perform(toData(code), options)
      const json = JSON.stringify(value)
      return {
        value: JSON.parse(json) as unknown,
        stdout: '',
        stderr: '',
        exitCode: 0,
        stateRoot: `0x${hash('sha256', json, 'hex')}`,
        tookMs: performance.now() - begun,
      }
    },
    capabilities: () => ({
      snapshot: false,
      branch: false,
      execute: true,
      merge: false,
      languages: [verb],
      isolation: 'none of its own',
      deterministic: true,
    }),
    list: async () => {
      ready()
      return []
    },
  }
  return { ...provider, [verb]: perform } as Working<verb, request, result>
}

type Row = Extract<JournalEvent, { kind: 'provider.invoked' }>
type Json = Row['input']

/**
 * Calls a verb and writes its `provider.invoked`: one row a call, also when it fails. `costUnits` are the seconds it took:
 * what the worlds it uses cost is told by their own provider's rows.
 * @param told what the row says of the request and, when there is one, of the result
 */
export async function journalledVerb<result>(
  call: { providerId: string; operation: string; verseId: Hex | null; input: Json },
  write: (event: Row) => void | Promise<void>,
  perform: () => Promise<result>,
  told: (result: result) => Json,
): Promise<result> {
  const begun = performance.now()
  const [done] = await Promise.allSettled([perform()])
  const latencyMs = performance.now() - begun
  await write({
    kind: 'provider.invoked',
    invocationId: randomUUID(),
    ...call,
    output: done.status === 'fulfilled' ? told(done.value) : null,
    error: done.status === 'fulfilled' ? null : toError(done.reason),
    latencyMs,
    costUnits: latencyMs / 1_000,
  })
  if (done.status === 'rejected') throw done.reason
  return done.value
}

function toError(error: unknown): NonNullable<Row['error']> {
  return {
    code: isMultiverseError(error) ? error.code : 'PROVIDER_FAILED',
    message: oneLine(error),
  }
}

function toData(code: string): unknown {
  if (Buffer.byteLength(code) > MAX_CODE_BYTES)
    throw invalid(`the workload has more than ${MAX_CODE_BYTES} bytes`)
  try {
    return JSON.parse(code)
  } catch (cause) {
    throw new MultiverseError('INVALID_ARGUMENT', 'the workload is not JSON', { cause })
  }
}

function notInitialised(id: string): MultiverseError {
  return new MultiverseError('NOT_INITIALIZED', `${id} is not initialised`)
}

function invalid(text: string): MultiverseError {
  return new MultiverseError('INVALID_ARGUMENT', text)
}
