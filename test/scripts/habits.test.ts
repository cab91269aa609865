import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)
let clone: string

beforeEach(async () => {
  clone = await mkdtemp(join(tmpdir(), 'multiverse-clone-'))
})

afterEach(async () => {
  await rm(clone, { recursive: true, force: true })
})

test('clean removes what can be made again, and keeps data and packages', async () => {
  const made = ['artifacts', 'cache', 'coverage', 'generated', 'indexer/generated']
  const kept = ['.data', 'node_modules', '.node', 'contracts', 'indexer']
  for (const name of [...made, ...kept]) {
    await mkdir(join(clone, name), { recursive: true })
    await writeFile(join(clone, name, 'file'), '')
  }
  await cp(join(root, 'scripts/clean.mjs'), join(clone, 'scripts/clean.mjs'))
  const { stdout } = await run(process.execPath, [join(clone, 'scripts/clean.mjs')])
  expect(stdout).toBe(made.map((name) => `removed ${name}\n`).join(''))
  expect((await readdir(clone)).toSorted()).toEqual([...kept, 'scripts'].toSorted())
  expect(await readdir(join(clone, 'indexer'))).toEqual(['file'])
})

test.each([
  ['true', true],
  ['false', false],
])('with the hook, a commit goes through when the checks end with `%s`: %s', async (check, ok) => {
  const git = (...args: string[]) =>
    run('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { cwd: clone })
  await git('init', '--quiet')
  await cp(join(root, '.githooks'), join(clone, '.githooks'), { recursive: true })
  await writeFile(join(clone, 'package.json'), JSON.stringify({ scripts: { check } }))
  await git('config', 'core.hooksPath', '.githooks')
  await git('add', '.')
  const committed = git('commit', '--quiet', '-m', 'test: try').then(
    () => true,
    () => false,
  )
  expect(await committed).toBe(ok)
})
