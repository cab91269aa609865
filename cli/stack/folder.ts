import { mkdir, readdir, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { MultiverseError } from '../../sdk/errors.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { acquireLock, type Lock, lockHolder } from '../../sdk/node/lock.ts'
import { MARKER, readDataVersion, upgradeDataFolder } from '../../sdk/node/version.ts'

const LOCK = 'lock'
/** Other folders of records that live beside the stack's and are never removed with it. */
const KEPT = ['networks']
/** What a layout of earlier versions had; upgrading removes it. */
const FORMER = ['ignition']

/**
 * Makes `dataDir` a data folder and locks it.
 * @throws NOT_A_DATA_FOLDER when other things are in it, LOCKED when a stack runs on it,
 * DATA_TOO_NEW, DATA_INVALID
 */
export async function openFolder(dataDir: string): Promise<Lock> {
  await mkdir(dataDir, { recursive: true })
  const entries = await readdir(dataDir)
  const foreign = entries.find((entry) => !isOurs(entry))
  if (!entries.includes(MARKER) && foreign !== undefined)
    throw new MultiverseError(
      'NOT_A_DATA_FOLDER',
      `${dataDir} holds ${foreign}: choose an empty folder with --data`,
    )
  const lock = await acquireLock(join(dataDir, LOCK))
  try {
    await upgradeDataFolder(dataDir)
  } catch (error) {
    await lock.release()
    throw error
  }
  return lock
}

/** What a path is to a stack, without touching it. */
export type FolderState =
  | { kind: 'missing' }
  | { kind: 'foreign'; entry: string }
  /** `version` is 0 before its first use; `holder` is the process that works on it, if one does. */
  | { kind: 'ours'; version: number; holder: number | null }

/** Looks at a data folder. @throws DATA_TOO_NEW, DATA_INVALID */
export async function inspectFolder(dataDir: string): Promise<FolderState> {
  let entries: string[]
  try {
    entries = await readdir(dataDir)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { kind: 'missing' }
    throw error
  }
  const foreign = entries.find((entry) => !isOurs(entry))
  if (!entries.includes(MARKER) && foreign !== undefined) return { kind: 'foreign', entry: foreign }
  const [version, holder] = await Promise.all([
    readDataVersion(dataDir),
    lockHolder(join(dataDir, LOCK)),
  ])
  return { kind: 'ours', version, holder }
}

/** Removes everything a stack ever put into its folder, and nothing else. */
export async function clearFolder(dataDir: string): Promise<void> {
  for (const path of stackPaths(dataDir)) await rm(path, { recursive: true, force: true })
}

/** Everything a stack puts into its data folder. */
function stackPaths(dataDir: string): string[] {
  const paths = dataPaths(dataDir)
  return [...Object.values(paths), `${paths.keeperSocket}.path`, scenarioPath(dataDir)]
}

/** Where the summary of the default scenario is kept once it has run. */
export function scenarioPath(dataDir: string): string {
  return join(dataDir, 'scenario.json')
}

function isOurs(entry: string): boolean {
  const names = stackPaths('').map((path) => basename(path))
  return [MARKER, LOCK, ...KEPT, ...FORMER, ...names].some(
    // Drafts and stale locks bear the name of what they stand for.
    (name) => entry === name || entry.startsWith(`${name}.`),
  )
}
