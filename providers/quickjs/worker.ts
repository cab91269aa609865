import { parentPort, workerData } from 'node:worker_threads'
import { isMultiverseError, oneLine } from '../../sdk/errors.ts'
import { createEngine, type World } from './engine.ts'
import { decodeImage, imageBytes, type Image } from './image.ts'
import { take } from './mailbox.ts'
import type { Answers, Notice, Reply, Task, Told, WireError } from './protocol.ts'
import { readSnapshot } from './store.ts'

/** What a worker is started with. */
export type WorkerData = { module: WebAssembly.Module; maxResidents: number }

/** Live worlds are let go when together they hold more than this, bytes. */
const MAX_RESIDENT_BYTES = 268_435_456

const { module, maxResidents } = workerData as WorkerData
const engine = createEngine(module)

/**
 * Worlds that are live here, the least recently used first. A world's truth is its image, which comes with every task; an
 * instance is kept only to save making it again, and used only while it is in just that state.
 */
const residents = new Map<string, { root: string; world: World; bytes: number }>()
let residentBytes = 0

const perform: { [kind in Task['kind']]: (task: Extract<Task, { kind: kind }>) => Answers[kind] } =
  {
    boot: () => ({ image: engine.boot().capture(null) }),
    create: ({ world: id, image: empty, seed }) => {
      const world = engine.restore(empty)
      world.seed(seed)
      const image = world.capture(empty)
      settle(id, image, world)
      return { image }
    },
    restore: ({ world: id, image }) => {
      settle(id, image, enter(id, image))
      return null
    },
    execute: (task) => {
      const world = enter(task.world, task.image)
      const { mailbox } = task
      const run = world.run(task.code, {
        ...task,
        ...(task.isHeard ? { onOutput: (output) => tell({ kind: 'output', output }) } : {}),
        ...(mailbox === null
          ? {}
          : {
              call: (request, isOver) => {
                tell({ kind: 'call', request })
                return take(mailbox, isOver)
              },
            }),
      })
      const image = world.capture(task.image)
      settle(task.world, image, world)
      return { image, run }
    },
    load: ({ folder, root }) => ({ image: readSnapshot(folder, root, decodeImage) }),
  }

parentPort?.on('message', (message: Task | Notice) => {
  if (message.kind === 'drop') leave(message.world)
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
  else parentPort?.postMessage(reply(message))
})

function tell(told: Told): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
  parentPort?.postMessage(told)
}

function reply(task: Task): Reply {
  try {
    const answer = (perform[task.kind] as (task: Task) => Answers[Task['kind']])(task)
    return { ok: true, answer }
  } catch (error) {
    return { ok: false, error: toWire(error) }
  }
}

/** The world in the state of `image`, taken out of the residents: if it fails it is not put back. */
function enter(id: string, image: Image): World {
  const resident = residents.get(id)
  if (resident?.root !== image.root) {
    leave(id)
    return engine.restore(image)
  }
  forget(id)
  return resident.world
}

function settle(id: string, image: Image, world: World): void {
  const bytes = imageBytes(image)
  residents.set(id, { root: image.root, world, bytes })
  residentBytes += bytes
  for (const oldest of residents.keys()) {
    if (residents.size <= maxResidents && residentBytes <= MAX_RESIDENT_BYTES) break
    leave(oldest)
  }
}

function leave(id: string): void {
  residents.get(id)?.world.release()
  forget(id)
}

function forget(id: string): void {
  residentBytes -= residents.get(id)?.bytes ?? 0
  residents.delete(id)
}

function toWire(error: unknown): WireError {
  if (!isMultiverseError(error))
    return { code: 'PROVIDER_FAILED', message: oneLine(error), isRetryable: false, detail: null }
  const { code, message, isRetryable, cause } = error
  return { code, message, isRetryable, detail: cause instanceof Error ? cause.message : cause }
}
