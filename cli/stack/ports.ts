import { createServer, type Server } from 'node:net'
import { MultiverseError } from '../../sdk/errors.ts'

/** What listens on the stack's ports, in order from the base port on. */
const SERVICES = ['chain', 'indexer', 'analytics', 'keeper'] as const
export type Service = (typeof SERVICES)[number]
export type Ports = Record<Service, number>

export const DEFAULT_PORT_BASE = 8545
const HOST = '127.0.0.1'

/** The stack's ports from `base` on. @throws PORT_TAKEN naming the first one in use and a base with which all are free */
export async function portsFrom(base: number): Promise<Ports> {
  const ports = at(base)
  for (const service of SERVICES) {
    if (await isFree(ports[service])) continue
    throw new MultiverseError(
      'PORT_TAKEN',
      `port ${ports[service]} (${service}) is taken: try --port-base ${await freeBase(base)}`,
    )
  }
  return ports
}

/** Four free ports, wherever they are. */
export async function freePorts(): Promise<Ports> {
  // All are held until the last is found, so that they differ.
  const servers = await Promise.all(SERVICES.map(() => listen(0)))
  const [chain, indexer, analytics, keeper] = await Promise.all(servers.map(close))
  return { chain: chain!, indexer: indexer!, analytics: analytics!, keeper: keeper! }
}

function at(base: number): Ports {
  return { chain: base, indexer: base + 1, analytics: base + 2, keeper: base + 3 }
}

async function freeBase(taken: number): Promise<number> {
  for (let base = taken + 100; base < 65_000; base += 100) {
    const free = await Promise.all(Object.values(at(base)).map(isFree))
    if (free.every(Boolean)) return base
  }
  throw new MultiverseError('PORT_TAKEN', `no four free ports in a row above ${taken}`)
}

async function isFree(port: number): Promise<boolean> {
  try {
    await close(await listen(port))
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EADDRINUSE' || code === 'EACCES') return false
    throw error
  }
}

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen({ port, host: HOST, exclusive: true }, () => resolve(server))
  })
}

/** Closes the server and gives the port it had. */
function close(server: Server): Promise<number> {
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve(port) : reject(error)))
  })
}
