import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { config, tasks } from 'hardhat'
import { type Code, type Compiler, createCompiler } from './compiler.ts'
import { handwrittenOf } from './handwritten.ts'
import { describe, type Mutant, mutantKey, mutantsOf } from './mutants.ts'
import { tryAll } from './pool.ts'
import { findTargets, isMutated } from './project.ts'
import { judge, openResults, readSurvivors, type Results, type Tried } from './results.ts'
import { sample } from './sample.ts'
import { createSuites, type Suites } from './suites.ts'
import type { Batch, Shared } from './worker.ts'

// `npm run test:mutation`: changes the contracts in every mechanical way, one at a time, and sees whether the Solidity tests
// notice. See docs/testing.md.

/** Mutants that one compilation serves. More make code that takes longer to compile than it saves. */
const BATCH = 150

const { values } = parseArgs({
  options: {
    /** Only mutants of this source; may be said more than once. */
    file: { type: 'string', multiple: true },
    /** Only so many mutants, chosen by --seed. */
    sample: { type: 'string' },
    seed: { type: 'string', default: '1' },
    workers: { type: 'string', default: String(availableParallelism()) },
    /** Only list the mutants. */
    list: { type: 'boolean', default: false },
  },
})

type Keyed = { key: string; mutant: Mutant }

function mutantsOfFiles(compiler: Compiler, chosen: readonly string[]): Keyed[] {
  return chosen.flatMap((file) => {
    const text = compiler.text(file)
    const all = [...handwrittenOf(file, text), ...mutantsOf(file, compiler.ast(file), text)]
    return all.map((mutant) => ({ key: mutantKey(text, mutant), mutant }))
  })
}

/** What all batches need: the unchanged contracts' code, and which suites deploy each. */
async function prepare(
  compiler: Compiler,
  suites: Suites,
  folders: { outcomes: string; compiled: string },
): Promise<Shared> {
  const originals = await kept(join(folders.compiled, 'originals.json'), () => {
    const [first] = files as [string]
    return Object.fromEntries(compiler.build(first, compiler.text(first), targets))
  })
  const users = await kept(join(folders.outcomes, 'suites.json'), () => usersOf(suites, originals))
  return { targets, originals, suites: users }
}

/** What `make` gives, or gave in an earlier run. */
async function kept<T>(file: string, make: () => T | Promise<T>): Promise<T> {
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text !== undefined) return JSON.parse(text) as T
  const made = await make()
  await writeFile(file, JSON.stringify(made))
  return made
}

/** The suites that deploy each contract, the quickest first: those that fail when it cannot be deployed. */
async function usersOf(
  suites: Suites,
  originals: Record<string, Code>,
): Promise<Record<string, string[]>> {
  const durations = new Map<string, number>()
  for (const suite of suites.names) {
    const from = performance.now()
    const failed = await suites.run(suite, new Map(Object.entries(originals)))
    durations.set(suite, performance.now() - from)
    if (failed !== undefined) throw new Error(`${suite}: ${failed} fails without any mutant`)
  }
  const users: Record<string, string[]> = {}
  for (const { name } of targets) {
    const broken = new Map([[name, { creation: 'fe', runtime: 'fe' }]])
    const using: string[] = []
    for (const suite of suites.names)
      if ((await suites.run(suite, broken)) !== undefined) using.push(suite)
    users[name] = using.toSorted((a, b) => durations.get(a)! - durations.get(b)!)
  }
  return users
}

/** Mutants that can be woven in batches of one file each; the others alone. */
function batchesOf(keyed: readonly Keyed[], compiler: Compiler, folder: string): Batch[] {
  const batches: Batch[] = []
  const add = (mutants: Keyed[]) => {
    const { file } = mutants[0]!.mutant
    const id = createHash('sha256').update(JSON.stringify(mutants)).digest('hex').slice(0, 32)
    batches.push({ id, file, mutants, targets: compiler.affected(file, targets), folder, skip: [] })
  }
  for (const file of files) {
    const own = keyed.filter(({ mutant }) => mutant.file === file)
    const woven = own.filter(({ mutant }) => mutant.place.kind !== 'file')
    for (let index = 0; index < woven.length; index += BATCH) add(woven.slice(index, index + BATCH))
    for (const each of own) if (each.mutant.place.kind === 'file') add([each])
  }
  // The many that are quick before the few that are not, so that a run that is stopped has seen most.
  return batches.toSorted(
    (a, b) => Math.sign(b.mutants.length - 1) - Math.sign(a.mutants.length - 1),
  )
}

function triedOf(keyed: readonly Keyed[], compiler: Compiler, results: Results): Tried[] {
  return keyed.map(({ key, mutant }) => ({
    key,
    file: mutant.file,
    context: mutant.context,
    operator: mutant.operator,
    ...describe(compiler.text(mutant.file), mutant),
    outcome: results.get(key)!,
  }))
}

const say = (text: string) => {
  console.log(text)
}

await tasks.getTask('build').run({ quiet: true })
const targets = await findTargets()
const compiler = await createCompiler(targets)
const files = compiler.files.filter(isMutated)
const chosen = values.file ?? files
const unknown = chosen.find((file) => !files.includes(file))
if (unknown !== undefined) throw new Error(`${unknown} is not mutated: ${files.join(', ')}`)
const all = mutantsOfFiles(compiler, chosen)
const keyed =
  values.sample === undefined ? all : sample(all, Number(values.sample), Number(values.seed))

if (values.list) {
  for (const { mutant } of keyed) {
    const { line, before, after } = describe(compiler.text(mutant.file), mutant)
    say(`${mutant.file}:${line} ${mutant.operator}: ${before} -> ${after}`)
  }
} else {
  const suites = await createSuites()
  const folder = join(config.paths.cache, 'mutation')
  const folders = {
    outcomes: join(folder, suites.hash),
    compiled: join(folder, 'compiled', compiler.hash),
  }
  for (const each of Object.values(folders)) await mkdir(each, { recursive: true })
  const results = await openResults(join(folders.outcomes, 'results.jsonl'))
  const open = keyed.filter(({ key }) => results.get(key) === undefined)
  say(`${keyed.length} mutants, ${keyed.length - open.length} of them tried before`)

  const from = performance.now()
  if (open.length > 0) {
    const shared = await prepare(compiler, suites, folders)
    let count = 0
    await tryAll(
      batchesOf(open, compiler, folders.compiled),
      shared,
      Number(values.workers),
      (key, outcome) => {
        void results.put(key, outcome)
        count += 1
        if (count % 50 === 0 || count === open.length) {
          const seconds = Math.round((performance.now() - from) / 1000)
          say(`${count} of ${open.length} tried in ${seconds} s`)
        }
      },
    )
  }

  const tried = triedOf(keyed, compiler, results)
  const isWhole = values.file === undefined && values.sample === undefined
  const { counts, rate, unexplained, stale, ok } = judge(tried, await readSurvivors(), isWhole)
  for (const { file, line, context, operator, before, after } of unexplained)
    say(`SURVIVED ${file}:${line} in ${context}, ${operator}:\n  - ${before}\n  + ${after}`)
  for (const { file, context, before, after } of stale)
    say(`NOT A SURVIVOR ${file} in ${context}:\n  - ${before}\n  + ${after}`)
  say(
    `${counts.killed} killed, ${counts.timeout} killed by time, ${counts.survived} survived, ` +
      `${counts.equivalent} same code, ${counts.invalid} do not compile; ${(rate * 100).toFixed(2)} % killed`,
  )
  process.exitCode = ok ? 0 : 1
}
