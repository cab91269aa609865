import { spawn } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))
let clone: string

beforeEach(async () => {
  clone = await mkdtemp(join(tmpdir(), 'multiverse-clone-'))
  await mkdir(join(clone, 'scripts'))
  for (const file of ['scripts/bootstrap.mjs', 'package.json', 'package-lock.json'])
    await copyFile(join(root, file), join(clone, file))
})

afterEach(() => rm(clone, { recursive: true, force: true }))

function bootstrap(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  // What descriptors 3 and 4 hold.
  [third, fourth]: readonly string[] = [],
) {
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve, reject) => {
    const child = spawn(process.execPath, [join(clone, 'scripts/bootstrap.mjs'), ...args], {
      env: { ...process.env, npm_execpath: undefined, ...env },
      stdio: ['ignore', 'pipe', 'pipe', third ? 'pipe' : 'ignore', fourth ? 'pipe' : 'ignore'],
    })
    for (const [index, text] of [third, fourth].entries())
      if (text)
        // One that nobody reads is reset.
        (child.stdio[3 + index] as Writable).on('error', () => {}).end(text)
    let stdout = ''
    let stderr = ''
    child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}

/** Packages that are installed already, so that only the step under test is left. */
async function withPackages() {
  await symlink(join(root, 'node_modules'), join(clone, 'node_modules'))
  await symlink(join(root, 'contracts'), join(clone, 'contracts'))
  await copyFile(join(root, 'hardhat.config.ts'), join(clone, 'hardhat.config.ts'))
}

test('says in one line that the registry cannot be reached', async () => {
  const { code, stderr } = await bootstrap(['--compile-only'], {
    npm_config_registry: 'http://127.0.0.1:9/',
    npm_config_fetch_retries: '0',
    npm_config_cache: join(clone, 'cache'),
  })
  expect(code).toBe(1)
  expect(stderr.trimEnd().split('\n').at(-1)).toMatch(/^error NO_NETWORK: .*registry/)
})

test('asks for a file to run', async () => {
  const { code, stderr } = await bootstrap([])
  expect(code).toBe(1)
  expect(stderr).toContain('error USAGE')
})

test('passes arguments, exit code and the time it took on to the program', async () => {
  await withPackages()
  await symlink(join(root, 'artifacts'), join(clone, 'artifacts'))
  await writeFile(
    join(clone, 'program.ts'),
    'console.log(process.argv.slice(2).join(), Number(process.env.MULTIVERSE_BOOTSTRAP_MS) < 2000)\nprocess.exit(7)\n',
  )
  const { code, stdout } = await bootstrap(['program.ts', 'a', '--b'])
  expect({ code, stdout }).toEqual({ code: 7, stdout: 'a,--b true\n' })
})

test.each([
  ['--passphrase-fd', ['--passphrase-fd', '4'], {}],
  ['--passphrase-fd=', ['--passphrase-fd=4'], {}],
  ['MULTIVERSE_PASSPHRASE_FD', [], { MULTIVERSE_PASSPHRASE_FD: '4' }],
])('passes the descriptor of %s on, beside the channel', async (_, args, env) => {
  await withPackages()
  await symlink(join(root, 'artifacts'), join(clone, 'artifacts'))
  await writeFile(
    join(clone, 'program.ts'),
    `import { readFileSync } from 'node:fs'
     console.log(readFileSync(4, 'utf8'), process.connected)
     process.disconnect()`,
  )
  const { stdout } = await bootstrap(['program.ts', ...args], env, [
    'not asked for',
    'the passphrase',
  ])
  expect(stdout).toBe('the passphrase true\n')
})

test('a descriptor that nothing was given on is named at once', async () => {
  await withPackages()
  await symlink(join(root, 'artifacts'), join(clone, 'artifacts'))
  await writeFile(join(clone, 'program.ts'), '')
  const { code, stderr } = await bootstrap(['program.ts', '--passphrase-fd', '99'])
  expect(stderr).toMatch(/^error PASSPHRASE_UNREADABLE: nothing was given on file descriptor 99/m)
  expect(code).toBe(1)
})
