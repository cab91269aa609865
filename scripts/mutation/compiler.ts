import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { artifacts } from 'hardhat'
import { bytesOf, type Node, type Range, sourceOf } from './ast.ts'
import { liftConstants } from './constants.ts'

/** A deployable contract of the project. */
export type Target = { source: string; name: string }

/** Compiled code in hex without 0x. */
export type Code = { creation: string; runtime: string }

/** An error of the compiler's analysis, and where in the changed source it found it. */
export type Problem = { message: string; source: string; range: Range }

type Input = { language: string; sources: Record<string, { content: string }>; settings: object }
type Output = {
  errors?: {
    severity: string
    message: string
    formattedMessage?: string
    sourceLocation?: { file: string; start: number; end: number }
  }[]
  sources?: Record<string, { ast: Node }>
  contracts?: Record<
    string,
    Record<string, { evm: { bytecode: { object: string }; deployedBytecode: { object: string } } }>
  >
}

/**
 * Compiles the project's contracts with the settings that ship, with one source changed. Private constants are functions in
 * what it shows and compiles. Sources are named by their path in the repository.
 */
export type Compiler = {
  /** The project's own sources. */
  files: readonly string[]
  /** Changes with any source and setting that contracts are compiled with. */
  hash: string
  text: (file: string) => string
  ast: (file: string) => Node
  /** The targets whose code a source is part of. */
  affected: (file: string, targets: readonly Target[]) => Target[]
  /** The errors of the analysis alone, which is fast. */
  problems: (file: string, text: string) => Problem[]
  /** Code by contract name. @throws Error when it does not compile. */
  build: (file: string, text: string, targets: readonly Target[]) => Map<string, Code>
}

/** Where Hardhat puts the project's own sources in the compiler's input. */
const PROJECT = 'project/'

/** Loads the compiler and the input with which Hardhat last built `targets`. */
export async function createCompiler(targets: readonly Target[]): Promise<Compiler> {
  const solc = createRequire(import.meta.url)('solc') as { compile: (input: string) => string }
  const { sources: shipped, ...rest } = await readInput(targets)

  const run = (sources: Input['sources'], outputSelection: object): Output =>
    JSON.parse(
      solc.compile(
        JSON.stringify({ ...rest, sources, settings: { ...rest.settings, outputSelection } }),
      ),
    ) as Output
  const asts = (sources: Input['sources']) => {
    const output = run(sources, { '*': { '': ['ast'] } })
    const failure = output.errors?.find(({ severity }) => severity === 'error')
    if (failure !== undefined) throw new Error(failure.formattedMessage ?? failure.message)
    return output.sources
  }

  const input = { sources: withoutConstants(shipped, asts(shipped)) }
  const sources = asts(input.sources)
  const replaced = (file: string, text: string) => ({
    ...input.sources,
    [PROJECT + file]: { content: sourceOf(text) },
  })

  const ast = (file: string) => {
    const found = sources?.[PROJECT + file]?.ast
    if (found === undefined) throw new Error(`${file} is no part of any contract`)
    return found
  }

  return {
    hash: createHash('sha256')
      .update(JSON.stringify([input.sources, rest.settings]))
      .digest('hex')
      .slice(0, 32),
    files: Object.keys(input.sources)
      .filter((source) => source.startsWith(PROJECT))
      .map((source) => source.slice(PROJECT.length))
      .toSorted(),
    ast,
    text: (file) => bytesOf(input.sources[PROJECT + file]!.content),
    affected: (file, all) =>
      all.filter(({ source }) => reaches(source, file, (each) => importsOf(ast(each)))),
    problems: (file, text) =>
      (run(replaced(file, text), { [PROJECT + file]: { '*': ['abi'] } }).errors ?? [])
        .filter(({ severity }) => severity === 'error')
        .map(({ message, sourceLocation: at }) => ({
          message,
          source: at?.file.slice(PROJECT.length) ?? '',
          range: { start: at?.start ?? -1, end: at?.end ?? -1 },
        })),
    build(file, text, wanted) {
      const selection: Record<string, Record<string, string[]>> = {}
      for (const { source, name } of wanted)
        selection[PROJECT + source] = {
          [name]: ['evm.bytecode.object', 'evm.deployedBytecode.object'],
        }
      const { contracts, errors } = run(replaced(file, text), selection)
      const failure = errors?.find(({ severity }) => severity === 'error')
      if (failure !== undefined) throw new Error(failure.formattedMessage ?? failure.message)
      return new Map(
        wanted.map(({ source, name }) => {
          const { evm } = contracts![PROJECT + source]![name]!
          return [name, { creation: evm.bytecode.object, runtime: evm.deployedBytecode.object }]
        }),
      )
    },
  }
}

/** One input with the sources of all targets; they share their settings. */
async function readInput(targets: readonly Target[]): Promise<Input> {
  let merged: Input | undefined
  for (const { source, name } of targets) {
    const id = await artifacts.getBuildInfoId(`${source}:${name}`)
    const path = id === undefined ? undefined : await artifacts.getBuildInfoPath(id)
    if (path === undefined) throw new Error(`${source}:${name} is not compiled: npm run compile`)
    const { input } = JSON.parse(await readFile(path, 'utf8')) as { input: Input }
    merged =
      merged === undefined ? input : { ...merged, sources: { ...merged.sources, ...input.sources } }
  }
  if (merged === undefined) throw new Error('no contracts to compile')
  // Hardhat may have compiled tests along with them, which need more sources than these.
  const own = Object.entries(merged.sources).filter(([key]) => !key.startsWith(`${PROJECT}test/`))
  return { ...merged, sources: Object.fromEntries(own) }
}

/** The project's own sources with their private constants as functions; see `liftConstants`. */
function withoutConstants(sources: Input['sources'], asts: Output['sources']): Input['sources'] {
  return Object.fromEntries(
    Object.entries(sources).map(([source, { content }]) => {
      const ast = source.startsWith(PROJECT) ? asts?.[source]?.ast : undefined
      if (ast === undefined) return [source, { content }]
      return [source, { content: sourceOf(liftConstants(ast, bytesOf(content))) }]
    }),
  )
}

/** The project's own sources that a source imports. */
function importsOf(ast: Node): string[] {
  return (ast['nodes'] as Node[])
    .filter(({ nodeType }) => nodeType === 'ImportDirective')
    .map((node) => String(node['absolutePath']))
    .filter((path) => path.startsWith(PROJECT))
    .map((path) => path.slice(PROJECT.length))
}

function reaches(from: string, to: string, next: (source: string) => string[]): boolean {
  const seen = new Set<string>()
  const queue = [from]
  for (let source = queue.pop(); source !== undefined; source = queue.pop()) {
    if (source === to) return true
    if (seen.has(source)) continue
    seen.add(source)
    queue.push(...next(source))
  }
  return false
}
