import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { MultiverseError } from '../errors.ts'
import { writeJson } from './files.ts'
import { acquireLockWithin } from './lock.ts'

/** Marks a folder as a data folder, and says in which layout it is. */
export const MARKER = 'multiverse.json'

/** Brings a folder from the layout before it to this one. Must bear being done twice: it may be cut short. */
type Step = (dataDir: string) => Promise<void>

/** The steps between layouts: the first makes version 1 of a folder from before there were versions. */
const STEPS: readonly Step[] = [
  // 0 to 1: a folder that was only ever deployed into had no marker.
  async () => {},
  // 1 to 2: addresses follow from the code, so there is no deployment framework's journal any more.
  (dataDir) => rm(join(dataDir, 'ignition'), { recursive: true, force: true }),
]

/** The layout that this code writes and understands. */
export const DATA_VERSION = STEPS.length

const PATIENCE_MS = 10_000

const markerSchema = z.object({ version: z.int().positive() })

/**
 * Makes sure that a data folder is in this code's layout; an older one is upgraded step by step, one process at a time.
 * @throws DATA_TOO_NEW when a later version of this program wrote it, DATA_INVALID when its marker cannot be understood
 */
export async function upgradeDataFolder(dataDir: string): Promise<void> {
  if ((await readDataVersion(dataDir)) === DATA_VERSION) return
  const lock = await acquireLockWithin(join(dataDir, `${MARKER}.lock`), PATIENCE_MS)
  try {
    // Another process may have done it meanwhile.
    for (let version = await readDataVersion(dataDir); version < DATA_VERSION; version++) {
      await STEPS[version]!(dataDir)
      await writeJson(join(dataDir, MARKER), { version: version + 1 })
    }
  } finally {
    await lock.release()
  }
}

/** The layout a folder is in; 0 for one without a marker. @throws DATA_TOO_NEW, DATA_INVALID */
export async function readDataVersion(dataDir: string): Promise<number> {
  const path = join(dataDir, MARKER)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
    throw error
  }
  const version = versionIn(text)
  if (version === undefined)
    throw new MultiverseError('DATA_INVALID', `${path} does not say which version the folder has`)
  if (version > DATA_VERSION)
    throw new MultiverseError(
      'DATA_TOO_NEW',
      `${dataDir} has version ${version}, this program understands up to ${DATA_VERSION}: use the newer program`,
    )
  return version
}

function versionIn(text: string): number | undefined {
  try {
    return markerSchema.safeParse(JSON.parse(text)).data?.version
  } catch {
    return undefined
  }
}
