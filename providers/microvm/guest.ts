import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { hash } from 'node:crypto'
import { run, locate } from '../host/commands.ts'
import { cacheDir as cacheOf, hashJson, makeFolder, prune, touch } from '../host/files.ts'
import type { GuestFiles } from './engine.ts'

/** A guest that was built from packages. `id` stands for all that is in it. */
export type Guest = { id: string; files: GuestFiles }

const BUILDER = fileURLToPath(new URL('../../scripts/microvm-guest.sh', import.meta.url))
const OWN = fileURLToPath(new URL('guest/', import.meta.url))

/** Downloads included. */
const BUILD_MS = 600_000

/** `$XDG_CACHE_HOME/multiverse/microvm`: what is made once and used by every provider on the machine. */
export function defaultCacheDir(): string {
  return cacheOf('microvm')
}

/** The guest in `cacheDir`; built from Debian's packages when there is none of this version of the project, in about 10 s. */
export async function openGuest(
  cacheDir: string,
  note: (text: string) => void = () => {},
): Promise<Guest> {
  const own = await hashOwn()
  const folder = join(cacheDir, 'guests', own.slice(0, 32))
  if (!(await exists(join(folder, 'packages')))) {
    const begun = performance.now()
    note('building the guest from Debian packages')
    await makeFolder(folder, async (unfinished) => {
      await run('bash', [BUILDER, unfinished], { tells: 'last', timeoutMs: BUILD_MS })
    })
    note(`built the guest in ${Math.round(performance.now() - begun)} ms`)
    await prune(dirname(folder))
  }
  await touch(folder)
  const packages = await readFile(join(folder, 'packages'), 'utf8')
  const file = (name: string) => join(folder, name)
  return {
    id: hashJson([own, packages]),
    files: {
      kernel: file('kernel'),
      initrd: file('initrd'),
      root: file('root.ext4'),
      home: file('home.ext4'),
    },
  }
}

/** Whether this version's guest is in `cacheDir`. */
export async function findGuest(cacheDir: string): Promise<boolean> {
  return exists(join(cacheDir, 'guests', (await hashOwn()).slice(0, 32), 'packages'))
}

/** Programs that building a guest needs and this machine does not have. */
export async function missingTools(): Promise<string[]> {
  const tools = ['bash', 'apt-get', 'apt-cache', 'dpkg-deb', 'cpio']
  const found = await Promise.all(tools.map(async (name) => (await locate(name)) !== null))
  return tools.filter((_, i) => !found[i])
}

/** The guest's kernel as a bare ELF file, which Firecracker boots. Unpacked when needed. */
export async function unpackKernel({ kernel }: GuestFiles): Promise<string> {
  const folder = `${kernel}.elf`
  if (!(await exists(folder)))
    await makeFolder(folder, async (unfinished) => {
      await run('bash', [BUILDER, 'vmlinux', kernel, join(unfinished, 'vmlinux')], {
        tells: 'last',
        timeoutMs: BUILD_MS,
      })
    })
  return join(folder, 'vmlinux')
}

/** Of all that this project puts into a guest, and of how it is put together. */
async function hashOwn(): Promise<string> {
  const names = (await readdir(OWN, { withFileTypes: true })).filter((entry) => entry.isFile())
  const paths = [BUILDER, ...names.map(({ name }) => join(OWN, name)).toSorted()]
  const hashes = await Promise.all(
    paths.map(async (path) => hash('sha256', await readFile(path), 'hex')),
  )
  return hashJson(hashes)
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
