import { isMultiverseError, oneLine } from '../../sdk/errors.ts'
import type { WorldRuntimeProvider } from '../provider.ts'
import { createProvider } from '../registry.ts'
import type { Notice, Order, Source, Task } from './protocol.ts'

// A verifier's process: does one task after the other, each in a world of its own, and tells what every step came to. It
// judges nothing.

/** What of a failure is the program's own: the step failed, and the world can tell so. All else says nothing of the lane. */
const FAULTS = [
  'PROGRAM_ERROR',
  'FUNCTION_NOT_LINKED',
  'EXECUTION_TIMEOUT',
  'OUT_OF_MEMORY',
  'RESULT_INVALID',
]

const providers = new Map<string, Promise<WorldRuntimeProvider>>()

/** The task under way. */
let current: { id: number; over: AbortController } | null = null

process.on('message', (message) => {
  const order = message as Order
  if (order.kind === 'task') void perform(order)
  // Why it does not open is said to the task that needs it.
  else if (order.kind === 'open') open(order.source).catch(() => undefined)
  else if (current?.id === order.id) current.over.abort()
})
process.once('disconnect', () => {
  void end()
})
tell({ kind: 'ready' })

async function perform({ id, source, from, steps, limits }: Task): Promise<void> {
  const over = new AbortController()
  current = { id, over }
  const { signal } = over
  try {
    const provider = await open(source)
    const world = await begin(provider, from)
    tell({ kind: 'begun', id })
    try {
      for (const [step, { code, calls: answers = [] }] of steps.entries())
        try {
          if (signal.aborted) break
          const run = await provider.execute(world, code, { ...limits, signal, answers })
          const { stateRoot, value } = run
          tell({ kind: 'done', id, step, stateRoot, value: value as never })
        } catch (error) {
          if (signal.aborted) break
          if (!isMultiverseError(error) || !FAULTS.includes(error.code)) throw error
          tell({ kind: 'failed', id, step, code: error.code, message: oneLine(error) })
          break
        }
    } finally {
      await provider.destroy(world)
    }
    tell({ kind: 'over', id })
  } catch (error) {
    const code = isMultiverseError(error) ? error.code : 'PROVIDER_FAILED'
    const isRetryable = isMultiverseError(error) && error.isRetryable
    tell({ kind: 'lost', id, code, message: oneLine(error), isRetryable })
  }
}

async function begin(provider: WorldRuntimeProvider, from: Task['from']): Promise<string> {
  if (from.kind === 'seed') return (await provider.create({ seed: BigInt(from.seed) })).id
  const [world] = await provider.branch(from.snapshotId, 1)
  if (world === undefined) throw new Error(`no branch of ${from.snapshotId}`)
  return world.id
}

function open(source: Source): Promise<WorldRuntimeProvider> {
  const key = JSON.stringify(source)
  const opened = providers.get(key) ?? make(source)
  providers.set(key, opened)
  // What failed to open may open the next time.
  opened.catch(() => providers.delete(key))
  return opened
}

async function make({ id, module, dataDir, limits }: Source): Promise<WorldRuntimeProvider> {
  const provider =
    module === null
      ? await createProvider(id, { concurrency: 1 })
      : await ((await import(module)) as { createProvider: typeof createProvider }).createProvider(
          id,
        )
  await provider.init(limits === null ? { dataDir } : { dataDir, limits })
  return provider
}

async function end(): Promise<void> {
  for (const opened of providers.values()) {
    const [provider] = await Promise.allSettled([opened])
    if (provider.status === 'fulfilled') await provider.value.shutdown()
  }
  process.exit()
}

function tell(notice: Notice): void {
  process.send?.(notice)
}
