import type { ExecutionResult, Json } from '../provider.ts'
import type { EngineContext, OpenEngine, Program, World } from '../host/engine.ts'
import { ranTooLong, unknownSnapshot } from '../host/errors.ts'
import { MAX_RESULT_BYTES } from '../host/results.ts'
import { createSnapshotCache } from './cache.ts'
import { imageBytes, type Image } from './image.ts'
import { createMailbox, put } from './mailbox.ts'
import type { Pool } from './pool.ts'
import type { Told } from './protocol.ts'
import { openSnapshotStore } from './store.ts'
import { openWorkers, type WorkerOptions } from './workers.ts'

/** A worker that is this much over the time limit is stuck in one long step of the engine, and is ended. */
const GRACE_MS = 1_000
/** A function's answer, and what is around it. */
const MAX_ANSWER_BYTES = MAX_RESULT_BYTES + 65_536

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
  { onOutput, isHeard, call, ...bounds }: Program,
  signal: AbortSignal,
): Promise<ExecutionResult> {
  const { state } = world
  const { id } = world.instance
  const stop = new Int32Array(new SharedArrayBuffer(4))
  signal.addEventListener('abort', () => Atomics.store(stop, 0, 1))
  const deadline = { ms: bounds.timeMs + GRACE_MS, error: () => ranTooLong(bounds.timeMs) }
  const mailbox = call === null ? null : createMailbox(MAX_ANSWER_BYTES)
  const onTold = (told: Told) => {
    if (told.kind === 'output') onOutput(told.output)
    else if (call !== null && mailbox !== null) {
      const [name, ...args] = JSON.parse(told.request) as [string, ...Json[]]
      void call(name, args).then((answered) => put(mailbox, JSON.stringify(answered)))
    }
  }
  const { answer, seat } = await pool.perform(
    { kind: 'execute', world: id, image: state.image, ...bounds, stop, isHeard, mailbox },
    { seat: state.seat, signal, deadline, onTold },
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
