import { rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { MultiverseError } from '../../sdk/errors.ts'
import { createGate } from '../gvisor/calls.ts'
import type { Engine, Machine, Opened, Shell } from './engine.ts'
import { hasCode } from './files.ts'
import type { Session } from './session.ts'
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

/** @param options.spares are started one at a time, when nothing else is being restored */
export function createMachines(options: MachinesOptions): Machines {
  const { engine, template, session, dataDir } = options
  const opened = new Map<string, Promise<Opened>>([
    [template.id, Promise.resolve(engine.open(template.folder))],
  ])
  const gate = createGate(availableParallelism() + 1)
  const spares: Shell[] = []
  let restoring = 0
  let isStopped = false
  let refilling: Promise<void> | null = null
  refill()

  return {
    restore: async (image, signal) => {
      restoring++
      try {
        return await gate(async () => {
          signal?.throwIfAborted()
          const shell = (isCurrent(image) ? spares.shift() : undefined) ?? (await start(image))
          try {
            return await shell.fill(image.folder)
          } catch (error) {
            await remove(shell)
            throw error
          }
        })
      } finally {
        restoring--
        refill()
      }
    },

    capture: async (machine, about) => {
      const folder = await session.makeFolder()
      try {
        await machine.capture(folder)
      } catch (error) {
        await rm(folder, { recursive: true, force: true })
        if (!hasCode(error, 'ENOSPC', 'EDQUOT')) throw error
        const text = `no room for an image in ${session.folder}`
        throw new MultiverseError('PROVIDER_FAILED', text, { cause: error, isRetryable: true })
      }
      return hold({ folder, about })
    },

    discard: async (machine) => {
      await remove(machine)
    },

    close: async () => {
      isStopped = true
      await refilling
      await Promise.all(spares.splice(0).map(remove))
    },
  }

  function isCurrent(image: Image): boolean {
    return image.about.template === template.id
  }

  async function start(image: Image): Promise<Shell> {
    const { template } = image.about
    const maker = opened.get(template) ?? openOld(template)
    opened.set(template, maker)
    maker.catch(() => opened.delete(template))
    return (await maker).start(await session.makeFolder(), image.folder)
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

  function refill(): void {
    if (refilling !== null || isStopped || restoring > 0 || spares.length >= options.spares) return
    const making = async () => {
      const maker = await opened.get(template.id)
      const shell = await maker?.start(await session.makeFolder(), template.folder)
      if (shell !== undefined) spares.push(shell)
    }
    refilling = making()
      // Without spares everything works as well, only later; what is wrong is told when a machine is needed.
      .catch(() => void (isStopped = true))
      .finally(() => {
        refilling = null
        refill()
      })
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
