import { mkdtemp, readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { dataPaths } from './data.ts'

/** A longer path cannot be bound as a socket on every system. */
const MAX_BYTES = 100

/** Names the socket when it is somewhere else, because the data folder's path is too long. */
const pointerPath = (dataDir: string) => `${dataPaths(dataDir).keeperSocket}.path`

/** Where the keeper of a data folder listens, or would. */
export async function keeperSocketPath(dataDir: string): Promise<string> {
  return (await readPointer(dataDir)) ?? resolve(dataPaths(dataDir).keeperSocket)
}

/**
 * The path for the keeper of a data folder to listen at, free of what an earlier one left. A path too long to be bound is
 * replaced by one in a private folder among the temporary files, where {@link keeperSocketPath} finds it. To be called
 * under the keeper's lock; `release` removes what was made.
 */
export async function claimKeeperSocket(
  dataDir: string,
): Promise<{ path: string; release: () => Promise<void> }> {
  const release = async () => {
    const earlier = await readPointer(dataDir)
    if (earlier !== null) await removeSocket(earlier)
    await rm(pointerPath(dataDir), { force: true })
    await rm(dataPaths(dataDir).keeperSocket, { force: true })
  }
  await release()
  const path = resolve(dataPaths(dataDir).keeperSocket)
  if (Buffer.byteLength(path) <= MAX_BYTES) return { path, release }
  const short = join(await mkdtemp(join(tmpdir(), 'multiverse-')), 'keeper.sock')
  await writeFile(pointerPath(dataDir), short, { mode: 0o600 })
  return { path: short, release }
}

/** Removes a socket among the temporary files with its folder, and nothing else. */
async function removeSocket(path: string): Promise<void> {
  try {
    await rm(path, { force: true })
    await rmdir(dirname(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

async function readPointer(dataDir: string): Promise<string | null> {
  try {
    return (await readFile(pointerPath(dataDir), 'utf8')).trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
