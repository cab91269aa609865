import { readdir, readFile, readlink } from 'node:fs/promises'

/** Memory of some processes, bytes: resident, with shared pages shared out, and what is no one else's. */
export type Memory = { processes: number; rss: number; pss: number; own: number }

/** What this process's worlds take: itself, what it has started, and what works in their folder. */
export async function memoryOf(dataDir: string): Promise<Memory> {
  const parents = new Map<string, string>()
  const found = new Set([String(process.pid)])
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    // A process may end while it is looked at.
    const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
    parents.set(pid, text.slice(text.lastIndexOf(')') + 2).split(' ')[1] ?? '')
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    const place = await readlink(`/proc/${pid}/cwd`).catch(() => '')
    if (command.includes(dataDir) || place.startsWith(dataDir)) found.add(pid)
  }
  const belongs = (pid: string | undefined): boolean =>
    pid !== undefined && (found.has(pid) || belongs(parents.get(pid)))
  const sum: Memory = { processes: 0, rss: 0, pss: 0, own: 0 }
  for (const pid of [...parents.keys()].filter(belongs)) {
    const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '')
    const field = (name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0) * 1_024
    sum.processes++
    sum.rss += field('Rss')
    sum.pss += field('Pss')
    sum.own += field('Private_Clean') + field('Private_Dirty')
  }
  return sum
}
