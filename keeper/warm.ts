import type { CreateOptions, Instance, WorldRuntimeProvider } from '../providers/provider.ts'

/** A provider whose new worlds are made before they are asked for. */
export type WarmWorlds = {
  /** The provider, but `create` hands out a world that is ready, when there is one of that seed. */
  provider: WorldRuntimeProvider
  /** Has worlds of a seed kept ready from now on, in place of those of another. */
  keep: (seed: bigint) => void
}

type Ready = { seed: bigint; instance: Instance }

/**
 * Keeps `size` new worlds ready: a world is its seed, so only those of the seed last asked for are. One that is handed out is
 * replaced in the background. A size of 0 keeps none.
 *
 * `onCreated` is told of every world handed out, warm and cold apart, with the milliseconds that its caller waited.
 */
export function createWarmWorlds(
  provider: WorldRuntimeProvider,
  {
    size,
    component,
    onCreated,
    onError,
  }: {
    size: number
    component: string
    onCreated: (start: 'cold' | 'warm', ms: number) => void
    onError: (error: unknown) => void
  },
): WarmWorlds {
  const ready: Ready[] = []
  const handedOut = new Map<string, Instance>()
  let wanted: bigint | null = null
  let filling: Promise<void> = Promise.resolve()
  let isFilling = false
  let isOver = false

  function keep(seed: bigint): void {
    if (size === 0) return
    wanted = seed
    if (isFilling) return
    isFilling = true
    filling = fill()
  }

  /** One at a time: making worlds ready must not take the machine from those that are wanted now. */
  async function fill(): Promise<void> {
    try {
      for (;;) {
        const seed = wanted
        if (isOver || seed === null) return
        for (const old of ready.filter((each) => each.seed !== seed)) {
          ready.splice(ready.indexOf(old), 1)
          await provider.destroy(old.instance.id)
        }
        if (ready.length >= size) return
        ready.push({ seed, instance: await provider.create({ seed, component }) })
      }
    } catch (error) {
      // Without, worlds are made when they are asked for, and say what is wrong then.
      if (!isOver) onError(error)
    } finally {
      isFilling = false
    }
  }

  async function create(options: CreateOptions): Promise<Instance> {
    const { key, seed } = options
    const before = key === undefined ? undefined : handedOut.get(key)
    if (before) return before
    const begun = performance.now()
    const fits = options.origin === undefined && options.component === component
    const at = fits ? ready.findIndex((each) => each.seed === seed) : -1
    const [taken] = at < 0 ? [] : ready.splice(at, 1)
    const instance = taken
      ? { ...taken.instance, bootMs: performance.now() - begun, isWarm: true as const }
      : await provider.create(options)
    if (taken && key !== undefined) handedOut.set(key, instance)
    onCreated(taken ? 'warm' : 'cold', performance.now() - begun)
    keep(seed)
    return instance
  }

  return {
    keep,
    provider: {
      ...provider,
      create,
      destroy: async (instanceId, options) => {
        for (const [key, { id }] of handedOut) if (id === instanceId) handedOut.delete(key)
        await provider.destroy(instanceId, options)
      },
      merge: async (instanceIds, oracle, options) => {
        const kept = await provider.merge(instanceIds, oracle, options)
        for (const [key, { id }] of handedOut)
          if (id !== kept.id && instanceIds.includes(id)) handedOut.delete(key)
        return kept
      },
      list: async () => {
        const spare = new Set(ready.map(({ instance }) => instance.id))
        return (await provider.list()).filter(({ id }) => !spare.has(id))
      },
      shutdown: async () => {
        isOver = true
        await provider.shutdown()
        await filling
        ready.length = 0
        handedOut.clear()
      },
    },
  }
}
