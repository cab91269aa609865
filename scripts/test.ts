import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { runChecks } from './check.ts'
import { failuresOf, type VitestReport } from './failures.ts'

// All of the project's tests in one run, closing with one line `N passed, N failed`. Arguments choose suites by name:
// `npm test -- contracts keeper`. `--deep` first takes the long runs instead: `npm run test:deep [-- NAME]`.

/** `failures`: what a reader of nothing but the last lines has to know, a text each. */
type Count = { passed: number; failed: number; failures?: string[] }
/** `optIn`: run only when named, and why; null when it is run like the others. */
type Suite = { name: string; run: () => Promise<Count>; optIn?: string | null }

const root = fileURLToPath(new URL('..', import.meta.url))

/** Set where the engines were installed for the tests (`.ci/run`): they are required then. */
const hasEngines = process.env['MULTIVERSE_REQUIRE_ENGINES'] === '1'

const everyday: Suite[] = [
  { name: 'check', run: () => runChecks(false) },
  { name: 'contracts', run: () => solidityTests([]) },
  {
    name: 'sdk',
    run: () =>
      vitest([
        'test/ledger',
        'test/sdk',
        'test/architecture.test.ts',
        'test/docs.test.ts',
        'test/scripts',
        'test/bench',
      ]),
  },
  {
    name: 'providers',
    run: () => vitest(['test/providers', '--exclude=test/providers/{gvisor,microvm}*']),
  },
  {
    name: 'engines',
    run: async () => {
      await (preparing ?? prepareEngines())
      return vitest(['test/providers/gvisor', 'test/providers/microvm', 'test/e2e/engines'])
    },
    optIn: hasEngines
      ? null
      : 'needs gVisor and QEMU: scripts/install-engines.sh, then npm test -- engines',
  },
  {
    name: 'keeper',
    // Its databases live for seconds: their code is not worth being compiled once more. Its many files share processes: what
    // they all import is made ready once for each.
    run: () => vitest(['test/keeper', '--no-isolate', '--execArgv=--liftoff-only']),
  },
  { name: 'indexer', run: () => vitest(['test/indexer', 'test/seeds.test.ts']) },
  {
    // In one run: some of them mostly wait, and others fill the time.
    name: 'e2e',
    run: () => vitest(['test/cli', 'test/deploy', 'test/e2e', '--exclude=test/e2e/engines*']),
  },
]

const stateful = [
  'test/contracts/invariant/Multiverse.invariant.t.sol',
  'test/contracts/oracles/OptimisticOracle.invariant.t.sol',
]

/** Proofs that take longer than a test run may; each is a longer run of an everyday suite's tests. */
const deep: Suite[] = [
  {
    name: 'invariants',
    run: () => solidityTests([...stateful, '--test-profile', 'deep']),
  },
  { name: 'coverage', run: coverage },
  {
    name: 'differential',
    run: () => vitest(['test/ledger/differential.test.ts'], { HISTORIES: '10000' }),
  },
  {
    name: 'keeper',
    run: () =>
      vitest(
        ['crash', 'forks', 'postgres', 'hostile'].map((name) => `test/keeper/${name}`),
        { DEEP: '1' },
      ),
  },
  {
    name: 'analytics',
    run: () =>
      vitest(['test/indexer/histories.test.ts', 'test/indexer/crash.test.ts'], {
        HISTORIES: '300',
        DEEP: '1',
      }),
  },
  {
    name: 'worlds',
    run: () =>
      vitest(
        [
          'test/providers/quickjs-leaks',
          'test/providers/gvisor',
          'test/providers/microvm',
          '--no-file-parallelism',
        ],
        { DEEP: '1' },
      ),
  },
]

/** Makes what the engines' worlds start from, which on a new machine takes a while, and tells how long it took. */
function prepareEngines(): Promise<unknown> {
  // What fails here fails in the tests that need it, by name.
  return run('node', ['scripts/engines.ts'])
}

/** Runs a command with its output passed on, and gives back its exit code and what it printed. */
function run(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ code: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString()
      process.stdout.write(chunk)
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code: code ?? 1, output }))
  })
}

/** Hardhat's Solidity tests: unit, fuzz and invariants. Its summary says "N passing" and "N failing". */
async function solidityTests(args: readonly string[]): Promise<Count> {
  const { code, output } = await run('hardhat', ['test', 'solidity', ...args])
  // oxlint-disable-next-line no-control-regex -- the summary may be coloured
  const plain = output.replaceAll(/\u001B\[[0-9;]*m/g, '')
  const count = (word: string) => Number(new RegExp(`(\\d+) ${word}`).exec(plain)?.[1] ?? 0)
  return settle(code, { passed: count('passing'), failed: count('failing') })
}

/** Every line and statement of the contracts is reached by a test. */
async function coverage(): Promise<Count> {
  const { code } = await run('node', ['scripts/coverage.ts'])
  return code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }
}

async function vitest(paths: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Count> {
  const folder = await mkdtemp(join(tmpdir(), 'multiverse-test-'))
  try {
    const report = join(folder, 'report.json')
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
    const { code } = await run('vitest', ['run', ...paths, ...reporters], env)
    const text = await readFile(report, 'utf8').catch(() => '{}')
    const found = JSON.parse(text) as VitestReport
    const { numPassedTests: passed = 0, numFailedTests: failed = 0 } = found
    return settle(code, { passed, failed, failures: failuresOf(found, root) })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** A runner that failed without naming a failed test, or ran none, has failed all the same. */
function settle(code: number, count: Count): Count {
  const isSilent = count.failed === 0 && (code !== 0 || count.passed === 0)
  return isSilent ? { ...count, failed: 1 } : count
}

const isDeep = process.argv[2] === '--deep'
const suites = isDeep ? deep : everyday
const chosen = process.argv.slice(isDeep ? 3 : 2)
const unknown = chosen.find((name) => suites.every((suite) => suite.name !== name))
if (unknown !== undefined) {
  console.error(`no suite ${unknown}: there are ${suites.map((suite) => suite.name).join(', ')}`)
  process.exit(2)
}

/** Beside the first suites: it mostly waits for downloads and for a guest to boot. */
const preparing = hasEngines && !isDeep && chosen.length === 0 ? prepareEngines() : null
const total = { passed: 0, failed: 0, failures: [] as string[] }
for (const suite of suites) {
  if (chosen.length > 0 && !chosen.includes(suite.name)) continue
  if (chosen.length === 0 && suite.optIn != null) {
    console.log(`suite ${suite.name}: not run, ${suite.optIn}`)
    continue
  }
  const from = Date.now()
  const count = await suite.run()
  total.passed += count.passed
  total.failed += count.failed
  total.failures.push(...(count.failures ?? []))
  if (count.failed > 0 && !count.failures?.length)
    total.failures.push(`suite ${suite.name}: see what it printed`)
  const seconds = ((Date.now() - from) / 1000).toFixed(1)
  console.log(`suite ${suite.name}: ${count.passed} ok, ${count.failed} not ok (${seconds} s)`)
}
// Again at the end: of a long log often only the end is kept.
for (const failure of total.failures) console.log(`\nfailed: ${failure}`)
console.log(`${total.passed} passed, ${total.failed} failed`)
process.exitCode = total.failed === 0 ? 0 : 1
