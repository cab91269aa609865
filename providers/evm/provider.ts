import { createHostedProvider } from '../host/provider.ts'
import type { WorldRuntimeProvider } from '../provider.ts'
import { openWorlds } from './worlds.ts'

/** How a provider uses this machine. */
export type EvmOptions = {
  /** As many anvil processes live at a time, 30 MB each. Worlds without one get one when they run. */
  maxProcesses?: number
}

const DEFAULT_PROCESSES = 16

/**
 * Worlds of the Ethereum virtual machine: each the state of a chain of its own, held by an anvil process while it runs.
 * Programs are JSON (`program.ts`): transactions and calls. A world begins empty at the year 2000, or from a block of
 * another chain (`origin`), which must stay there to be asked. This process holds every world's state, so that the end of an
 * anvil loses none.
 *
 * BLOCKHASH knows true hashes only of blocks of the same run; EIP-2935's contract knows all.
 *
 * Beside the codes of the contract: ORIGIN_MOVED (another block has the origin's number), ORIGIN_FAILED (the chain does not
 * answer; may be tried again).
 */
export function createEvmProvider(options: EvmOptions = {}): WorldRuntimeProvider {
  return createHostedProvider({
    id: 'evm',
    name: 'EVM states in anvil',
    capabilities: {
      snapshot: true,
      branch: true,
      execute: true,
      merge: true,
      languages: ['evm'],
      isolation: 'evm in a process',
      deterministic: true,
      origin: true,
    },
    limits: { timeMs: 10_000, memoryBytes: 67_108_864 },
    maxBranches: 10_000,
    open: (context) => openWorlds(context, options.maxProcesses ?? DEFAULT_PROCESSES),
  })
}
