import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

// Types, lint and format of everything, that nothing is there for nothing, and that the generated ABIs are current. `--fix` mends what a tool can mend.

/** One check: what it is called and the command that fails when it does not hold. */
export type Check = { name: string; command: string[]; fix?: string[] }

const root = fileURLToPath(new URL('..', import.meta.url))
const solidity = ['contracts/**/*.sol', 'test/contracts/**/*.sol']

export const checks: Check[] = [
  { name: 'types', command: ['tsc', '--project', 'tsconfig.json'] },
  { name: 'lint', command: ['oxlint', '--type-aware', '--deny-warnings'] },
  {
    name: 'format',
    command: ['oxfmt', '--check'],
    fix: ['oxfmt'],
  },
  { name: 'dead code and unused packages', command: ['knip', '--no-progress'] },
  {
    name: 'solidity lint',
    command: ['solhint', '--noPoster', '--disc', '--max-warnings', '0', 'contracts/**/*.sol'],
  },
  {
    name: 'solidity format',
    command: ['prettier', '--check', '--log-level', 'warn', ...solidity],
    fix: ['prettier', '--write', '--log-level', 'warn', ...solidity],
  },
  {
    name: 'generated ABIs',
    command: ['node', 'scripts/generate-abi.ts', '--check'],
    fix: ['node', 'scripts/generate-abi.ts'],
  },
]

/** Runs one command in the repository's root with the project's tools first on the path. */
export function runCommand(
  command: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ code: number; output: string }> {
  const [file, ...args] = command
  return new Promise((resolve, reject) => {
    const child = spawn(file!, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code: code ?? 1, output }))
  })
}

/** Runs every check, says how each ended, and gives back how many passed and failed. */
export async function runChecks(isFixing: boolean): Promise<{ passed: number; failed: number }> {
  let passed = 0
  let failed = 0
  for (const { name, command, fix } of checks) {
    const from = Date.now()
    const { code, output } = await runCommand(isFixing ? (fix ?? command) : command)
    const seconds = ((Date.now() - from) / 1000).toFixed(1)
    console.log(`check ${name}: ${code === 0 ? 'ok' : 'failed'} (${seconds} s)`)
    if (code !== 0) console.log(output.trimEnd())
    if (code === 0) passed += 1
    else failed += 1
  }
  return { passed, failed }
}

if (import.meta.main) {
  const { failed } = await runChecks(process.argv.includes('--fix'))
  process.exitCode = failed === 0 ? 0 : 1
}
