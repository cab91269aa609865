import { isMultiverseError } from '../../sdk/errors.ts'
import type { EngineContext, NewWorld, OpenEngine, Program, World } from '../host/engine.ts'
import { ranTooLong } from '../host/errors.ts'
import { after } from '../host/limits.ts'
import type { ExecutionResult, Origin } from '../provider.ts'
import type { Anvil } from './anvil.ts'
import { type Image, toImage } from './image.ts'
import { createMachines, type Machines } from './machines.ts'
import { blame, checkOrigin, failed, moved } from './origin.ts'
import { parseProgram, type Program as Steps } from './program.ts'
import { readHead, runProgram } from './run.ts'
import { openStore } from './store.ts'
import type { Json } from './values.ts'

/** Answers with the world's seed, which is its first word of storage: block hashes and PREVRANDAO follow from it. */
const SEED_ACCOUNT = '0x0000000000000000000000000000000000005eed'
const SEED_CODE = '0x5f545f5260205ff3'

/** The state after the last run that succeeded. */
export type Chain = { image: Image }

/** Worlds in at most so many anvil processes, snapshots in the provider's folder. */
export async function openWorlds(
  { dataDir, limits }: EngineContext,
  maxProcesses: number,
): Promise<OpenEngine<Chain, Image>> {
  const store = await openStore(dataDir)
  const machines = createMachines(maxProcesses)
  const { memoryBytes } = limits

  return {
    create: async (world, request, signal) => ({
      image: await genesis(machines, world, request, { memoryBytes, signal }),
    }),

    snapshot: async ({ state: { image } }) => {
      const { id, stateRoot } = image
      return { id, stateRoot, bytes: await store.put(image) }
    },

    forget: store.remove,

    lend: async (snapshotId, _signal, use) => use(await store.get(snapshotId)),

    restore: async (world, image, signal) => {
      const start = { world, image, origin: null, memoryBytes }
      await machines.prepare(start, signal).catch(async (error: unknown) => {
        signal.throwIfAborted()
        throw await blame(error, image.origin)
      })
      return { image }
    },

    execute: (world, program, signal) => execute(machines, world, program, signal),

    end: ({ instance }) => machines.drop(instance.id),

    close: machines.close,
  }
}

/** The state of a new world. @throws ORIGIN_MOVED, ORIGIN_FAILED */
async function genesis(
  machines: Machines,
  world: string,
  { seed, origin }: NewWorld,
  { memoryBytes, signal }: { memoryBytes: number; signal: AbortSignal },
): Promise<Image> {
  if (origin !== null) checkOrigin(origin)
  const start = { world, image: null, origin, memoryBytes }
  try {
    return await machines.use(start, signal, async (anvil) => {
      if (origin !== null) await checkBlock(anvil, origin)
      const program: Steps = {
        steps: [
          { kind: 'code', account: SEED_ACCOUNT, bytecode: SEED_CODE },
          { kind: 'store', account: SEED_ACCOUNT, slot: 0, word: `${seed}` },
        ],
      }
      await runProgram(anvil, program, { input: null, names: {} })
      return dump(anvil, origin, {})
    })
  } catch (error) {
    if (origin === null || signal.aborted || isMultiverseError(error, 'ORIGIN_MOVED')) throw error
    throw failed(origin, error)
  }
}

async function execute(
  machines: Machines,
  { instance, state }: World<Chain>,
  { code, timeMs, memoryBytes, onOutput }: Program,
  signal: AbortSignal,
): Promise<ExecutionResult> {
  const { image } = state
  const { program, input } = parseProgram(code)
  const limit = new AbortController()
  const either = AbortSignal.any([signal, limit.signal])
  const start = { world: instance.id, image, origin: null, memoryBytes }
  const run = machines.use(start, either, async (anvil) => {
    const begun = performance.now()
    const cancel = after(timeMs, () => limit.abort(ranTooLong(timeMs)))
    try {
      const told = await runProgram(anvil, program, { input, names: image.names, onOutput })
      const next = await dump(anvil, image.origin, told.names)
      return { run: told, image: next, tookMs: performance.now() - begun }
    } finally {
      cancel()
    }
  })
  const done = await run.catch(async (error: unknown) => {
    signal.throwIfAborted()
    throw await blame(error, image.origin)
  })
  // A call that was cut short has no effect, even if its program came to an end.
  signal.throwIfAborted()
  state.image = done.image
  const { json, stdout, stderr } = done.run
  const value = JSON.parse(json) as Json
  const { stateRoot } = done.image
  return { value, stdout, stderr, exitCode: 0, stateRoot, tookMs: done.tookMs }
}

async function dump(anvil: Anvil, origin: Origin | null, names: Image['names']): Promise<Image> {
  return toImage((await anvil.rpc('anvil_dumpState')) as `0x${string}`, origin, names)
}

/** A number may have been given to another block since. */
async function checkBlock(anvil: Anvil, origin: Origin): Promise<void> {
  const { hash } = await readHead(anvil)
  if (hash !== origin.blockHash) throw moved(origin, hash)
}
