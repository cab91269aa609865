import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe } from 'vitest'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { connectProvider } from '../../providers/wrpc/client.ts'
import { serveProvider, type Served } from '../../providers/wrpc/server.ts'
import { conformance, type ConformanceOptions } from './conformance.ts'

/** Where a provider may be: in this process, or behind a socket of wRPC. */
type Transport = 'in process' | 'over a unix socket' | 'over TCP'

/** The whole conformance suite over each of the transports that are named. */
export function conformanceBy(
  transports: Partial<Record<Transport, Partial<ConformanceOptions>>>,
  make: () => WorldRuntimeProvider,
  options: Omit<ConformanceOptions, 'create'>,
): void {
  for (const [transport, more] of Object.entries(transports))
    describe(`conformance ${transport}`, () => {
      const create = transport === 'in process' ? async () => make() : overSocket(make, transport)
      conformance({ create, ...options, ...more })
    })
}

/** Makes providers that are spoken to over wRPC instead; to be called in a describe, which closes them. */
export function overSocket(
  make: () => WorldRuntimeProvider,
  transport: string = 'over a unix socket',
): () => Promise<WorldRuntimeProvider> {
  let folder: string
  const served: Served[] = []
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wrpc-'))
  })
  afterAll(async () => {
    await Promise.all(served.map((each) => each.close()))
    await rm(folder, { recursive: true })
  })
  return async () => {
    const address =
      transport === 'over TCP'
        ? { host: '127.0.0.1', port: 0 }
        : { path: join(folder, `${served.length}.sock`) }
    const one = await serveProvider(make(), address)
    served.push(one)
    return connectProvider(one.address)
  }
}
