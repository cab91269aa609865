import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { failuresOf, type VitestReport } from '../../scripts/failures.ts'

const VITEST = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url))

test('names what failed in a run: tests, hooks and files, with their errors', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'failures-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const files = {
    'good.test.js': `test('holds', () => {})`,
    'sum.test.js': `describe('a sum', () => { test('is right', () => { expect(1 + 1).toBe(3) }); test('is', () => {}) })`,
    'hook.test.js': `beforeAll(() => { throw new Error('no chain') }); test('never runs', () => {})`,
    'syntax.test.js': `test('is no JavaScript`,
  }
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  const path = join(folder, 'report.json')
  const args = ['run', '--globals', '--root', folder, '--reporter=json', `--outputFile=${path}`]
  const code = await new Promise((resolve) =>
    execFile(process.execPath, [VITEST, ...args], { cwd: folder }, (error) =>
      resolve(error?.code ?? 0),
    ),
  )
  expect(code).toBe(1)
  const report = JSON.parse(await readFile(path, 'utf8')) as VitestReport
  const found = failuresOf(report, folder)
  const named = (name: string) => found.find((text) => text.startsWith(name))
  expect(found).toHaveLength(3)
  expect(named('sum.test.js > a sum is right\n')).toMatch(/expected 2 to be 3/)
  expect(named('hook.test.js')).toMatch(/no chain/)
  expect(named('syntax.test.js\n')).toMatch(/syntax/)
})

test('of a run that failed nowhere there is nothing to say', () => {
  expect(failuresOf({}, '/')).toEqual([])
})
