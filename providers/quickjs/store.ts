import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { openFolder, writeWhole } from '../host/files.ts'
import { encodeImage, type Image } from './image.ts'

/** Snapshots as files: `<root>.snapshot`, content-addressed, whole or absent. */
export type SnapshotStore = {
  path: (root: string) => string
  /** Resolves when the snapshot is on the disk and would survive a power cut. */
  write: (image: Image) => Promise<void>
  /** Idempotent. */
  remove: (root: string) => Promise<void>
}

/** Opens a folder, making it when needed, and removes what a crash left unfinished in it. */
export async function openSnapshotStore(folder: string): Promise<SnapshotStore> {
  await openFolder(folder)
  const path = (root: string) => join(folder, `${root}.snapshot`)
  return {
    path,
    write: (image) => writeWhole(path(image.root), encodeImage(image)),
    remove: (root) => rm(path(root), { force: true }),
  }
}
