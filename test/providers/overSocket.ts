import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { connectProvider } from '../../providers/wrpc/client.ts'
import { serveProvider, type Served } from '../../providers/wrpc/server.ts'

/** Makes providers that are spoken to over wRPC instead; to be called in a describe, which closes them. */
export function overSocket(
  make: () => WorldRuntimeProvider,
  transport: 'unix' | 'tcp' = 'unix',
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
      transport === 'tcp'
        ? { host: '127.0.0.1', port: 0 }
        : { path: join(folder, `${served.length}.sock`) }
    const one = await serveProvider(make(), address)
    served.push(one)
    return connectProvider(one.address)
  }
}
