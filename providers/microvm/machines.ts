import { rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { MultiverseError } from '../../sdk/errors.ts'
import { hasCode, withRoom } from '../host/files.ts'
import { createGate } from '../host/gate.ts'
import type { Engine, Machine, Opened, Shell } from './engine.ts'
import type { Session } from '../host/session.ts'
import type { Image } from './store.ts'
import { readTemplate, type Template } from './template.ts'

/** An image for as long as someone needs it. */
export type Held = {
  image: Image
  /** Counts one more holder. */
  keep: () => Held
  /** Counts one holder less; with the last, its folder goes. */
  release: () => Promise<void>
}

/** Makes machines from images and images from machines, in a session's folder. */
export type Machines = {
  /**
   * @throws SNAPSHOT_CORRUPT when the image is for a template that is not here, PROVIDER_FAILED, the signal's reason
   */
  restore: (image: Image, signal?: AbortSignal) => Promise<Machine>
  /** Images a machine that stands still. */
  capture: (machine: Machine, about: Image['about']) => Promise<Held>
  /** Does what the machine's processors should be left to: none is made ready meanwhile. */
  busy: <result>(task: () => Promise<result>) => Promise<result>
  /** Ends a machine and removes its folder. */
  discard: (machine: Machine) => Promise<void>
  close: () => Promise<void>
}

export type MachinesOptions = {
  engine: Engine
  template: Template
  session: Session
  dataDir: string
  /** Processes kept ready for images to come. */
  spares: number
}

/** Between two runs of one caller there is less. */
const MOMENT_MS = 20

/** @param options.spares are started one at a time, when nothing else is being restored */
export function createMachines(options: MachinesOptions): Machines {
  const { engine, template, session, dataDir } = options
  const opened = new Map<string, Promise<Opened>>([
    [template.id, Promise.resolve(engine.open(template.folder))],
  ])
  const gate = createGate(availableParallelism() + 1)
  const spares: Shell[] = []
  let tasks = 0
  let isStopped = false
  let timer: NodeJS.Timeout | undefined
  let refilling: Promise<void> | null = null
  refill()

  const busy: Machines['busy'] = async (task) => {
    tasks++
    try {
      return await task()
    } finally {
      tasks--
      refill()
    }
  }

  return {
    busy,
    restore: (image, signal) =>
      busy(() =>
        gate(async () => {
          signal?.throwIfAborted()
          const shell = (await takeSpare(image)) ?? (await start(image))
          try {
            return await withRoom(shell.folder, () => shell.fill(image.folder))
          } catch (error) {
            await remove(shell)
            throw error
          }
        }),
      ),

    capture: async (machine, about) => {
      const folder = await session.makeFolder()
      try {
        await withRoom(folder, () => machine.capture(folder))
      } catch (error) {
        await rm(folder, { recursive: true, force: true })
        throw error
      }
      return hold({ folder, about })
    },

    discard: async (machine) => {
      await remove(machine)
    },

    close: async () => {
      isStopped = true
      clearTimeout(timer)
      await refilling
      await Promise.all(spares.splice(0).map(remove))
    },
  }

  async function takeSpare(image: Image): Promise<Shell | undefined> {
    if (image.about.template !== template.id) return undefined
    for (;;) {
      const spare = spares.shift()
      if (spare === undefined || !spare.hasEnded()) return spare
      await remove(spare)
    }
  }

  async function start(image: Image): Promise<Shell> {
    const { template } = image.about
    const maker = opened.get(template) ?? openOld(template)
    opened.set(template, maker)
    maker.catch(() => opened.delete(template))
    const { start } = await maker
    return withRoom(session.folder, async () => start(await session.makeFolder(), image.folder))
  }

  /** Snapshots of an earlier guest keep it alive in the data folder. */
  async function openOld(id: string): Promise<Opened> {
    const folder = join(dataDir, 'templates', id)
    const found = await readTemplate(folder).catch((error: unknown) => {
      if (!hasCode(error, 'ENOENT')) throw error
      return null
    })
    if (found?.id !== id || found.engine !== engine.name)
      throw new MultiverseError(
        'SNAPSHOT_CORRUPT',
        `template ${id}, which a snapshot belongs to, is ${found === null ? 'not here' : `of ${found.engine}`}`,
      )
    return engine.open(folder)
  }

  /** Makes one more process ready, when nothing else has been done for a moment. */
  function refill(): void {
    clearTimeout(timer)
    const isEnough = spares.length >= options.spares
    if (refilling !== null || isStopped || tasks > 0 || isEnough) return
    timer = setTimeout(() => {
      refilling = makeReady()
        // Without it everything works as well, only later; what is wrong is told when a machine is needed.
        .catch(() => void (isStopped = true))
        .finally(() => {
          refilling = null
          refill()
        })
    }, MOMENT_MS)
  }

  async function makeReady(): Promise<void> {
    const maker = await opened.get(template.id)
    const shell = await maker?.start(await session.makeFolder(), template.folder)
    if (shell !== undefined) spares.push(shell)
  }
}

async function remove({ end, folder }: Pick<Machine, 'end' | 'folder'>): Promise<void> {
  await end()
  await rm(folder, { recursive: true, force: true })
}

/** Holds an image whose folder is its own. */
export function hold(image: Image): Held {
  let holders = 1
  const held: Held = {
    image,
    keep: () => {
      holders++
      return held
    },
    release: async () => {
      holders--
      if (holders === 0) await rm(image.folder, { recursive: true, force: true })
    },
  }
  return held
}

/** Holds an image that stays where it is. */
export function holdForEver(image: Image): Held {
  const held: Held = { image, keep: () => held, release: async () => undefined }
  return held
}
