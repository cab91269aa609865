import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { unknownSnapshot } from '../host/errors.ts'
import { isMissing, openFolder, withRoom, writeWhole } from '../host/files.ts'
import { decodeImage, encodeImage, type Image } from './image.ts'

/** Snapshots as files: `<id>.evm`, content-addressed, whole or absent. */
export type Store = {
  /** Resolves with the bytes written when the snapshot is on the disk. */
  put: (image: Image) => Promise<number>
  /** @throws UNKNOWN_SNAPSHOT, SNAPSHOT_CORRUPT */
  get: (id: string) => Promise<Image>
  /** Idempotent. */
  remove: (id: string) => Promise<void>
}

/** Opens a folder, making it when needed, and removes what a crash left unfinished in it. */
export async function openStore(folder: string): Promise<Store> {
  await openFolder(folder)
  const pathOf = (id: string) => join(folder, `${id}.evm`)
  return {
    put: async (image) => {
      const bytes = encodeImage(image)
      await withRoom(folder, () => writeWhole(pathOf(image.id), [bytes]))
      return bytes.length
    },
    get: async (id) => {
      if (!isId(id)) throw unknownSnapshot(id)
      let file: Buffer
      try {
        file = await readFile(pathOf(id))
      } catch (error) {
        throw isMissing(error) ? unknownSnapshot(id) : error
      }
      return decodeImage(file, id)
    },
    remove: async (id) => {
      if (isId(id)) await rm(pathOf(id), { force: true })
    },
  }
}

function isId(id: string): boolean {
  return /^0x[0-9a-f]{64}$/.test(id)
}
