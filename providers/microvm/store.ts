import { hash } from 'node:crypto'
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Hex } from 'viem'
import { MultiverseError } from '../../sdk/errors.ts'
import { unknownSnapshot } from '../host/errors.ts'
import {
  hashFile,
  makeFolder,
  missing,
  openFolder,
  persist,
  share,
  withRoom,
} from '../host/files.ts'
import { IMAGE_FILES } from './engine.ts'
import type { Language } from './protocol.ts'

/** What an image is of, beside its files. */
export type About = {
  /** The template that it belongs to. */
  template: string
  /** Commits to all that the world has been asked, and has answered. */
  stateRoot: Hex
  /** Programs that have run. */
  runs: number
  /** What its interpreters' random sources are seeded with: 128 bits, as hex. */
  seed: string
  /** Those that have been, and the kernel's, which takes no seed but has been stirred. */
  sown: readonly (Language | 'kernel')[]
}

/** A world that stands still, as files. */
export type Image = { folder: string; about: About }

/** Snapshots in a folder: `<id>/`, content-addressed, whole or absent. */
export type SnapshotStore = {
  /** Keeps an image. Resolves when it would survive a power cut. */
  put: (image: Image) => Promise<{ id: Hex; bytes: number }>
  /**
   * Shares a snapshot's files into a new folder.
   * @throws UNKNOWN_SNAPSHOT, SNAPSHOT_CORRUPT naming the file
   */
  get: (id: string, folder: string) => Promise<Image>
  /** Idempotent. */
  remove: (id: string) => Promise<void>
  /** Templates that snapshots belong to. */
  templates: () => Promise<Set<string>>
}

type Manifest = About & { version: 1; files: Record<string, string> }

const MANIFEST = 'snapshot.json'
const ID = /^0x[0-9a-f]{64}$/

/** Opens a store in a folder, making it when needed, and removes what a crash left unfinished in it. */
export async function openSnapshotStore(home: string): Promise<SnapshotStore> {
  await openFolder(home)
  return {
    put: async ({ folder, about }) => {
      const files: Manifest['files'] = {}
      let bytes = 0
      for (const name of IMAGE_FILES) {
        files[name] = await hashFile(join(folder, name))
        bytes += (await stat(join(folder, name))).size
      }
      const { template, stateRoot, runs, seed, sown } = about
      const manifest: Manifest = { version: 1, template, stateRoot, runs, seed, sown, files }
      const text = JSON.stringify(manifest)
      const id = idOf(text)
      const path = join(home, id)
      // What is there may be no longer what it was.
      const told = await readFile(join(path, MANIFEST), 'utf8').catch(missing)
      if (told !== text || (await faultsOf(path, files)).length > 0)
        await rm(path, { recursive: true, force: true })
      await withRoom(path, () =>
        makeFolder(path, async (unfinished) => {
          for (const name of IMAGE_FILES) await share(join(folder, name), join(unfinished, name))
          await writeFile(join(unfinished, MANIFEST), text)
          const names = [...IMAGE_FILES, MANIFEST]
          await persist([...names.map((name) => join(unfinished, name)), unfinished])
        }),
      )
      await persist([home])
      return { id, bytes }
    },

    get: async (id, folder) => {
      const corrupt = (why: string) =>
        new MultiverseError('SNAPSHOT_CORRUPT', `snapshot ${id} is corrupt: ${why}`)
      if (!ID.test(id)) throw unknownSnapshot(id)
      const from = join(home, id)
      const text = await readFile(join(from, MANIFEST), 'utf8').catch(missing)
      if (text === null && (await stat(from).catch(missing)) === null) throw unknownSnapshot(id)
      if (text === null) throw corrupt(`${MANIFEST} is missing`)
      if (idOf(text) !== id) throw corrupt(`${MANIFEST} has hash ${idOf(text)}`)
      const { files, version: _, ...about } = JSON.parse(text) as Manifest
      // Shared before they are looked at: what has been checked cannot go away.
      for (const name of IMAGE_FILES)
        await share(join(from, name), join(folder, name)).catch(missing)
      const [fault] = await faultsOf(folder, files)
      if (fault !== undefined) throw corrupt(fault)
      return { folder, about }
    },

    remove: async (id) => {
      if (ID.test(id)) await rm(join(home, id), { recursive: true, force: true })
    },

    templates: async () => {
      const found = new Set<string>()
      for (const name of await readdir(home)) {
        const text = await readFile(join(home, name, MANIFEST), 'utf8').catch(() => null)
        // What cannot be read is told when it is asked for.
        const template = text === null ? null : /"template":"([0-9a-f]+)"/.exec(text)?.[1]
        if (template) found.add(template)
      }
      return found
    },
  }
}

function idOf(manifest: string): Hex {
  return `0x${hash('sha256', manifest, 'hex')}`
}

/** Says of each file that is missing or not what it should be. */
async function faultsOf(folder: string, files: Record<string, string>): Promise<string[]> {
  const faults = await Promise.all(
    IMAGE_FILES.map(async (name) => {
      const found = await hashFile(join(folder, name)).catch(missing)
      if (found === files[name]) return []
      return [
        found === null ? `${name} is missing` : `${name} has hash ${found}, not ${files[name]}`,
      ]
    }),
  )
  return faults.flat()
}
