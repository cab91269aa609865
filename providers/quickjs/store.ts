import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { link, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Hex } from 'viem'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import { unknownSnapshot } from '../host/errors.ts'
import {
  hasCode,
  isMissing,
  makeFolder,
  missing,
  openFolder,
  persist,
  share,
  withRoom,
} from '../host/files.ts'
import { decodeImage, encodeImage, type Image, segmentIds } from './image.ts'
import { readSegment, type Segment } from './segment.ts'

/**
 * Snapshots on the disk. A segment of pages is one file, `pages/<id>`; a snapshot is a folder, `snapshots/<root>`, with its
 * index and a hard link to each of its segments. So snapshots that share pages share files, the file system counts who needs
 * a segment, across processes too, and what nobody needs any more goes: nothing is kept in two places that a crash could
 * leave at odds.
 */
export type SnapshotStore = {
  /** Where a snapshot is, or would be. */
  folder: (root: string) => string
  /** Resolves when the snapshot is on the disk, whole, and would survive a power cut. */
  put: (image: Image) => Promise<void>
  /** Lets a snapshot go, and the segments that no other one needs. Idempotent. */
  remove: (root: string) => Promise<void>
}

const INDEX = 'index'
/** As many files are remembered as checked. */
const MAX_CHECKED = 8_192

/** Opens a store, making it when needed, and removes what a crash left in it. */
export async function openSnapshotStore(home: string): Promise<SnapshotStore> {
  const pages = join(home, 'pages')
  const snapshots = join(home, 'snapshots')
  for (const folder of [snapshots, pages]) await openFolder(folder)
  for (const id of await readdir(pages)) await collect(join(pages, id))
  /** Files that were written or checked here, and have not been written to since. */
  const checked = new Set<string>()
  const folder = (root: string) => join(snapshots, root)

  return {
    folder,

    put: (image) =>
      withRoom(home, async () => {
        const place = folder(image.root)
        if (await holds(image.root)) return
        // It may be there and not be what it was.
        await remove(image.root)
        await makeFolder(place, async (unfinished) => {
          const index = write(join(unfinished, INDEX), encodeImage(image))
          const segments = new Map(image.segments.map((segment) => [segment.id, segment]))
          await Promise.all([
            index,
            ...[...segments.values()].map((each) => give(each, unfinished)),
          ])
          await persist([unfinished])
        })
        await persist([snapshots])
      }),

    remove,
  }

  async function remove(root: string): Promise<void> {
    const gone = `${folder(root)}.${randomUUID()}.unfinished`
    try {
      await rename(folder(root), gone)
    } catch (error) {
      if (isMissing(error)) return
      throw error
    }
    const names = await readdir(gone)
    await rm(gone, { recursive: true, force: true })
    for (const name of names) if (name !== INDEX) await collect(join(pages, name))
  }

  /** Whether a snapshot is there and all that it should be. Its bytes are looked at unless they have been. */
  async function holds(root: Hex): Promise<boolean> {
    const place = folder(root)
    const index = await readFile(join(place, INDEX)).catch(missing)
    if (index === null) return false
    const names = [INDEX, ...(index.length < 8 ? [] : segmentIds(index))]
    const known = await Promise.all(names.map((name) => isChecked(join(place, name))))
    if (known.every(Boolean)) return true
    try {
      readSnapshot(place, root, decodeImage)
    } catch (error) {
      const isLost = isMultiverseError(error, 'UNKNOWN_SNAPSHOT')
      if (isLost || isMultiverseError(error, 'SNAPSHOT_CORRUPT')) return false
      throw error
    }
    for (const name of names) await check(join(place, name))
    return true
  }

  /** Puts a segment into a snapshot's folder: the file that there is of it, or else a new one. */
  async function give(segment: Segment, into: string): Promise<void> {
    const [kept, path] = [join(pages, segment.id), join(into, segment.id)]
    if (await isShared(kept, path)) {
      if ((await isChecked(path)) || isWhole(path, segment)) return check(path)
      await Promise.all([kept, path].map((each) => rm(each, { force: true })))
    }
    await write(path, [new Uint8Array(segment.bytes)])
    // Another process may have put an equal one just now, or links are not to be had: each keeps its own then.
    await link(path, kept).catch((error: unknown) => {
      if (!hasCode(error, 'EEXIST', 'EPERM')) throw error
    })
  }

  async function write(path: string, parts: readonly Uint8Array[]): Promise<void> {
    const file = await open(path, 'wx', 0o600)
    try {
      await file.writev(parts)
      await file.datasync()
    } finally {
      await file.close()
    }
    await check(path)
  }

  async function check(path: string): Promise<void> {
    if (checked.size >= MAX_CHECKED) checked.clear()
    checked.add(await stampOf(path))
  }

  async function isChecked(path: string): Promise<boolean> {
    const stamp = await stampOf(path).catch(missing)
    return stamp !== null && checked.has(stamp)
  }
}

/**
 * Reads the image in a snapshot's folder.
 * @param decode checks it, with a function that gives its segments
 * @throws UNKNOWN_SNAPSHOT, SNAPSHOT_CORRUPT naming the page, segment or index that is not what it should be
 */
export function readSnapshot(
  folder: string,
  root: Hex,
  decode: (index: Buffer, root: Hex, load: (id: string) => Segment) => Image,
): Image {
  let index: Buffer
  try {
    index = readFileSync(join(folder, INDEX))
  } catch (error) {
    throw isMissing(error) ? unknownSnapshot(root) : error
  }
  return decode(index, root, (id) => {
    try {
      return readSegment(id, readFileSync(join(folder, id)))
    } catch (error) {
      if (!isMissing(error) && !isMultiverseError(error, 'SNAPSHOT_CORRUPT')) throw error
      const why = isMissing(error) ? `segment ${id} is missing` : (error as Error).message
      const text = `snapshot ${root} is corrupt: ${why}`
      throw new MultiverseError('SNAPSHOT_CORRUPT', text, { cause: error })
    }
  })
}

/** Removes a segment that is in no snapshot's folder. A link to it that is made meanwhile holds what it is. */
async function collect(path: string): Promise<void> {
  const found = await stat(path).catch(missing)
  if (found !== null && found.nlink === 1) await rm(path, { force: true })
}

async function isShared(from: string, to: string): Promise<boolean> {
  try {
    await share(from, to)
    return true
  } catch (error) {
    return missing(error) !== null
  }
}

function isWhole(path: string, { id }: Segment): boolean {
  try {
    readSegment(id, readFileSync(path))
    return true
  } catch (error) {
    if (isMultiverseError(error, 'SNAPSHOT_CORRUPT')) return false
    throw error
  }
}

/** Another one when a file has been written to since. */
async function stampOf(path: string): Promise<string> {
  const { ino, size, mtimeMs } = await stat(path)
  return `${ino} ${size} ${mtimeMs}`
}
