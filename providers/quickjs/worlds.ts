import type { ExecutionResult } from '../provider.ts'
import type { EngineContext, OpenEngine, Program, World } from '../host/engine.ts'
import { ranTooLong, unknownSnapshot } from '../host/errors.ts'
import { createSnapshotCache } from './cache.ts'
import { imageBytes, type Image } from './image.ts'
import type { Pool } from './pool.ts'
import { openSnapshotStore } from './store.ts'
import { openWorkers, type WorkerOptions } from './workers.ts'

/** A worker that is this much over the time limit is stuck in one long step of the engine, and is ended. */
const GRACE_MS = 1_000

export type Heap = {
  /** The state after the last run that succeeded. */
  image: Image
  /** The worker that has it live, unless it has dropped it since. */
  seat: number
}

/** Worlds in this process's workers, snapshots in its folder. This thread holds every world's state. */
export async function openWorlds(
  { dataDir }: EngineContext,
  options: WorkerOptions,
): Promise<OpenEngine<Heap, Image>> {
  const store = await openSnapshotStore(dataDir)
  const cache = createSnapshotCache()
  const { pool, empty } = await openWorkers(options)

  return {
    create: async (world, { seed }, signal) => {
      const { answer, seat } = await pool.perform(
        { kind: 'create', world, image: empty, seed },
        { signal },
      )
      return { image: answer.image, seat }
    },

    snapshot: async ({ state: { image } }) => {
      await store.put(image)
      cache.put(image)
      return { id: image.root, stateRoot: image.root, bytes: imageBytes(image) }
    },

    forget: async (snapshotId) => {
      cache.remove(snapshotId)
      if (isRoot(snapshotId)) await store.remove(snapshotId)
    },

    lend: async (snapshotId, signal, use) => {
      const cached = cache.get(snapshotId)
      if (cached !== undefined) return use(cached)
      if (!isRoot(snapshotId)) throw unknownSnapshot(snapshotId)
      const folder = store.folder(snapshotId)
      const task = { kind: 'load', folder, root: snapshotId } as const
      const { answer } = await pool.perform(task, { signal })
      cache.put(answer.image)
      return use(answer.image)
    },

    restore: async (world, image, signal) => {
      const { seat } = await pool.perform({ kind: 'restore', world, image }, { signal })
      return { image, seat }
    },

    execute: (world, program, signal) => execute(pool, world, program, signal),

    end: async ({ instance, state }) => pool.drop(state.seat, instance.id),

    halt: (reason) => pool.close(reason),

    close: async () => undefined,
  }
}

async function execute(
  pool: Pool,
  world: World<Heap>,
  { onOutput, isHeard, ...bounds }: Program,
  signal: AbortSignal,
): Promise<ExecutionResult> {
  const { state } = world
  const { id } = world.instance
  const stop = new Int32Array(new SharedArrayBuffer(4))
  signal.addEventListener('abort', () => Atomics.store(stop, 0, 1))
  const deadline = { ms: bounds.timeMs + GRACE_MS, error: () => ranTooLong(bounds.timeMs) }
  const { answer, seat } = await pool.perform(
    { kind: 'execute', world: id, image: state.image, ...bounds, stop, isHeard },
    { seat: state.seat, signal, deadline, onOutput },
  )
  const left = world.isEnded ? seat : state.seat
  if (world.isEnded || left !== seat) pool.drop(left, id)
  // A call that was cut short has no effect, even if its program came to an end.
  signal.throwIfAborted()
  state.seat = seat
  state.image = answer.image
  const { json, stdout, stderr, tookMs } = answer.run
  const stateRoot = answer.image.root
  return { value: JSON.parse(json) as unknown, stdout, stderr, exitCode: 0, stateRoot, tookMs }
}

function isRoot(id: string): id is `0x${string}` {
  return /^0x[0-9a-f]{64}$/.test(id)
}
