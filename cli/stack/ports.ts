import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'
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

/**
 * Free ports, in a row, for what listens on them seconds later and again after it was down: below those that systems
 * hand out by themselves, of which any connection from this machine could get one meanwhile.
 * @throws PORT_TAKEN when there are none in a thousand places
 */
export async function freePorts(): Promise<Ports> {
  for (let place = 0; place < 1_000; place++) {
    const ports = at(randomInt(15_000, 32_000))
    if (await areFree(ports)) return ports
  }
  throw new MultiverseError('PORT_TAKEN', 'no four free ports in a row between 15000 and 32000')
}

function at(base: number): Ports {
  return { chain: base, indexer: base + 1, analytics: base + 2, keeper: base + 3 }
}

async function freeBase(taken: number): Promise<number> {
  for (let base = taken + 100; base < 65_000; base += 100) {
    if (await areFree(at(base))) return base
  }
  throw new MultiverseError('PORT_TAKEN', `no four free ports in a row above ${taken}`)
}

async function areFree(ports: Ports): Promise<boolean> {
  return (await Promise.all(Object.values(ports).map(isFree))).every(Boolean)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false)
      else reject(error)
    })
    server.listen({ port, host: HOST, exclusive: true }, () => {
      server.close(() => resolve(true))
    })
  })
}
