import { readdir, readFile } from 'node:fs/promises'

/** What processes used, in seconds of all cores and MiB at most. */
export type Usage = { cpuS: number; peakMiB: number }

/** Ticks of the kernel's clock in a second: 100 wherever Linux runs. */
const TICKS = 100

/** CPU time of a process and its children that live, and the most memory the process itself ever had. Linux only. */
export async function usageOf(pid: number): Promise<Usage> {
  const [own, peakMiB] = await Promise.all([cpuOf(pid), peakOf(pid)])
  const below = await Promise.all((await childrenOf(pid)).map((child) => usageOf(child)))
  return {
    cpuS: own + below.reduce((sum, { cpuS }) => sum + cpuS, 0),
    peakMiB: Math.max(peakMiB, ...below.map((each) => each.peakMiB)),
  }
}

async function cpuOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS
}

async function peakOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1_024
}

async function childrenOf(pid: number): Promise<number[]> {
  const found: number[] = []
  for (const task of await readdir(`/proc/${pid}/task`)) {
    const text = await readFile(`/proc/${pid}/task/${task}/children`, 'utf8').catch(() => '')
    found.push(
      ...text
        .split(' ')
        .filter((each) => each !== '')
        .map(Number),
    )
  }
  return found
}
