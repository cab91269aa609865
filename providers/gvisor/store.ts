import { randomUUID } from 'node:crypto'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isMultiverseError } from '../../sdk/errors.ts'
import { unknownSnapshot } from '../host/errors.ts'
import { isMissing, moveUnlessTaken, persist } from '../host/files.ts'
import { linkImage, openImage, syncImage, type Image } from './image.ts'

/** Snapshots by their ids, each whole or absent. They outlive the process. */
export type SnapshotStore = {
  /** Keeps an image under its state root, unless there is one of an equal state that serves as well. */
  put: (image: Image) => Promise<void>
  /**
   * A snapshot whose files are what they were when it was put; one that is not is removed, so that it can be put again.
   * @throws UNKNOWN_SNAPSHOT, SNAPSHOT_CORRUPT
   */
  get: (id: string) => Promise<Image>
  /** Idempotent. */
  remove: (id: string) => Promise<void>
}

/** Snapshots in `folder`; `scratch` is a folder on the same file system for what is not finished. */
export async function openSnapshotStore(folder: string, scratch: string): Promise<SnapshotStore> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const remove = async (id: string) => {
    if (!isRoot(id)) return
    const gone = join(scratch, randomUUID())
    try {
      await rename(join(folder, id), gone)
    } catch (error) {
      if (isMissing(error)) return
      throw error
    }
    await rm(gone, { recursive: true })
  }
  const holds = async ({ about }: Image) => {
    try {
      const kept = await openImage(join(folder, about.root))
      return kept.about.engine === about.engine && kept.about.rootfs === about.rootfs
    } catch (error) {
      if (isMissing(error) || isMultiverseError(error, 'SNAPSHOT_CORRUPT')) return false
      throw error
    }
  }
  return {
    put: async (image) => {
      const { root } = image.about
      if (await holds(image)) return
      const unfinished = join(scratch, randomUUID())
      try {
        await syncImage(await linkImage(image, unfinished))
        await remove(root)
        // Another process may have put an equal state just now.
        await moveUnlessTaken(unfinished, join(folder, root))
      } finally {
        await rm(unfinished, { recursive: true, force: true })
      }
      await persist([folder])
    },
    get: async (id) => {
      if (!isRoot(id)) throw unknownSnapshot(id)
      try {
        return await openImage(join(folder, id))
      } catch (error) {
        if (isMissing(error)) throw unknownSnapshot(id)
        if (isMultiverseError(error, 'SNAPSHOT_CORRUPT')) await remove(id)
        throw error
      }
    },
    remove,
  }
}

function isRoot(id: string): boolean {
  return /^0x[0-9a-f]{64}$/.test(id)
}
