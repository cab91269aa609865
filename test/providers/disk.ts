import { execFile } from 'node:child_process'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { hasCode } from '../../providers/host/files.ts'

const run = promisify(execFile)

/** Only root can make file systems. */
export const canMakeDisks = process.getuid?.() === 0

/** A file system of its own that can be full. */
export type Disk = {
  folder: string
  fill: () => Promise<void>
  /** Takes away what filled it. */
  empty: () => Promise<void>
  remove: () => Promise<void>
}

/** Makes a disk in memory of so many MiB. */
export async function makeDisk(mib: number): Promise<Disk> {
  const folder = await mkdtemp(join(tmpdir(), 'disk-'))
  await run('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', folder])
  const ballast = join(folder, 'ballast')
  return {
    folder,
    fill: async () => {
      const file = await open(ballast, 'w')
      const chunk = Buffer.alloc(65_536, 1)
      try {
        for (;;) await file.write(chunk)
      } catch (error) {
        if (!hasCode(error, 'ENOSPC')) throw error
      } finally {
        await file.close()
      }
    },
    empty: () => rm(ballast),
    remove: async () => {
      await run('umount', [folder])
      await rm(folder, { recursive: true })
    },
  }
}

/** Changes one bit in the middle. */
export function flipByte(content: Buffer): Buffer {
  const at = content.length >> 1
  content[at] = (content[at] ?? 0) ^ 1
  return content
}

export function cutShort(content: Buffer): Buffer {
  return content.subarray(0, -1)
}
