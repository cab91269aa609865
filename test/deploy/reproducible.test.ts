import { spawn } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SOURCES } from '../../deploy/sources.ts'

// The code of a contract, and so its address, is the same wherever it is compiled, and whatever else is compiled with it.

const root = fileURLToPath(new URL('../..', import.meta.url))
// One that another contract imports and one that none does: each of SOURCES is configured alike, and Multiverse takes long.
const names = ['Worlds', 'TestToken'] as const
let copy: string

beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), 'multiverse-another-folder-of-another-length-'))
})

afterAll(async () => {
  await rm(copy, { recursive: true, force: true })
})

test('compiled in another folder, beside another contract, the bytes are the same', async () => {
  for (const name of ['contracts', 'deploy', 'sdk', 'hardhat.config.ts', 'package.json'])
    await cp(join(root, name), join(copy, name), { recursive: true })
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
  const other = 'contracts/AAA.sol'
  await writeFile(
    join(copy, other),
    'pragma solidity 0.8.37;\nimport { Worlds } from "./Worlds.sol";\ncontract AAA { Worlds public worlds; }\n',
  )
  const files = [other, ...names.map((name) => SOURCES[name])]
  const { code, output } = await build(files)
  expect(output).not.toMatch(/^Error/m)
  expect(code).toBe(0)
  const artifact = async (folder: string, name: (typeof names)[number]) =>
    JSON.parse(
      await readFile(join(folder, 'artifacts', SOURCES[name], `${name}.json`), 'utf8'),
    ) as { bytecode: string; deployedBytecode: string }
  const differing: string[] = []
  for (const name of names) {
    const [here, there] = [await artifact(root, name), await artifact(copy, name)]
    expect(there.bytecode.length).toBeGreaterThan(1_000)
    if (there.bytecode !== here.bytecode) differing.push(name)
    if (there.deployedBytecode !== here.deployedBytecode) differing.push(`${name} at run time`)
  }
  expect(differing).toEqual([])
}, 600_000)

function build(files: readonly string[]): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const hardhat = join(root, 'node_modules/hardhat/dist/src/cli.js')
    const child = spawn(process.execPath, [hardhat, 'build', '--no-tests', '--quiet', ...files], {
      cwd: copy,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, output }))
  })
}
