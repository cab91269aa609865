import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { alone, lastJson, multiverse, start } from './harness.ts'

// What the command does with nothing running.

let dataDir: string

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'multiverse-cli-'))
})

afterAll(async () => {
  await rm(dataDir, { recursive: true, force: true })
})

const VERBS =
  'up demo sql ask push-down pull-up transfer redeemer resolve narrow expire questions question verses verse worlds balance events'.split(
    ' ',
  )

test('help names every verb, what they take and the exit codes', async () => {
  const { code, stdout, stderr } = await multiverse(['--help'])
  expect(code).toBe(0)
  expect(stderr).toBe('')
  for (const verb of VERBS) expect(stdout).toMatch(new RegExp(`^  ${verb} `, 'm'))
  expect(stdout).toContain('Exit codes: 0 done, 1 failed, 2 usage')
})

test.each([
  [['frobnicate'], "unknown command 'frobnicate'"],
  [['push-down', '--amount', '1'], "required option '--question <question>' not specified"],
  [['balance', '--color'], "unknown option '--color'"],
  [
    ['demo', '--degree', '5'],
    "option '--degree <d>' argument '5' is invalid. It must be a whole number from 1 to 4.",
  ],
  [
    ['demo', '--outcome', 'maybe'],
    "option '--outcome <outcome>' argument 'maybe' is invalid. Allowed choices are nash, optimal, chaos, void.",
  ],
  [
    ['demo', '--provider', 'dreams'],
    "option '--provider <provider>' argument 'dreams' is invalid. Allowed choices are quickjs, gvisor, microvm, evm.",
  ],
  [
    ['up', '--port-base', '80'],
    "option '--port-base <port>' argument '80' is invalid. It must be a whole number from 1024 to 65000.",
  ],
])('a wrong command line %j is a usage error', async (args, message) => {
  const { code, stdout, stderr } = await alone(args)
  expect(stderr).toBe(`error USAGE: ${message}\n`)
  expect(stdout).toBe('')
  expect(code).toBe(2)
})

test('worlds that cannot run here, or not this scenario, are refused before anything starts', async () => {
  const nothing = { PATH: dataDir }
  const missing = await alone(['demo', '--provider', 'gvisor'], nothing)
  expect(missing.stderr).toMatch(/^error PROVIDER_UNAVAILABLE: worlds of gvisor cannot run here: /)
  expect(missing.stderr).toContain('runsc')
  const [evm, up] = await Promise.all([
    multiverse(['demo', '--provider', 'evm']),
    multiverse(['up', '--scenario', '--provider', 'evm', '--data', dataDir]),
  ])
  for (const { code, stderr } of [evm, up]) {
    expect(stderr).toMatch(/^error NO_SCENARIO: worlds of evm /)
    expect(code).toBe(1)
  }
  expect(missing.code).toBe(1)
})

test('without a verb it shows help and says so', async () => {
  const { code, stderr } = await multiverse([])
  expect(stderr).toMatch(/^Usage: multiverse /)
  expect(stderr).toMatch(/\nerror USAGE: name a verb: multiverse --help\n$/)
  expect(code).toBe(2)
})

test('sql says that no stack runs', async () => {
  const ran = await alone(['sql', 'SELECT', '--data', dataDir, '--json'])
  const message = `no stack runs on ${dataDir}, and none has: start one with \`npm start\`, or name another with --data`
  expect(ran.stderr).toBe(`error NO_STACK: ${message}\n`)
  expect(lastJson(ran)).toEqual({ error: { code: 'NO_STACK', message } })
  expect(ran.code).toBe(4)
})

test('a chain without a deployment on record, and one that does not answer', async () => {
  const bare = await alone(['balance', '--data', dataDir, '--rpc', 'http://127.0.0.1:1'])
  expect(bare.stderr).toMatch(/^error NO_DEPLOYMENT: no deployment at .*\n$/)
  expect(bare.code).toBe(4)

  const address = `0x${'11'.repeat(20)}`
  const deployment = {
    version: 1,
    chainId: 31337,
    addresses: { multiverse: address, worlds: address },
    startBlock: 0,
    startBlockHash: `0x${'22'.repeat(32)}`,
  }
  await writeFile(join(dataDir, 'deployment.json'), JSON.stringify(deployment))
  const silent = await alone(['balance', '--data', dataDir, '--rpc', 'http://127.0.0.1:1'])
  expect(silent.stderr).toBe(
    'error RPC_FAILED: http://127.0.0.1:1: eth_chainId: HTTP request failed.\n',
  )
  expect(silent.code).toBe(1)

  await writeFile(join(dataDir, 'deployment.json'), '{}')
  const broken = await alone(['balance', '--data', dataDir, '--rpc', 'http://127.0.0.1:1'])
  expect(broken.stderr).toMatch(/^error DEPLOYMENT_INVALID: /)
  expect(broken.code).toBe(3)
})

test('a spec that is missing or wrong is named before anything else', async () => {
  const ask = (spec: string) =>
    alone(['ask', '--spec', spec, '--deadline', '+1h', '--data', dataDir])
  const missing = await ask(join(dataDir, 'nowhere.json'))
  expect(missing.stderr).toMatch(/^error SPEC_NOT_FOUND: .*nowhere\.json/)
  const wrong = join(dataDir, 'wrong.json')
  await writeFile(wrong, JSON.stringify({ ...minimalSpec, verses: [] }))
  expect((await ask(wrong)).stderr).toMatch(/^error SPEC_INVALID: spec is invalid at verses/)
})

test('a reader that has seen enough is no error', async () => {
  const child = start(['--help'])
  child.stdout.destroy()
  const code = await new Promise((resolve) => child.on('close', resolve))
  expect(code).toBe(0)
})

const minimalSpec = {
  version: 1,
  title: 'Is it?',
  verses: [{ name: 'yes', strategy: '', trit: 0, probability: '1' }],
  void: { name: 'void', probability: '0' },
  setup: '',
  program: 'return { cost: 1 }',
  needs: { parallel: true, optimize: false, verify: false },
  outcome: { source: 'manual' },
  seed: 1,
}
