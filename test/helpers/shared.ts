import { access, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { acquireLockWithin } from '../../sdk/node/lock.ts'

// What the test files of a run share, each being a process of its own.

/** The variable that names the folder for it. Benchmarks, which are no run of tests, have none. */
export const SHARED_FOLDER = 'MULTIVERSE_TESTS_SHARED'
/** Far longer than anything shared takes to make, on a machine that does much else. */
const PATIENCE_MS = 120_000

/** The folder itself, which goes with the run; undefined in a benchmark. */
export const sharedFolder = (): string | undefined => process.env[SHARED_FOLDER]

/** The folder where Node keeps what it compiled for the processes that tests start, so that each does not compile it anew. */
export function compiledCode(): string {
  const shared = sharedFolder()
  if (shared === undefined) throw new Error(`no ${SHARED_FOLDER}: this is no run of tests`)
  return join(shared, 'compiled')
}

/**
 * The path of something that is made once in a run, by the first file that asks for it; `otherwise` is the folder for it where
 * nothing is shared. What `make` leaves at the path it is given must not be changed by anybody later.
 * @throws LOCKED when whoever makes it does not come to an end
 */
export async function madeOnce(
  name: string,
  otherwise: string,
  make: (path: string) => Promise<void>,
): Promise<string> {
  const path = join(sharedFolder() ?? otherwise, name)
  const isThere = () =>
    access(path).then(
      () => true,
      () => false,
    )
  if (await isThere()) return path
  const lock = await acquireLockWithin(`${path}.lock`, PATIENCE_MS)
  try {
    if (await isThere()) return path
    const unfinished = `${path}.unfinished`
    await rm(unfinished, { recursive: true, force: true })
    await make(unfinished)
    await rename(unfinished, path)
    return path
  } finally {
    await lock.release()
  }
}
