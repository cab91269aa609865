import { readdir, readFile } from 'node:fs/promises'
import { figure, type Row } from '../harness.ts'

/** Milliseconds of processor time, by what used it. */
export type Used = Record<Part, number>

const PARTS = {
  keeper: 'keeper: its main thread, with the books in it',
  runtime: 'keeper: compilers, collectors and files',
  worlds: 'worlds: branches and runs',
  verifier: 'verifier: every lane once more',
  anvil: 'anvil: users, answers and reports',
  load: 'the load: users and answers',
} as const
type Part = keyof typeof PARTS

/** Of a tick of the kernel's clock, milliseconds. */
const TICK_MS = 10

/** What a keeper, what it started, a chain and this process have used so far. Only Linux tells. */
export async function used(keeper: number, anvil: number): Promise<Used> {
  const own = process.cpuUsage()
  const sums: Used = {
    keeper: 0,
    runtime: 0,
    worlds: 0,
    verifier: 0,
    anvil: await ofProcess(anvil),
    load: (own.user + own.system) / 1_000,
  }
  for (const thread of await readdir(`/proc/${keeper}/task`)) {
    const { name, ms } = await stat(`/proc/${keeper}/task/${thread}/stat`)
    if (Number(thread) === keeper) sums.keeper += ms
    else if (name === 'quickjs') sums.worlds += ms
    else sums.runtime += ms
  }
  const children = await readFile(`/proc/${keeper}/task/${keeper}/children`, 'utf8')
  for (const child of children.split(' ').filter(Boolean))
    sums.verifier += await ofProcess(Number(child))
  return sums
}

/** What each part used between two moments, for each of so many partitions. */
export function perPartition(before: Used, after: Used, partitions: number): Row[] {
  const parts = Object.keys(PARTS) as Part[]
  const spent = parts.map((part) => ({ part, ms: (after[part] - before[part]) / partitions }))
  const rows = spent.map(({ part, ms }) => figure(`processor time, ${PARTS[part]}`, ms, 'ms each'))
  const all = spent.reduce((sum, { ms }) => sum + ms, 0)
  return [...rows, figure('processor time, all of it', all, 'ms each')]
}

async function ofProcess(pid: number): Promise<number> {
  return (await stat(`/proc/${pid}/stat`)).ms
}

/** A process's or a thread's name and processor time; nothing of one that has ended. */
async function stat(path: string): Promise<{ name: string; ms: number }> {
  const text = await readFile(path, 'utf8').catch(() => '')
  const open = text.indexOf('(')
  const close = text.lastIndexOf(')')
  // From the third field on; the time in user mode and in the kernel are the 14th and 15th.
  const fields = text.slice(close + 2).split(' ')
  return {
    name: text.slice(open + 1, close),
    ms: (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * TICK_MS,
  }
}
