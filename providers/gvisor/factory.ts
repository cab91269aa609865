import { hash, randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { MultiverseError } from '../../sdk/errors.ts'
import { isMissing, moveUnlessTaken, withRoom } from '../host/files.ts'
import { createGate } from '../host/gate.ts'
import { engineName, type Engine } from './engine.ts'
import { openImage, sealImage, type Image, type ImageAbout } from './image.ts'
import { findRootFs, type RootFs } from './rootfs.ts'
import { startSandbox, type Sandbox } from './sandbox.ts'
import { worldSpec } from './spec.ts'

/** Makes containers of worlds from images, and images of them. */
export type SandboxFactory = {
  /** A world in which nothing has run and that has no seed yet. */
  bare: Image
  /** @throws UNKNOWN_SNAPSHOT when the image is for another engine or root file system, PROVIDER_FAILED */
  restore(image: Image, signal?: AbortSignal): Promise<Sandbox>
  /** Writes a container's state to a new folder. The container ends with it, also when that fails. */
  capture(sandbox: Sandbox, folder: string, root: ImageAbout['root']): Promise<Image>
}

export type FactoryOptions = {
  engine: Engine
  rootfs: RootFs
  cacheDir: string
  /** The session's own folder. */
  folder: string
}

const NO_ROOT: ImageAbout['root'] = `0x${'0'.repeat(64)}`

export async function createSandboxFactory(options: FactoryOptions): Promise<SandboxFactory> {
  const { engine, rootfs, cacheDir, folder } = options
  const state = join(folder, 'state')
  await withRoom(state, () => mkdir(state))
  const bundles = new Map<string, Promise<string>>()
  const gate = createGate(availableParallelism() + 1)

  const capture = async (sandbox: Sandbox, into: string, root: ImageAbout['root']) => {
    try {
      return await withRoom(into, async () => {
        await mkdir(into, { recursive: true, mode: 0o700 })
        const usedBytes = await sandbox.usedBytes()
        await sandbox.checkpoint(into)
        const about = { root, engine: engineName(engine), rootfs: rootfs.id, usedBytes }
        return sealImage(into, about)
      })
    } catch (error) {
      await sandbox.kill()
      await rm(into, { recursive: true, force: true })
      throw error
    }
  }

  return {
    bare: await openBare(),
    capture,
    restore: async ({ folder: image, about }, signal) => {
      if (about.engine !== engineName(engine))
        throw unusable(about, `is of ${about.engine}, and this is ${engineName(engine)}`)
      const bundle = await bundleOf(about)
      return gate(() => {
        signal?.throwIfAborted()
        return startSandbox({ engine, id: newId(), state, bundle, image })
      })
    },
  }

  /** Booted once for each engine and root file system, then kept: worlds begin as branches of it. */
  async function openBare(): Promise<Image> {
    const what = [engineName(engine), engine.platform, rootfs.path, worldSpec(rootfs.path)]
    const home = join(cacheDir, 'bare')
    const place = join(home, hash('sha256', JSON.stringify(what), 'hex').slice(0, 32))
    try {
      return await openImage(place)
    } catch (error) {
      // None yet, or not whole: made anew.
      if (!isMissing(error)) await rm(place, { recursive: true, force: true })
    }
    await mkdir(home, { recursive: true, mode: 0o755 })
    const work = await mkdtemp(join(home, '.making-'))
    try {
      const bundle = await bundleOf({ root: NO_ROOT, rootfs: rootfs.id })
      const sandbox = await startSandbox({ engine, id: newId(), state, bundle })
      await capture(sandbox, join(work, 'image'), NO_ROOT)
      await moveUnlessTaken(join(work, 'image'), place)
      return await openImage(place)
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  }

  function bundleOf(about: Pick<ImageAbout, 'root' | 'rootfs'>): Promise<string> {
    const known = bundles.get(about.rootfs) ?? makeBundle(about)
    bundles.set(about.rootfs, known)
    known.catch(() => bundles.delete(about.rootfs))
    return known
  }

  async function makeBundle(about: Pick<ImageAbout, 'root' | 'rootfs'>): Promise<string> {
    const found = about.rootfs === rootfs.id ? rootfs : await findRootFs(cacheDir, about.rootfs)
    if (found === null) throw unusable(about, `needs root file system ${about.rootfs}`)
    const bundle = join(folder, `bundle-${about.rootfs}`)
    await withRoom(bundle, async () => {
      await mkdir(bundle, { recursive: true })
      await writeFile(join(bundle, 'config.json'), JSON.stringify(worldSpec(found.path)))
    })
    return bundle
  }
}

/** Containers' names are one space for the whole machine. */
function newId(): string {
  return `mv${randomUUID().replaceAll('-', '').slice(0, 16)}`
}

function unusable({ root }: Pick<ImageAbout, 'root'>, why: string): MultiverseError {
  return new MultiverseError('UNKNOWN_SNAPSHOT', `no snapshot ${root} for this machine: it ${why}`)
}
