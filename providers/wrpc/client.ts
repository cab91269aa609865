import { connect, type Socket } from 'node:net'
import { isMultiverseError, MultiverseError, oneLine } from '../../sdk/errors.ts'
import { invalid, tooLate } from '../host/errors.ts'
import { after } from '../host/limits.ts'
import { relay } from '../host/output.ts'
import type { CallOptions, Output, WorldRuntimeProvider } from '../provider.ts'
import { type Address, formatAddress } from './address.ts'
import { createReader, decode, encode, toKebab, tryRead } from './codec.ts'
import { fromFailure } from './failure.ts'
import { createResponseParser, encodeFrame, encodeHeader } from './frames.ts'
import {
  type FunctionName,
  functionOf,
  INSTANCE,
  outputs,
  type Parameters,
  type Value,
} from './interface.ts'

/** How long answers may take, milliseconds. */
export type ConnectOptions = {
  /** All calls but `execute`; and what `execute` may take beyond its time limit. */
  answerMs?: number
  /** An `execute` without a time limit of its own. */
  executeMs?: number
}

const ANSWER_MS = 60_000
const EXECUTE_MS = 900_000
/** How long a call that was called off may take to say how it ended. */
const CANCEL_MS = 5_000

/**
 * A provider that is served elsewhere, as if it were here. Each call has a connection of its own. Calls on one instance are
 * sent one after the other, since connections do not keep their order.
 *
 * A call that is aborted is called off there, and ends as it ended there: it has either happened or not. Beside the contract's
 * codes: PROVIDER_FAILED (retryable when the provider cannot be reached), RPC_MALFORMED (it answers what makes no sense).
 * @throws the same, when it cannot be asked what it is
 */
export async function connectProvider(
  address: Address,
  { answerMs = ANSWER_MS, executeMs = EXECUTE_MS }: ConnectOptions = {},
): Promise<WorldRuntimeProvider> {
  const turns = new Map<string, Promise<unknown>>()
  const invoke = <name extends FunctionName>(
    name: name,
    parameters: Parameters<name>,
    { ms = answerMs, ...how }: Partial<Call> = {},
  ) => call(address, name, parameters, { ms, ...how })
  const { id, name, trit, capabilities } = await invoke('describe', {})

  /** Sends a call on an instance when the one before has ended. */
  function inTurn<result>(
    instanceId: string,
    signal: AbortSignal | undefined,
    send: () => Promise<result>,
  ): Promise<result> {
    const before = turns.get(instanceId) ?? Promise.resolve()
    const sent = before.then(() => {
      if (signal?.aborted === true) throw aborted(signal)
      return send()
    })
    const turn = sent.then(
      () => undefined,
      () => undefined,
    )
    turns.set(instanceId, turn)
    void turn.then(() => {
      if (turns.get(instanceId) === turn) turns.delete(instanceId)
    })
    return Promise.race([sent, whenAborted(signal, before)])
  }

  return {
    id,
    name,
    trit,
    init: async (config) => void (await invoke('init', { config })),
    shutdown: async () => void (await invoke('shutdown', {})),
    receiveLinkConfig: async (link) => void (await invoke('receiveLinkConfig', { link })),
    deleteLink: async (link) => void (await invoke('deleteLink', { link })),
    create: (options) => timed('create', options, (call) => invoke('create', { options }, call)),
    snapshot: (instanceId, options = {}) =>
      timed('snapshot', options, (call) =>
        inTurn(instanceId, call.signal, () => invoke('snapshot', { instanceId, options }, call)),
      ),
    forget: async (snapshotId, options = {}) =>
      void (await timed('forget', options, (call) => invoke('forget', { snapshotId }, call))),
    branch: (snapshotId, count, options = {}) =>
      timed('branch', options, (call) => invoke('branch', { snapshotId, count, options }, call)),
    execute: (instanceId, code, options = {}) => {
      const ms = Number.isFinite(options.timeMs)
        ? (options.timeMs ?? 0) + answerMs
        : executeMs + answerMs
      return timed('execute', options, async ({ signal }) => {
        const { onOutput, finish } = relay(options.onOutput, signal)
        const sent = { ...options, isHeard: options.onOutput !== undefined }
        return finish(
          await inTurn(instanceId, signal, () =>
            invoke(
              'execute',
              { instanceId, code, options: sent },
              { ...given(signal), ms, onOutput },
            ),
          ),
        )
      })
    },
    merge: (instanceIds, oracle, options = {}) =>
      timed('merge', options, (call) =>
        invoke('merge', { instanceIds: [...instanceIds], oracle }, call),
      ),
    destroy: async (instanceId, options = {}) =>
      void (await timed('destroy', options, (call) => invoke('destroy', { instanceId }, call))),
    list: () => invoke('instances', {}),
    capabilities: () => ({ ...capabilities, languages: [...capabilities.languages] }),
  }
}

