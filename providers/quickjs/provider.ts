import type { HostFunctions } from '../host/functions.ts'
import { createHostedProvider } from '../host/provider.ts'
import type { WorldRuntimeProvider } from '../provider.ts'
import { MAXIMUM_BYTES } from './build.ts'
import type { WorkerOptions } from './workers.ts'
import { openWorlds } from './worlds.ts'

export type QuickjsOptions = WorkerOptions & {
  /** What links can give to worlds. */
  functions?: HostFunctions
}

/**
 * Worlds of JavaScript: each a QuickJS heap in a WebAssembly instance of its own, in worker threads. The thread of the
 * provider holds every world's state, so that the end of a worker loses none.
 */
export function createQuickjsProvider(options: QuickjsOptions = {}): WorldRuntimeProvider {
  return createHostedProvider({
    id: 'quickjs',
    name: 'QuickJS in WebAssembly',
    capabilities: {
      snapshot: true,
      branch: true,
      execute: true,
      merge: true,
      languages: ['javascript'],
      isolation: 'wasm',
      deterministic: true,
      rates: ['cpuShare'],
    },
    limits: { timeMs: 10_000, memoryBytes: 67_108_864 },
    maxMemoryBytes: MAXIMUM_BYTES,
    maxBranches: 10_000,
    ...(options.functions === undefined ? {} : { functions: options.functions }),
    open: (context) => openWorlds(context, options),
  })
}
