import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import { createGate } from '../host/gate.ts'
import type { Origin } from '../provider.ts'
import { type Anvil, startAnvil } from './anvil.ts'
import type { Image } from './image.ts'
import { createReaper } from './reaper.ts'

/** Anvil processes, each kept for one world. A world's truth is its image; a process only saves starting one. */
export type Machines = {
  /**
   * Does a task on an anvil that holds the image and nothing newer. Whatever ends a task early ends the anvil too: the
   * signal, or its own error.
   * @throws the signal's reason, PROVIDER_FAILED
   */
  use: <result>(
    from: Start,
    signal: AbortSignal,
    task: (anvil: Anvil) => Promise<result>,
  ) => Promise<result>
  /** Has an anvil ready for a world, when there is room for one more. */
  prepare: (from: Start, signal: AbortSignal) => Promise<void>
  /** Ends a world's anvil. */
  drop: (world: string) => Promise<void>
  close: () => Promise<void>
}

/** What a world's anvil is to hold: an image, or a new chain that starts from `origin`. */
export type Start = {
  world: string
  image: Image | null
  origin: Origin | null
  /** What one execution may hold. */
  memoryBytes: number
}

type Machine = {
  anvil: Anvil
  memoryBytes: number
  /** The image it holds and nothing newer; null when it has run since. */
  holds: Image | null
  isBusy: boolean
}

/** @param max as many processes live at a time */
export function createMachines(max: number): Machines {
  const reaper = createReaper()
  /** The least recently used first. */
  const machines = new Map<string, Machine>()
  let starting = 0
  const enter = createGate(max)

  return {
    use: (from, signal, task) =>
      enter(async () => {
        const machine = await ready(from, signal)
        const done = await guarded(from.world, machine, signal, () => task(machine.anvil))
        machine.holds = null
        machine.isBusy = false
        return done
      }),

    prepare: async (from, signal) => {
      if (machines.size + starting >= max) return
      await enter(async () => {
        if (machines.size + starting >= max) return
        const machine = await ready(from, signal)
        machine.isBusy = false
      })
    },

    drop: async (world) => {
      const machine = machines.get(world)
      if (machine !== undefined) await discard(world, machine)
    },

    close: async () => {
      await Promise.all([...machines].map(([world, machine]) => discard(world, machine)))
      await reaper.close()
    },
  }

  /** A busy machine that holds what is asked for. */
  async function ready(from: Start, signal: AbortSignal): Promise<Machine> {
    signal.throwIfAborted()
    const { world, image, memoryBytes } = from
    const present = machines.get(world)
    if (present !== undefined && present.memoryBytes === memoryBytes) {
      machines.delete(world)
      machines.set(world, present)
      present.isBusy = true
      const isReady = present.holds === image
      // A state is loaded beside what there is, and hashes of blocks that were made here would stay known.
      const ask = isReady
        ? () => present.anvil.rpc('eth_chainId')
        : () => present.anvil.rpc('anvil_reset', reset(from))
      if (await isDone(() => guarded(world, present, signal, ask), signal))
        return isReady ? present : load(present, from, signal)
    }
    if (present !== undefined) await discard(world, present)
    await makeRoom()
    starting++
    let anvil: Anvil
    try {
      const origin = originOf(from)
      anvil = await startAnvil({ memoryBytes, origin, reaper, signal })
    } finally {
      starting--
    }
    const machine: Machine = { anvil, memoryBytes, holds: null, isBusy: true }
    machines.set(world, machine)
    return load(machine, from, signal)
  }

  async function load(machine: Machine, from: Start, signal: AbortSignal): Promise<Machine> {
    const { world, image } = from
    if (image === null) return machine
    const state = `0x${image.state.toString('hex')}`
    await guarded(world, machine, signal, () => machine.anvil.rpc('anvil_loadState', [state]))
    machine.holds = image
    return machine
  }

  async function guarded<result>(
    world: string,
    machine: Machine,
    signal: AbortSignal,
    task: () => Promise<result>,
  ): Promise<result> {
    const kill = () => void machine.anvil.end()
    signal.addEventListener('abort', kill)
    try {
      signal.throwIfAborted()
      const done = await task()
      signal.throwIfAborted()
      return done
    } catch (error) {
      await discard(world, machine)
      signal.throwIfAborted()
      throw error
    } finally {
      signal.removeEventListener('abort', kill)
    }
  }

  async function makeRoom(): Promise<void> {
    while (machines.size + starting >= max) {
      const idle = [...machines].find(([, machine]) => !machine.isBusy)
      if (idle === undefined)
        throw new MultiverseError('PROVIDER_FAILED', 'no anvil is free, though one should be')
      await discard(...idle)
    }
  }

  async function discard(world: string, machine: Machine): Promise<void> {
    if (machines.get(world) === machine) machines.delete(world)
    await machine.anvil.end()
  }
}

/** Whether a process could still do it; one that is idle may have died unseen. */
async function isDone(task: () => Promise<unknown>, signal: AbortSignal): Promise<boolean> {
  try {
    await task()
    return true
  } catch (error) {
    if (signal.aborted || !isMultiverseError(error, 'PROVIDER_FAILED')) throw error
    return false
  }
}

function originOf({ image, origin }: Start): Origin | null {
  return image === null ? origin : image.origin
}

/** What `anvil_reset` takes: which chain to begin again with. */
function reset(from: Start): unknown[] {
  const origin = originOf(from)
  if (origin === null) return []
  return [{ forking: { jsonRpcUrl: origin.url, blockNumber: origin.blockNumber } }]
}
