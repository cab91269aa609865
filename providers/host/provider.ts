import { randomUUID } from 'node:crypto'
import { MultiverseError } from '../../sdk/errors.ts'
import type { Instance, ProviderConfig, WorldRuntimeProvider } from '../provider.ts'
import { createCalls } from './calls.ts'
import { createFunctions } from './functions.ts'
import type { OpenEngine, World, WorldEngine } from './engine.ts'
import { invalid, notInitialised, unknownInstance } from './errors.ts'
import { checkLimits, withinLimits, withinRates } from './limits.ts'
import { relay } from './output.ts'

const MAX_CODE_BYTES = 4_194_304

/**
 * A provider of worlds that an engine runs. The host keeps who lives, whose turn it is, what was made under which key, who
 * may call, and what is under way; the engine knows of one world at a time.
 *
 * A run either succeeds and moves the world's state, or rejects and leaves the world as it was. Snapshots outlive the
 * process, worlds do not. A key is remembered within the process while every instance made under it lives; after that it
 * makes new ones.
 */
export function createHostedProvider<state, image>(
  engine: WorldEngine<state, image>,
): WorldRuntimeProvider {
  const { id, name, capabilities } = engine
  type Opened = Awaited<ReturnType<typeof open>>
  const worlds = new Map<string, World<state>>()
  const calls = createCalls(id)
  const functions = createFunctions(id, engine.functions ?? {}, calls.links)
  /** What was made under the keys of snapshots, by id. */
  const snapshotKeys = new Map<string, string>()
  /** Worlds on their way out. */
  const endings = new Set<Promise<void>>()
  /** From init to shutdown. */
  let opening: Promise<Opened> | null = null
  let opened: Opened | null = null

  return {
    id,
    name,
    trit: 1,

    init: async (config) => {
      if (opening !== null) throw invalid(`${id} is initialised already`)
      const mine = open(config)
      opening = mine
      try {
        const done = await mine
        if (opening === mine) opened = done
      } catch (error) {
        if (opening === mine) opening = null
        throw error
      }
    },

    shutdown: async () => {
      if (opening === null) return
      const closing = opening
      opening = null
      opened = null
      calls.cut(null, notInitialised(id))
      const [done] = await Promise.allSettled([closing])
      if (done.status === 'fulfilled') {
        const { running } = done.value
        await running.halt?.(notInitialised(id))
        await calls.settled()
        for (const world of worlds.values()) void end(world, notInitialised(id), running)
        const ended = await Promise.allSettled(endings)
        endings.clear()
        await running.close()
        calls.clear()
        snapshotKeys.clear()
        const failed = ended.find((ending) => ending.status === 'rejected')
        if (failed !== undefined) throw failed.reason
      }
      calls.clear()
    },

    receiveLinkConfig: async (link) => {
      ready()
      functions.accept(link)
      const isOfOneWorld = isInstance(link.source)
      if (isOfOneWorld) known(link.source)
      // Worlds end with their process, and with them what was linked to one of them alone.
      calls.links.put(link, !isOfOneWorld)
    },

    deleteLink: async (link) => {
      ready()
      calls.withdraw(link)
    },

    create: async (request) => {
      ready()
      const { seed, key, component, origin = null } = request
      if (origin !== null && capabilities.origin !== true)
        throw new MultiverseError('UNSUPPORTED', `${id} worlds start from no chain`)
      if (seed < 0n || seed >= 2n ** 64n)
        throw invalid(`seed ${seed} is not an unsigned 64-bit number`)
      const what = `create ${seed}${origin === null ? '' : ` at ${origin.blockHash}`}`
      const instances = await calls.perform('create', null, request, (signal) =>
        calls.underKey(key, what, () =>
          make({ count: 1, snapshotId: null, key, component, signal }, (world) =>
            ready().running.create(world, { seed, origin }, signal),
          ),
        ),
      )
      const [instance] = instances
      if (instance === undefined) throw new Error('create made no instance')
      return instance
    },

    snapshot: async (instanceId, request = {}) => {
      const begun = performance.now()
      known(instanceId)
      const { key } = request
      return calls.perform('snapshot', instanceId, request, (signal) =>
        calls.underKey(key, `snapshot of ${instanceId}`, () =>
          inTurn(instanceId, signal, async (world) => {
            const snapshot = await ready().running.snapshot(world, signal)
            if (key !== undefined) snapshotKeys.set(key, snapshot.id)
            return { ...snapshot, tookMs: performance.now() - begun }
          }),
        ),
      )
    },

    forget: async (snapshotId, request = {}) => {
      const { running } = ready()
      for (const [key, of] of snapshotKeys) if (of === snapshotId) letGo(key)
      await calls.perform('forget', null, request, () => running.forget(snapshotId))
    },

    branch: async (snapshotId, count, request = {}) => {
      ready()
      if (!Number.isInteger(count) || count < 0 || count > engine.maxBranches)
        throw invalid(`count ${count} is not an integer from 0 to ${engine.maxBranches}`)
      const key = count === 0 ? undefined : request.key
      const { component } = request
      return calls.perform('branch', null, request, (signal) =>
        calls.underKey(key, `branch ${count} of ${snapshotId}`, async () => {
          const { lend, restore } = ready().running
          return lend(snapshotId, signal, (image) =>
            make({ count, snapshotId, key, component, signal }, (world) =>
              restore(world, image, signal),
            ),
          )
        }),
      )
    },

    execute: async (instanceId, code, request = {}) => {
      const limits = withinLimits(request, ready().limits)
      const rates = withinRates(request, ready().rates, { id, held: capabilities.rates ?? [] })
      const length = Buffer.byteLength(code)
      if (length > MAX_CODE_BYTES)
        throw invalid(`code has ${length} bytes, at most ${MAX_CODE_BYTES}`)
      engine.accept?.(code)
      known(instanceId)
      return calls.perform('execute', instanceId, request, (signal) =>
        inTurn(instanceId, signal, async (world) => {
          const { onOutput, finish } = relay(request.onOutput, signal)
          const isHeard = request.onOutput !== undefined
          const { answers } = request
          const { component } = world
          const { running } = ready()
          const { result, calls: made } = await functions.during(
            { instanceId, component },
            { answers, signal },
            (call, either) =>
              running.execute(
                world,
                { code, ...limits, ...rates, onOutput, isHeard, call },
                either,
              ),
          )
          return { ...finish(result), ...(made.length > 0 ? { calls: made } : {}) }
        }),
      )
    },

    merge: async (instanceIds, { winner }, request = {}) => {
      ready()
      if (!instanceIds.includes(winner))
        throw new MultiverseError('UNKNOWN_INSTANCE', `winner ${winner} is none of the instances`)
      const { instance } = known(winner)
      const losers = instanceIds.filter((each) => each !== winner)
      await calls.perform('merge', null, request, () => Promise.all(losers.map(destroy)))
      return instance
    },

    destroy: async (instanceId, request = {}) => {
      ready()
      await calls.perform('destroy', null, request, () => destroy(instanceId))
    },

    capabilities: () => {
      const isolation = opened?.running.isolation ?? capabilities.isolation
      const names = Object.keys(engine.functions ?? {})
      return { ...capabilities, isolation, ...(names.length > 0 ? { functions: names } : {}) }
    },

    list: async () => {
      ready()
      return [...worlds.values()].map((world) => world.instance)
    },
  }

  async function open({ dataDir, limits: given, rates: asked = {} }: ProviderConfig) {
    const limits = checkLimits({ ...engine.limits, ...given }, engine.maxMemoryBytes)
    const rates = withinRates({}, asked, { id, held: capabilities.rates ?? [] })
    calls.links.open(dataDir)
    try {
      const running: OpenEngine<state, image> = await engine.open({ dataDir, limits, lose })
      return { running, limits, rates }
    } catch (error) {
      calls.links.clear()
      throw error
    }
  }

  function ready(): Opened {
    if (opened === null) throw notInitialised(id)
    return opened
  }

  function known(instanceId: string): World<state> {
    ready()
    const world = worlds.get(instanceId)
    if (world === undefined) throw unknownInstance(instanceId)
    return world
  }

  /** Does a task on a world when those before it are done. */
  function inTurn<result>(
    instanceId: string,
    signal: AbortSignal,
    task: (world: World<state>) => Promise<result>,
  ): Promise<result> {
    const world = known(instanceId)
    const done = world.turn.then(() => {
      signal.throwIfAborted()
      if (world.isEnded) throw unknownInstance(instanceId)
      return task(world)
    })
    world.turn = done.catch(() => undefined)
    return done
  }

  /** Makes all of `count` worlds or none. */
  async function make(
    of: {
      count: number
      snapshotId: string | null
      key: string | undefined
      component: string | undefined
      signal: AbortSignal
    },
    give: (instanceId: string) => Promise<state>,
  ): Promise<Instance[]> {
    const { count, snapshotId, key, component, signal } = of
    const begun = performance.now()
    const { running } = ready()
    const births = Array.from({ length: count }, async (): Promise<World<state>> => {
      const instanceId = randomUUID()
      const state = await give(instanceId)
      const bootMs = performance.now() - begun
      const instance: Instance = { id: instanceId, providerId: id, snapshotId, bootMs }
      return { instance, state, key, component, turn: Promise.resolve(), isEnded: false }
    })
    const born = await Promise.allSettled(births)
    const failed = born.find((birth) => birth.status === 'rejected')
    const made = born.flatMap((birth) => (birth.status === 'fulfilled' ? [birth.value] : []))
    if (failed !== undefined || signal.aborted) {
      await Promise.all(made.map((world) => running.end(world)))
      throw signal.aborted ? signal.reason : failed?.reason
    }
    for (const world of made) worlds.set(world.instance.id, world)
    return made.map((world) => world.instance)
  }

  function letGo(key: string): void {
    snapshotKeys.delete(key)
    calls.release(key)
  }

  async function destroy(instanceId: string): Promise<void> {
    const world = worlds.get(instanceId)
    if (world !== undefined) await end(world, unknownInstance(instanceId), ready().running)
  }

  function lose(instanceId: string, reason: unknown): void {
    const world = worlds.get(instanceId)
    if (world !== undefined && opened !== null) void end(world, reason, opened.running)
  }

  /** Ends a world and the calls on it. Resolves when nothing of it is left. */
  function end(
    world: World<state>,
    reason: unknown,
    running: OpenEngine<state, image>,
  ): Promise<void> {
    world.isEnded = true
    worlds.delete(world.instance.id)
    calls.release(world.key)
    calls.cut(world.instance.id, reason)
    const ending = running.end(world).then(() => {
      for (const link of calls.links.functionsOf(world.instance.id)) calls.links.remove(link)
    })
    endings.add(ending)
    // One that fails stays, and is told by shutdown.
    ending.then(
      () => endings.delete(ending),
      () => undefined,
    )
    return ending
  }
}

/** Whether a link's source is one world, by the shape of its id. */
function isInstance(source: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(source)
}
