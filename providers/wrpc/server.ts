import { rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { MultiverseError } from '../../sdk/errors.ts'
import type { Output, WorldRuntimeProvider } from '../provider.ts'
import type { Address } from './address.ts'
import { decode, encode, malformed, tryRead, createReader, toKebab } from './codec.ts'
import { toFailure } from './failure.ts'
import { createRequestParser, encodeFrame } from './frames.ts'
import {
  FUNCTIONS,
  type FunctionName,
  functionOf,
  INSTANCE,
  outputs,
  type Parameters,
  type Value,
} from './interface.ts'

/** A provider that others can reach. */
export type Served = {
  /** Where, with the port that the system chose. */
  address: Address
  /** Ends every call under way; the provider itself goes on. Idempotent. */
  close: () => Promise<void>
}

type Handlers = {
  [name in FunctionName]: (
    parameters: Parameters<name>,
    options: { signal: AbortSignal; onOutput: (output: Output) => void },
  ) => Promise<Value<name>>
}

const BY_WIRE_NAME = new Map(
  Object.keys(FUNCTIONS).map((name) => [toKebab(name), name as FunctionName]),
)
/** How long a client may take to say what it wants, milliseconds. */
const REQUEST_MS = 30_000

/**
 * Serves a provider over wRPC: one connection a call. A unix socket is open to its owner alone; TCP has no guard but its
 * address, so it is for this machine.
 * @throws ADDRESS_IN_USE
 */
export async function serveProvider(
  provider: WorldRuntimeProvider,
  address: Address,
): Promise<Served> {
  const handlers = handle(provider)
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    serve(handlers, socket)
  })
  if ('path' in address) await clear(address.path)
  await listen(server, address)
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0
  return {
    address: 'path' in address ? address : { ...address, port },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      if (!server.listening) return
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

/** One call: from the header to the result. A client that speaks nonsense is hung up on. */
function serve(handlers: Handlers, socket: Socket): void {
  const parser = createRequestParser()
  const over = new AbortController()
  let name: FunctionName | null = null
  let parameters = Buffer.alloc(0)
  let isCalled = false
  const hangUp = () => {
    over.abort()
    socket.destroy()
  }
  const timer = setTimeout(hangUp, REQUEST_MS)
  socket.once('close', () => {
    clearTimeout(timer)
    over.abort()
  })
  // What is wrong with a connection shows in its close.
  socket.on('error', () => undefined)
  socket.on('data', (piece) => {
    try {
      for (const part of parser.push(piece)) {
        if ('instance' in part) name = find(part.instance, part.name)
        else take(part.path, part.data)
      }
    } catch {
      hangUp()
    }
  })
  socket.once('end', () => {
    // A client that has nothing more to say cannot call off what can be called off: it is gone.
    if (name === null || !isCalled || FUNCTIONS[name].cancelAt !== null) hangUp()
  })

  function take(path: number[], data: Uint8Array): void {
    if (name === null) throw malformed('a frame before the header')
    const { cancelAt } = FUNCTIONS[name]
    if (isCalled && path.length === 1 && path[0] === cancelAt) {
      over.abort()
      return
    }
    if (isCalled || path.length > 0) throw malformed(`nothing is expected at ${path.join('.')}`)
    parameters = Buffer.concat([parameters, data])
    begin(name)
  }

  /** Calls the function when all its parameters have come. */
  function begin(name: FunctionName): void {
    const codec = functionOf(name).parameters
    if (tryRead(codec, createReader(parameters)).missing > 0) return
    isCalled = true
    clearTimeout(timer)
    void call(name, decode(codec, parameters))
  }

  async function call<name extends FunctionName>(
    name: name,
    given: Parameters<name>,
  ): Promise<void> {
    const { result, resultAt, outputAt, head } = functionOf(name)
    const say = (path: readonly number[], data: Uint8Array) => {
      if (!socket.destroyed) socket.write(encodeFrame({ path: [...path], data }))
    }
    if (head !== null) say([], encode(head, null))
    const tell = (some: Output[]) => {
      if (outputAt !== null) say(outputAt, encode(outputs, some))
    }
    const onOutput = (output: Output) => tell([output])
    const answer = await handlers[name](given, { signal: over.signal, onOutput }).then(
      (value) => ({ ok: value }),
      (error: unknown) => ({ failure: toFailure(error) }),
    )
    tell([])
    say(resultAt, encode(result, answer))
    socket.end()
  }
}

function find(instance: string, wireName: string): FunctionName {
  const name = BY_WIRE_NAME.get(wireName)
  if (instance !== INSTANCE || name === undefined)
    throw malformed(`there is no ${wireName} of ${instance} here`)
  return name
}

function nothing(done: Promise<void>): Promise<null> {
  return done.then(() => null)
}

function handle(provider: WorldRuntimeProvider): Handlers {
  return {
    describe: async () => ({
      id: provider.id,
      name: provider.name,
      trit: provider.trit,
      capabilities: provider.capabilities(),
    }),
    init: ({ config }) => nothing(provider.init(config)),
    shutdown: () => nothing(provider.shutdown()),
    receiveLinkConfig: ({ link }) => nothing(provider.receiveLinkConfig(link)),
    deleteLink: ({ link }) => nothing(provider.deleteLink(link)),
    create: ({ options }, { signal }) => provider.create({ ...options, signal }),
    snapshot: ({ instanceId, options }, { signal }) =>
      provider.snapshot(instanceId, { ...options, signal }),
    forget: ({ snapshotId }) => nothing(provider.forget(snapshotId)),
    branch: ({ snapshotId, count, options }, { signal }) =>
      provider.branch(snapshotId, count, { ...options, signal }),
    execute: ({ instanceId, code, options: { isHeard = false, ...options } }, call) =>
      provider.execute(instanceId, code, {
        ...options,
        signal: call.signal,
        ...(isHeard ? { onOutput: call.onOutput } : {}),
      }),
    merge: ({ instanceIds, oracle }) => provider.merge(instanceIds, oracle),
    destroy: ({ instanceId }) => nothing(provider.destroy(instanceId)),
    instances: () => provider.list(),
  }
}

async function listen(server: Server, address: Address): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve)
    server.once('error', reject)
    if (!('path' in address)) {
      server.listen(address)
      return
    }
    // The socket's file is made within this call: at no moment may others open it.
    const before = process.umask(0o177)
    try {
      server.listen(address)
    } finally {
      process.umask(before)
    }
  })
}

/** Removes a socket that nobody listens on any more. */
async function clear(path: string): Promise<void> {
  const isTaken = await new Promise<boolean>((resolve) => {
    const socket = connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
  if (isTaken) throw new MultiverseError('ADDRESS_IN_USE', `somebody listens on ${path}`)
  await rm(path, { force: true })
}
