import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Code, type Compiler, createCompiler, type Target } from './compiler.ts'
import { mutated, type Mutant } from './mutants.ts'
import { createSuites, type Suites } from './suites.ts'
import { awaken, weave } from './weave.ts'

/** Mutants of one file that are compiled together; each `key` names one. Those of place `file` come alone. */
export type Batch = {
  id: string
  file: string
  mutants: { key: string; mutant: Mutant }[]
  /** Contracts the file may be part of. */
  targets: Target[]
  /** Folder of what was compiled, so that a worker that had to be stopped need not compile again. */
  folder: string
  /** Keys whose outcome is known already. */
  skip: string[]
}

export type Outcome =
  | { kind: 'killed'; by: string }
  | { kind: 'timeout' }
  | { kind: 'invalid'; message: string }
  | { kind: 'equivalent' }
  | { kind: 'survived' }

/** What a worker says: that it begins with a mutant, what came of one, that it wants the next batch, that it gave up. */
export type Message =
  | { kind: 'begun'; key: string }
  | { kind: 'outcome'; key: string; outcome: Outcome }
  | { kind: 'idle' }
  | { kind: 'failed'; reason: string }

type Say = (message: Message) => void
type Kept = { codes: [string, Code][]; invalid: [string, string][] }

/** What all batches need. */
export type Shared = {
  targets: Target[]
  /** Each contract's code as the compiler gives it for the unchanged sources. */
  originals: Record<string, Code>
  /** Suites that deploy each contract, the quickest first. */
  suites: Record<string, string[]>
}

/** Tries every mutant of a batch and says what came of each. */
export async function tryBatch(
  batch: Batch,
  compiler: Compiler,
  suites: Suites,
  shared: Shared,
  say: Say,
): Promise<void> {
  const { codes, invalid } = await compileBatch(batch, compiler)
  const changed = codes.filter(([name, { runtime }]) => runtime !== shared.originals[name]?.runtime)
  const order = suitesOf(
    changed.map(([name]) => name),
    shared,
  )
  for (const [key, message] of invalid)
    say({ kind: 'outcome', key, outcome: { kind: 'invalid', message } })
  const isInvalid = new Set(invalid.map(([key]) => key))
  const text = compiler.text(batch.file)

  for (const [index, { key, mutant }] of batch.mutants.entries()) {
    if (isInvalid.has(key) || batch.skip.includes(key)) continue
    say({ kind: 'begun', key })
    const number = mutant.place.kind === 'file' ? 0 : index + 1
    const awake = new Map(
      changed.map(([name, { creation, runtime }]) => [
        name,
        { creation: awaken(creation, number), runtime: awaken(runtime, number) },
      ]),
    )
    const by = await firstFailure(suites, order, awake)
    if (by !== undefined) {
      say({ kind: 'outcome', key, outcome: { kind: 'killed', by } })
      continue
    }
    const own =
      mutant.place.kind === 'file'
        ? new Map(codes)
        : compiler.build(batch.file, mutated(text, mutant), batch.targets)
    const isSame = [...own].every(
      ([name, { runtime }]) => runtime === shared.originals[name]?.runtime,
    )
    say({ kind: 'outcome', key, outcome: { kind: isSame ? 'equivalent' : 'survived' } })
  }
}

/** The suites of several contracts, each once, the quickest of each first. */
function suitesOf(names: readonly string[], { suites }: Shared): string[] {
  const lists = names.map((name) => suites[name] ?? [])
  const longest = Math.max(0, ...lists.map(({ length }) => length))
  const merged = Array.from({ length: longest }, (_, index) => lists.map((list) => list[index]))
  return [...new Set(merged.flat().filter((suite) => suite !== undefined))]
}

async function firstFailure(
  suites: Suites,
  order: readonly string[],
  codes: ReadonlyMap<string, Code>,
): Promise<string | undefined> {
  for (const suite of order) {
    const test = await suites.run(suite, codes)
    if (test !== undefined) return `${suite.slice(suite.lastIndexOf(':') + 1)}.${test}`
  }
  return undefined
}

/** Compiles a batch's mutants into one code, leaving out those that do not compile. */
async function compileBatch(batch: Batch, compiler: Compiler): Promise<Kept> {
  const file = join(batch.folder, `${batch.id}.json`)
  const kept = await readFile(file, 'utf8').catch(() => undefined)
  if (kept !== undefined) return JSON.parse(kept) as Kept

  const [first] = batch.mutants
  const compiled =
    first !== undefined && first.mutant.place.kind === 'file'
      ? compileAlone(batch, first, compiler)
      : compileWoven(batch, compiler)
  await writeFile(file, JSON.stringify(compiled))
  return compiled
}

function compileAlone(
  { file, targets }: Batch,
  { key, mutant }: Batch['mutants'][number],
  compiler: Compiler,
): Kept {
  const text = mutated(compiler.text(file), mutant)
  const [problem] = compiler.problems(file, text)
  return problem === undefined
    ? { codes: [...compiler.build(file, text, targets)], invalid: [] }
    : { codes: [], invalid: [[key, problem.message]] }
}

/** Weaves, looks for errors, drops the mutants they stand in, and weaves again until there are none. */
function compileWoven({ file, mutants, targets }: Batch, compiler: Compiler): Kept {
  const text = compiler.text(file)
  const invalid = new Map<string, string>()
  for (;;) {
    const numbered = mutants
      .map(({ key, mutant }, index) => ({ key, mutant, number: index + 1 }))
      .filter(({ key }) => !invalid.has(key))
    const woven = weave(text, numbered)
    const problems = compiler.problems(file, woven.text)
    if (problems.length === 0) {
      const codes = numbered.length === 0 ? [] : [...compiler.build(file, woven.text, targets)]
      return { codes, invalid: [...invalid] }
    }
    const isBlamed = ({ number }: { number: number }) => {
      const { start, end } = woven.ranges.get(number)!
      return problems.some(
        ({ source, range }) => source === file && range.start >= start && range.end <= end,
      )
    }
    // An error may show in one mutant and come from another: whatever is dropped must fail alone too.
    const before = invalid.size
    const dropWhatFails = (suspects: typeof numbered) => {
      for (const { key, mutant } of suspects) {
        const [problem] = compiler.problems(file, mutated(text, mutant))
        if (problem !== undefined) invalid.set(key, problem.message)
      }
    }
    dropWhatFails(numbered.filter(isBlamed))
    if (invalid.size === before) dropWhatFails(numbered)
    if (invalid.size === before)
      throw new Error(`${file} does not compile with its mutants: ${problems[0]!.message}`)
  }
}

const say: Say = (message) => {
  if (process.connected) process.send?.(message)
}

/** Serves batches to the parent process until it disconnects. */
async function serve(): Promise<void> {
  process.once('disconnect', () => process.exit())
  let compiler: Compiler | undefined
  let suites: Suites | undefined
  process.on('message', (message: { batch: Batch; shared: Shared }) => {
    void (async () => {
      try {
        compiler ??= await createCompiler(message.shared.targets)
        suites ??= await createSuites()
        await tryBatch(message.batch, compiler, suites, message.shared, say)
        say({ kind: 'idle' })
      } catch (error) {
        say({
          kind: 'failed',
          reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
        })
      }
    })()
  })
  say({ kind: 'idle' })
}

if (import.meta.main) await serve()
