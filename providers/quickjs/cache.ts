import { imageBytes, type Image } from './image.ts'

/** The least recently used images go when they take more than this, bytes. */
const MAX_BYTES = 268_435_456

/** Images of snapshots in memory, by root. Their files are what counts. */
export type SnapshotCache = {
  get: (root: string) => Image | undefined
  put: (image: Image) => void
  remove: (root: string) => void
  clear: () => void
}

export function createSnapshotCache(): SnapshotCache {
  const images = new Map<string, Image>()
  let bytes = 0
  const remove = (root: string) => {
    const image = images.get(root)
    if (image === undefined) return
    images.delete(root)
    bytes -= imageBytes(image)
  }
  const put = (image: Image) => {
    remove(image.root)
    images.set(image.root, image)
    bytes += imageBytes(image)
    for (const oldest of images.keys()) {
      if (bytes <= MAX_BYTES || images.size === 1) break
      remove(oldest)
    }
  }
  return {
    get: (root) => {
      const image = images.get(root)
      if (image !== undefined) put(image)
      return image
    },
    put,
    remove,
    clear: () => {
      images.clear()
      bytes = 0
    },
  }
}