/** Does a call that its deadline calls off as its caller would. */
async function timed<result>(
  what: string,
  { signal, deadlineMs }: CallOptions,
  send: (call: CallOptions) => Promise<result>,
): Promise<result> {
  if (deadlineMs === undefined) return send(given(signal))
  if (!(deadlineMs > 0)) throw invalid(`deadlineMs ${deadlineMs} is not above 0`)
  const limit = new AbortController()
  const cancel = after(deadlineMs, () => limit.abort())
  try {
    const either = signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal])
    return await send({ signal: either })
  } catch (error) {
    const isLate = limit.signal.aborted && signal?.aborted !== true
    throw isLate && isMultiverseError(error, 'ABORTED') ? tooLate(what, deadlineMs) : error
  } finally {
    cancel()
  }
}

function given(signal: AbortSignal | undefined): CallOptions {
  return signal === undefined ? {} : { signal }
}

/** Rejects when the signal says so before `before` has ended; never resolves. */
function whenAborted(signal: AbortSignal | undefined, before: Promise<unknown>): Promise<never> {
  return new Promise((_, reject) => {
    if (signal === undefined) return
    const leave = () => reject(aborted(signal))
    signal.addEventListener('abort', leave)
    void before.then(() => signal.removeEventListener('abort', leave))
  })
}

/** How long a call may take, milliseconds, what calls it off, and who hears what is written meanwhile. */
type Call = {
  ms: number
  signal?: AbortSignal
  onOutput?: (output: Output) => void
}

async function call<name extends FunctionName>(
  address: Address,
  name: name,
  parameters: Parameters<name>,
  how: Call,
): Promise<Value<name>> {
  const { parameters: codec, result, ...plan } = functionOf(name)
  if (how.signal?.aborted === true) throw aborted(how.signal)
  const request = Buffer.concat([
    encodeHeader({ instance: INSTANCE, name: toKebab(name) }),
    encodeFrame({ path: [], data: encode(codec, parameters) }),
  ])
  const where = `${name} at ${formatAddress(address)}`
  const answer = decode(result, await exchange(address, where, request, plan, how))
  if ('failure' in answer) throw fromFailure(answer.failure)
  return answer.ok
}

type Plan = Pick<ReturnType<typeof functionOf>, 'cancelAt' | 'resultAt' | 'outputAt' | 'head'>

/** Sends a request and gives the data of its result. */
function exchange(
  address: Address,
  where: string,
  request: Buffer,
  { cancelAt, resultAt, outputAt, head }: Plan,
  { ms, signal, onOutput = () => undefined }: Call,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ ...address, allowHalfOpen: true })
    const parser = createResponseParser()
    /** What has come at each place. */
    const came = new Map<string, Buffer>()
    const take = (path: readonly number[], data: Uint8Array) => {
      const at = path.join('.')
      const all = Buffer.concat([came.get(at) ?? Buffer.alloc(0), data])
      came.set(at, at === outputAt?.join('.') ? hear(all, onOutput) : all)
    }
    const late = () => fail(unreachable(`${where} has not answered for ${ms} ms`))
    let timer = setTimeout(late, Math.min(ms, 2 ** 31 - 1))
    const cancel = () => {
      // What cannot be called off goes on there; nobody waits for it here.
      if (cancelAt === null) return fail(aborted(signal))
      socket.write(encodeFrame({ path: [cancelAt], data: new Uint8Array() }))
      clearTimeout(timer)
      timer = setTimeout(() => fail(aborted(signal)), CANCEL_MS)
    }
    const settle = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', cancel)
      socket.destroy()
    }
    const fail = (error: unknown) => {
      settle()
      reject(error)
    }
    signal?.addEventListener('abort', cancel)
    socket.on('error', (error) => fail(unreachable(`${where}: ${oneLine(error)}`, error)))
    socket.on('data', (piece) => {
      try {
        for (const { path, data } of parser.push(piece)) take(path, data)
      } catch (error) {
        fail(error)
      }
    })
    socket.once('close', () => fail(unreachable(`${where} ended without an answer`)))
    socket.once('end', () => {
      const first = came.get('')
      if (!parser.isWhole() || first === undefined)
        return fail(unreachable(`${where} ended in the middle of its answer`))
      try {
        if (head !== null) decode(head, first)
      } catch (error) {
        return fail(error)
      }
      const data = came.get(resultAt.join('.'))
      if (data === undefined) return fail(unreachable(`${where} ended in the middle of its answer`))
      settle()
      return resolve(data)
    })
    socket.write(request)
    // Nothing more will come, unless the call may have to be called off.
    if (cancelAt === null) socket.end()
  })
}

/** Hands on what is whole of a stream, and gives the rest. */
function hear(data: Buffer, onOutput: (output: Output) => void): Buffer {
  const from = createReader(data)
  for (;;) {
    const rest = data.subarray(data.length - from.left())
    const read = from.left() === 0 ? null : tryRead(outputs, from)
    if (read === null || read.missing > 0) return rest
    for (const output of read.value) onOutput(output)
  }
}

function aborted(signal: AbortSignal | undefined): MultiverseError {
  const cause: unknown = signal?.reason
  return new MultiverseError('ABORTED', 'the call was aborted by its caller', {
    cause,
    isRetryable: true,
  })
}

function unreachable(text: string, cause?: unknown): MultiverseError {
  return new MultiverseError('PROVIDER_FAILED', text, { cause, isRetryable: true })
}
