import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { encodeImage, imageBytes, type Image } from './image.ts'

/** Snapshots as files: `<root>.snapshot`, content-addressed, whole or absent. */
export type SnapshotStore = {
  path: (root: string) => string
  /** Resolves when the snapshot is on the disk and would survive a power cut. */
  write: (image: Image) => Promise<void>
  /** Idempotent. */
  remove: (root: string) => Promise<void>
}

const UNFINISHED = /\.unfinished$/
/** An unfinished file this old was left behind by a crash, milliseconds. */
const ABANDONED_MS = 600_000

/** Opens a folder, making it when needed, and removes what a crash left unfinished in it. */
export async function openSnapshotStore(folder: string): Promise<SnapshotStore> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const name of await readdir(folder)) {
    if (!UNFINISHED.test(name)) continue
    const path = join(folder, name)
    const { mtimeMs } = await stat(path)
    if (Date.now() - mtimeMs > ABANDONED_MS) await rm(path, { force: true })
  }
  const pathOf = (root: string) => join(folder, `${root}.snapshot`)
  return {
    path: pathOf,
    write: async (image) => {
      const path = pathOf(image.root)
      const unfinished = `${path}.${randomUUID()}.unfinished`
      const file = await open(unfinished, 'wx', 0o600)
      try {
        const { bytesWritten } = await file.writev(encodeImage(image))
        if (bytesWritten !== imageBytes(image))
          throw new Error(`wrote ${bytesWritten} of ${imageBytes(image)} bytes to ${unfinished}`)
        await file.datasync()
      } catch (error) {
        await file.close()
        await rm(unfinished, { force: true })
        throw error
      }
      await file.close()
      await rename(unfinished, path)
      const directory = await open(folder)
      try {
        await directory.sync()
      } finally {
        await directory.close()
      }
    },
    remove: (root) => rm(pathOf(root), { force: true }),
  }
}
