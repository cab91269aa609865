import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { buildRootFs, defaultCacheDir, openRootFs } from '../providers/gvisor/rootfs.ts'
import { isMultiverseError } from '../sdk/errors.ts'

// Builds the root file system of gVisor worlds from Debian's packages, unless there is one: `--rebuild` takes the newest
// packages. The provider does the same when it starts; this is to do it ahead of time, and to see what is in it.

const isForced = process.argv.includes('--rebuild')
try {
  const cacheDir = defaultCacheDir()
  const { id, path } = await (isForced ? buildRootFs(cacheDir) : openRootFs(cacheDir))
  const manifest = JSON.parse(await readFile(join(dirname(path), 'manifest.json'), 'utf8')) as {
    packages: { file: string }[]
  }
  for (const { file } of manifest.packages) console.log(decodeURIComponent(file))
  console.log(`root file system ${id} of ${manifest.packages.length} packages is at ${path}`)
} catch (error) {
  if (!isMultiverseError(error)) throw error
  console.error(`error ${error.code}: ${error.message}`)
  process.exitCode = 1
}
