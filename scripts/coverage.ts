import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { SOURCES } from '../deploy/sources.ts'

// Hardhat's own coverage of contracts/ by the Solidity unit and fuzz tests. Exits 1 unless every line and statement is
// covered: the report names those that are not. Works in folders of its own, so that instrumented code never gets among the
// artifacts.

const root = fileURLToPath(new URL('..', import.meta.url))

/** One row of Hardhat's table: `║ contracts/Worlds.sol │ 100.00 │ 98.00 │ 12, 14-15 ║`. Shares in percent. */
export type Covered = { file: string; lines: number; statements: number }

/** The rows of the report in `output`, contracts only. */
export function coveredFiles(output: string): Covered[] {
  return stripVTControlCharacters(output)
    .split('\n')
    .map((line) => line.split(/[║│]/).map((cell) => cell.trim()))
    .flatMap(([, file, lines, statements]) =>
      file?.endsWith('.sol') === true
        ? [{ file, lines: Number(lines), statements: Number(statements) }]
        : [],
    )
}

/** The files that are not covered whole. */
export function uncovered(files: readonly Covered[]): Covered[] {
  return files.filter(({ lines, statements }) => !(lines === 100 && statements === 100))
}

/**
 * Unit and fuzz tests; what only a random history reaches has no test of its own. Not by naming files: Hardhat would leave
 * out the contracts that tests deploy by name.
 */
function run(): Promise<{ code: number; output: string }> {
  return new Promise((resolve, reject) => {
    const args = ['test', 'solidity', '--grep', '^test', '--coverage', '--test-profile', 'coverage']
    const child = spawn('hardhat', args, {
      cwd: root,
      env: { ...process.env, MULTIVERSE_COVERAGE: '1', FORCE_COLOR: '0' },
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

if (import.meta.main) {
  const { code, output } = await run()
  const files = coveredFiles(output)
  const missing = uncovered(files)
  for (const { file, lines, statements } of missing)
    console.error(`${file}: ${lines} % of lines, ${statements} % of statements`)
  const absent = Object.values(SOURCES).filter(
    (source) => !source.includes('/mocks/') && files.every(({ file }) => file !== source),
  )
  for (const source of absent) console.error(`${source}: not in the report`)
  console.log(`${files.length} contract files, ${files.length - missing.length} covered whole`)
  process.exitCode = code === 0 && absent.length === 0 && missing.length === 0 ? 0 : 1
}
