import { hash } from 'node:crypto'
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { open, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MultiverseError } from '../../sdk/errors.ts'
import { run } from '../host/commands.ts'
import { cacheDir as cacheOf, missing, moveUnlessTaken } from '../host/files.ts'

/** A root file system that worlds share and none can write. Its id stands for all that is in it. */
export type RootFs = { id: string; path: string }

/** What is in a root file system: the packages' files with their hashes, and the hash of what this project adds. */
type Manifest = { packages: { file: string; sha256: string }[]; own: string }

const PACKAGES = ['python3-minimal', 'libpython3-stdlib', 'dash', 'coreutils', 'busybox']

/** What busybox does in worlds, beside the core utilities. */
const APPLETS = (
  'awk bc bunzip2 bzip2 clear cmp cpio dc diff ed egrep fgrep find free fuser getopt grep gunzip gzip hexdump hostname ' +
  'kill killall less lsof more patch pgrep pidof pkill ps pwdx reset sed setsid strings tar time top tree unzip uptime ' +
  'usleep vi watch which xargs xxd xz zcat'
).split(' ')

/** Left out when a package is unpacked. */
const EXCLUDED = [
  './usr/share/*',
  './etc/*',
  './var/*',
  './usr/lib/python3*/test',
  './usr/lib/python3*/pydoc_data',
]

const GUEST = fileURLToPath(new URL('guest/', import.meta.url))
/** Where the guest's own programs stand in a world. */
export const GUEST_FOLDER = '/usr/lib/multiverse'

const USERS = 'root:x:0:0:root:/:/bin/sh\nworld:x:1000:1000:world:/world:/bin/sh\n'
const GROUPS = 'root:x:0:\nworld:x:1000:\n'

/** Raised when the way a root file system is put together changes. */
const RECIPE = 1

/** `$XDG_CACHE_HOME/multiverse/gvisor`: what is made once and used by every provider on the machine. */
export function defaultCacheDir(): string {
  return cacheOf('gvisor')
}

/** The root file system in `cacheDir`; built when there is none that fits this version of the project. */
export async function openRootFs(cacheDir: string): Promise<RootFs> {
  const own = await hashOwn()
  const id = await readFile(currentPath(cacheDir, own), 'utf8').catch(missing)
  if (id !== null) {
    const found = await findRootFs(cacheDir, id)
    if (found !== null) return found
  }
  return buildRootFs(cacheDir)
}

/** A root file system by its id; null when it is not there. */
export async function findRootFs(cacheDir: string, id: string): Promise<RootFs | null> {
  const folder = join(cacheDir, 'rootfs', id)
  const manifest = await readFile(join(folder, 'manifest.json')).catch(missing)
  return manifest === null ? null : { id, path: join(folder, 'root') }
}

/**
 * Downloads Debian's packages with apt and unpacks them: seconds, and no rights are needed. From then on it is the one that
 * new worlds use; those before it stay for the snapshots that were made on them.
 * @throws PROVIDER_FAILED when a tool is missing or a package cannot be had
 */
