import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { MultiverseError } from '../../sdk/errors.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { acquireLock, type Lock } from '../../sdk/node/lock.ts'

/** Marks a folder as a data folder, and says in which layout. */
const MARKER = 'multiverse.json'
const LOCK = 'lock'
/** Other folders of records that live beside the stack's and are never removed with it. */
const KEPT = ['networks']

/**
 * Makes `dataDir` a data folder and locks it.
 * @throws NOT_A_DATA_FOLDER when other things are in it, LOCKED when a stack runs on it
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
  await writeFile(join(dataDir, MARKER), `${JSON.stringify({ version: 1 })}\n`)
  return lock
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
  return [MARKER, LOCK, ...KEPT, ...names].some(
    // Drafts and stale locks bear the name of what they stand for.
    (name) => entry === name || entry.startsWith(`${name}.`),
  )
}
