import { appendFile, mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Outcome } from './worker.ts'

/** A mutant that lives because it changes nothing anybody could see, and why. `before` and `after` are the changed lines. */
export type Survivor = {
  file: string
  context: string
  operator: string
  before: string
  after: string
  reason: string
}

/** A mutant with what came of it, as the report needs it. */
export type Tried = Omit<Survivor, 'reason'> & { key: string; line: number; outcome: Outcome }

/** Outcomes by mutant, kept in a file as they come, so that a run that was stopped goes on where it was. */
export type Results = {
  get: (key: string) => Outcome | undefined
  put: (key: string, outcome: Outcome) => Promise<void>
}

/** @param file One JSON object a line; made when it is not there. */
export async function openResults(file: string): Promise<Results> {
  await mkdir(dirname(file), { recursive: true })
  const known = new Map<string, Outcome>()
  const text = await readFile(file, 'utf8').catch(() => '')
  // The last line may have been cut off by what stopped the run.
  if (text !== '' && !text.endsWith('\n')) await appendFile(file, '\n')
  for (const line of text.split('\n')) {
    if (!line.endsWith('}}')) continue
    const { key, outcome } = JSON.parse(line) as { key: string; outcome: Outcome }
    known.set(key, outcome)
  }
  return {
    get: (key) => known.get(key),
    async put(key, outcome) {
      known.set(key, outcome)
      await appendFile(file, `${JSON.stringify({ key, outcome })}\n`)
    },
  }
}

const survivorsFile = new URL('survivors.json', import.meta.url)

/** The committed list of survivors. */
export async function readSurvivors(): Promise<Survivor[]> {
  return JSON.parse(await readFile(fileURLToPath(survivorsFile), 'utf8')) as Survivor[]
}

export type Verdict = {
  counts: Record<Outcome['kind'], number>
  /** Killed of all that compile and differ. */
  rate: number
  /** Survivors that the committed list does not explain. */
  unexplained: Tried[]
  /** Explanations of mutants that no longer survive; only told by a whole run. */
  stale: Survivor[]
  ok: boolean
}

/** The share of mutants that a suite must kill, survivors with a reason not counted as killed. */
const REQUIRED_RATE = 0.97

/** Judges a run against the committed list of survivors. @param isWhole Every mutant was tried. */
export function judge(
  tried: readonly Tried[],
  survivors: readonly Survivor[],
  isWhole: boolean,
): Verdict {
  const counts = { killed: 0, timeout: 0, survived: 0, equivalent: 0, invalid: 0 }
  for (const { outcome } of tried) counts[outcome.kind] += 1
  const dead = counts.killed + counts.timeout
  const rate = dead + counts.survived === 0 ? 1 : dead / (dead + counts.survived)

  const name = ({ file, context, operator, before, after }: Omit<Survivor, 'reason'>) =>
    JSON.stringify([file, context, operator, before, after])
  const explained = new Set(survivors.map(name))
  const living = tried.filter(({ outcome }) => outcome.kind === 'survived')
  const names = new Set(living.map(name))
  const unexplained = living.filter((each) => !explained.has(name(each)))
  const stale = isWhole ? survivors.filter((each) => !names.has(name(each))) : []
  const ok = unexplained.length === 0 && stale.length === 0 && rate >= REQUIRED_RATE
  return { counts, rate, unexplained, stale, ok }
}
