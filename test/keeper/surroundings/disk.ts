import { execFileSync } from 'node:child_process'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hasCode } from '../../../providers/host/files.ts'

// A disk in memory that only one process and its children see, and that can be full: in a user namespace of its own, so that it
// takes no root. The test reaches into it through /proc.

const MOUNT =
  'mount -t tmpfs -o "size=$1m" tmpfs "$2" && cp -r "$3/." "$2/" && shift 3 && exec "$@"'

/** Whether this machine lets anybody make such disks. */
export const canMakePrivateDisks = (() => {
  try {
    execFileSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs tmpfs /mnt'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

export type PrivateDisk = {
  /** Where the process sees it. */
  folder: string
  /** The command that puts the process on it which is named after. */
  within: readonly string[]
  /** Takes all room but so many bytes. */
  fill: (pid: number) => Promise<void>
  empty: (pid: number) => Promise<void>
  remove: () => Promise<void>
}

/** A disk of so many MiB that begins with what is in `content`. It is gone with the process. */
export async function privateDisk(mib: number, content: string): Promise<PrivateDisk> {
  const folder = await mkdtemp(join(tmpdir(), 'keeper-disk-'))
  const ballast = (pid: number) => `/proc/${pid}/root${folder}/ballast`
  return {
    folder,
    within: ['unshare', '-rm', 'sh', '-c', MOUNT, 'sh', `${mib}`, folder, content],
    async fill(pid) {
      const file = await open(ballast(pid), 'a')
      const chunk = Buffer.alloc(4_096, 1)
      try {
        for (;;) await file.write(chunk)
      } catch (error) {
        if (!hasCode(error, 'ENOSPC')) throw error
      } finally {
        await file.close()
      }
    },
    empty: (pid) => rm(ballast(pid)),
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