export async function buildRootFs(cacheDir: string): Promise<RootFs> {
  const home = join(cacheDir, 'rootfs')
  await mkdir(home, { recursive: true, mode: 0o755 })
  const work = await mkdtemp(join(home, '.building-'))
  try {
    await chmod(work, 0o755)
    const files = await download(work)
    const root = join(work, 'root')
    await unpack(files, root)
    await furnish(root)
    const packages = await Promise.all(
      files.map(async (path) => ({
        file: path.slice(path.lastIndexOf('/') + 1),
        sha256: hash('sha256', await readFile(path), 'hex'),
      })),
    )
    const own = await hashOwn()
    const manifest = JSON.stringify({ packages, own } satisfies Manifest, null, 2)
    const id = hash('sha256', manifest, 'hex').slice(0, 32)
    await rm(join(work, 'archives'), { recursive: true })
    await rm(join(work, 'lists'), { recursive: true, force: true })
    await writeFile(join(work, 'manifest.json'), `${manifest}\n`)
    await moveUnlessTaken(work, join(home, id))
    const pointer = `${currentPath(cacheDir, own)}.${process.pid}`
    await writeFile(pointer, id)
    await rename(pointer, currentPath(cacheDir, own))
    return { id, path: join(home, id, 'root') }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** Fetches the packages and all that they need, as if nothing were installed, and gives their paths in order. */
async function download(work: string): Promise<string[]> {
  const archives = join(work, 'archives')
  await mkdir(join(archives, 'partial'), { recursive: true })
  const settings = [
    'Dir::State::status=/dev/null',
    `Dir::Cache::archives=${archives}`,
    'Dir::Cache::pkgcache=',
    'Dir::Cache::srcpkgcache=',
    'Debug::NoLocking=1',
    'APT::Sandbox::User=',
    'APT::Install-Recommends=0',
    'Acquire::Retries=3',
  ]
  const install = (more: string[]) =>
    run('apt-get', [
      ...[...settings, ...more].flatMap((setting) => ['-o', setting]),
      '-qq',
      '-y',
      '--download-only',
      'install',
      ...PACKAGES,
    ])
  try {
    await install([])
  } catch {
    // The machine's own package lists may be missing or too old: fetched anew, beside them.
    const lists = join(work, 'lists')
    await mkdir(join(lists, 'partial'), { recursive: true })
    const own = [`Dir::State::lists=${lists}`]
    await run('apt-get', [
      ...[...settings, ...own].flatMap((each) => ['-o', each]),
      '-qq',
      'update',
    ])
    await install(own)
  }
  const names = (await readdir(archives)).filter((name) => name.endsWith('.deb')).toSorted()
  if (names.length === 0)
    throw new MultiverseError(
      'PROVIDER_FAILED',
      `apt-get gave no package of ${PACKAGES.join(', ')}`,
    )
  return names.map((name) => join(archives, name))
}

async function unpack(files: readonly string[], root: string): Promise<void> {
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    await mkdir(join(root, 'usr', name), { recursive: true })
    await symlink(`usr/${name}`, join(root, name))
  }
  const exclude = EXCLUDED.map((pattern) => `--exclude=${pattern}`)
  const tar = ['-x', '-C', root, '--keep-directory-symlink', '--no-same-owner', ...exclude]
  const content = `${root}.tar`
  for (const file of files) {
    const output = await open(content, 'w')
    try {
      await run('dpkg-deb', ['--fsys-tarfile', file], { output: output.fd })
    } finally {
      await output.close()
    }
    await run('tar', [...tar, '-f', content])
  }
  await rm(content)
}

/** Adds what a world needs beside packages. */
async function furnish(root: string): Promise<void> {
  for (const name of ['dev', 'etc', 'proc', 'run', 'sys', 'tmp', 'world'])
    await mkdir(join(root, name), { recursive: true })
  await writeFile(join(root, 'etc/passwd'), USERS)
  await writeFile(join(root, 'etc/group'), GROUPS)
  const programs = new Set(await readdir(join(root, 'usr/bin')))
  if (!programs.has('sh')) await symlink('dash', join(root, 'usr/bin/sh'))
  for (const applet of APPLETS)
    if (!programs.has(applet)) await symlink('busybox', join(root, 'usr/bin', applet))
  const guest = join(root, GUEST_FOLDER)
  await mkdir(guest, { recursive: true })
  for (const name of await guestFiles()) await copyFile(join(GUEST, name), join(guest, name))
  await compilePython(root)
}

/** Python's library is compiled here, once: worlds cannot write it. The new system's own Python does it. */
async function compilePython(root: string): Promise<void> {
  const usr = join(root, 'usr')
  const folders = await readdir(join(usr, 'lib'))
  const libraries = folders.find((name) => name.endsWith('-linux-gnu'))
  const python = folders.find((name) => /^python3\.\d+$/.test(name))
  if (libraries === undefined || python === undefined)
    throw new MultiverseError('PROVIDER_FAILED', `no Python was unpacked into ${root}`)
  const names = await readdir(join(usr, 'lib', libraries))
  const loader = names.find((name) => /^ld-linux.*\.so\.\d+$/.test(name)) ?? 'ld.so'
  const compile = ['-I', '-S', '-m', 'compileall', '-q', '-s', root, '-p', '/']
  await run(
    join(usr, 'lib', libraries, loader),
    [
      '--library-path',
      join(usr, 'lib', libraries),
      join(usr, 'bin', python),
      ...compile,
      '--invalidation-mode=unchecked-hash',
      join(usr, 'lib', python),
      join(root, GUEST_FOLDER),
    ],
    { env: { PYTHONHOME: usr } },
  )
}

/** Hash of what decides a root file system beside the packages' versions. */
async function hashOwn(): Promise<string> {
  const sources = await Promise.all(
    (await guestFiles()).map(async (name) => [name, await readFile(join(GUEST, name), 'utf8')]),
  )
  const parts = [RECIPE, process.arch, PACKAGES, APPLETS, EXCLUDED, USERS, GROUPS, sources]
  return hash('sha256', JSON.stringify(parts), 'hex').slice(0, 32)
}

async function guestFiles(): Promise<string[]> {
  return (await readdir(GUEST)).filter((name) => name.endsWith('.py')).toSorted()
}

function currentPath(cacheDir: string, own: string): string {
  return join(cacheDir, 'rootfs', `current-${own}`)
}
