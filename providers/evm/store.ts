import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { MultiverseError } from '../../sdk/errors.ts'
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

const UNFINISHED = /\.evm\..*\.unfinished$/
/** An unfinished file this old was left behind by a crash, milliseconds. */
const ABANDONED_MS = 600_000

/** Opens a folder, making it when needed, and removes what a crash left unfinished in it. */
export async function openStore(folder: string): Promise<Store> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const name of await readdir(folder)) {
    if (!UNFINISHED.test(name)) continue
    const path = join(folder, name)
    const { mtimeMs } = await stat(path)
    if (Date.now() - mtimeMs > ABANDONED_MS) await rm(path, { force: true })
  }
  const pathOf = (id: string) => join(folder, `${id}.evm`)
  return {
    put: async (image) => {
      const bytes = encodeImage(image)
      const path = pathOf(image.id)
      const unfinished = `${path}.${randomUUID()}.unfinished`
      try {
        const file = await open(unfinished, 'wx', 0o600)
        try {
          await file.writeFile(bytes)
          await file.datasync()
        } finally {
          await file.close()
        }
        await rename(unfinished, path)
      } catch (error) {
        await rm(unfinished, { force: true })
        throw error
      }
      return bytes.length
    },
    get: async (id) => {
      const unknown = () => new MultiverseError('UNKNOWN_SNAPSHOT', `no snapshot ${id}`)
      if (!isId(id)) throw unknown()
      let file: Buffer
      try {
        file = await readFile(pathOf(id))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw unknown()
        throw error
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
