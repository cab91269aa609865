import { GUEST_FOLDER } from './rootfs.ts'

/** Of the rights of root, what the first process of a world needs to look after the others. */
const RIGHTS = [
  'CAP_DAC_READ_SEARCH',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SYS_RESOURCE',
] as const

/** Each of a world's folders for files takes at most this much. */
const FILES_BYTES = 536_870_912

const NAMESPACES = ['pid', 'network', 'ipc', 'uts', 'mount'] as const

/** A container: an argument list and what of the host it sees, in the words of the OCI runtime specification. */
export type ContainerSpec = Readonly<Record<string, unknown>>

/** A world: the root file system, which it cannot write, and folders in memory, which are part of its state. */
export function worldSpec(root: string): ContainerSpec {
  return containerSpec({
    root,
    args: ['/usr/bin/python3', '-s', '-S', '-B', `${GUEST_FOLDER}/supervisor.py`],
    // Sets and dictionaries of equal content are to be walked in equal order in every world.
    env: ['PATH=/usr/bin:/usr/sbin', 'LANG=C.UTF-8', 'PYTHONHASHSEED=0'],
    mounts: [memory('/world'), memory('/tmp'), memory('/dev/shm')],
  })
}

/** A container with nothing in it but one program of the host's, which it runs. */
export function probeSpec(root: string, program: string, args: readonly string[]): ContainerSpec {
  return containerSpec({
    root,
    args: ['/program', ...args],
    env: [],
    mounts: [{ destination: '/program', type: 'bind', source: program, options: ['ro'] }],
  })
}

function containerSpec(what: {
  root: string
  args: readonly string[]
  env: readonly string[]
  mounts: readonly object[]
}): ContainerSpec {
  return {
    ociVersion: '1.0.0',
    hostname: 'world',
    root: { path: what.root, readonly: true },
    process: {
      user: { uid: 0, gid: 0 },
      cwd: '/',
      args: what.args,
      env: what.env,
      noNewPrivileges: true,
      capabilities: { bounding: RIGHTS, effective: RIGHTS, permitted: RIGHTS },
    },
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }, ...what.mounts],
    linux: { namespaces: NAMESPACES.map((type) => ({ type })) },
  }
}

function memory(destination: string): object {
  const options = ['nosuid', 'nodev', 'mode=1777', `size=${FILES_BYTES}`]
  return { destination, type: 'tmpfs', source: 'tmpfs', options }
}
