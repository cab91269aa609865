import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Hex } from 'viem'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createJumps } from '../../keeper/clock.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { ROOT } from '../../sdk/ids.ts'
import type { Spec } from '../../sdk/spec.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'
import { type FaultyRpc, startFaultyRpc } from '../helpers/faultyRpc.ts'
import { compiledCode } from '../helpers/shared.ts'
import { type KeeperProcess, spawnKeeper } from './child.ts'
import { expectNothingWasted, expectOnceInJournal, expectOnceOnChain } from './once.ts'
import { askOracle, gameTerms, pass } from './oracles.ts'
import { FEW_PARTITIONS } from './stage.ts'
import { canMakePrivateDisks, type PrivateDisk, privateDisk } from './surroundings/disk.ts'
import {
  askQuestion,
  createFolders,
  type Folders,
  fund,
  isState,
  type KeeperClient,
  keeperClient,
  keeperEnv,
  PATIENT,
  push,
  readJournal,
  resolvedEnd,
  spec,
} from './world.ts'

vi.setConfig(PATIENT)

// A keeper whose machine fails it: a disk that is full, a clock that is set, an endpoint that never answers, contracts that
// revert. One keeper and one chain; it is on a disk of its own where the machine has such, and its clock can be set.

const CLOCK = fileURLToPath(new URL('./surroundings/child.ts', import.meta.url))
const PANIC = fileURLToPath(new URL('./surroundings/panic.ts', import.meta.url))
const DISK_MIB = 96
const HOUR_MS = 3_600_000
/** Bytecode that reverts whatever it is asked. */
const REVERTS: Hex = '0x60006000fd'

let folders: Folders
let home: string
let chain: LocalChain
let proxy: FaultyRpc
let disk: PrivateDisk | null = null
let keeper: KeeperProcess
let client: KeeperClient
/** Serves specs, as well as it may. When it was asked, Unix milliseconds. */
let host: Server
let hosted: { status: number; retryAfterS?: number; body: string } = { status: 500, body: '' }
const requests: number[] = []
const questions: Hex[] = []

beforeAll(async () => {
  ;[chain, folders, home] = await Promise.all([
    startChain({ withOracles: true }),
    createFolders(),
    mkdtemp(join(tmpdir(), 'keeper-surroundings-')),
  ])
  host = createServer((_, response) => {
    const { status, retryAfterS, body } = hosted
    requests.push(Date.now())
    response.writeHead(status, retryAfterS === undefined ? {} : { 'retry-after': `${retryAfterS}` })
    response.end(body)
  })
  host.listen(0, '127.0.0.1')
  ;[proxy] = await Promise.all([startFaultyRpc(chain.url), fund(chain)])
  const content = await folders.create(chain)
  if (canMakePrivateDisks) disk = await privateDisk(DISK_MIB, content)
  const dataDir = disk?.folder ?? content
  await writeFile(clockFile(), '0')
  keeper = spawnKeeper(
    keeperEnv({ ...chain, url: proxy.url }, dataDir, {
      ...FEW_PARTITIONS,
      KEEPER_ALLOW_PRIVATE_URLS: '1',
      KEEPER_DUTIES: 'settle',
      KEEPER_RPC_TIMEOUT_MS: '4000',
      CLOCK_FILE: clockFile(),
    }),
    compiledCode(),
    { main: CLOCK, within: disk?.within ?? [] },
  )
  await keeper.says('keeper.ready')
  // Its socket is on its disk.
  client = keeperClient(disk === null ? dataDir : `/proc/${keeper.pid}/root${dataDir}`)
})
afterAll(async () => {
  keeper?.signal('SIGKILL')
  await keeper?.ended
  await disk?.remove()
  host?.close()
  await proxy?.stop()
  await chain?.stop()
  await folders?.remove()
  await rm(home, { recursive: true, force: true })
})

const clockFile = () => join(home, 'clock')
const hostUri = () => `http://127.0.0.1:${(host.address() as AddressInfo).port}/spec`
const pipeline = { outcome: { source: 'pipeline' } } as const

async function begin(changes: Partial<Spec> = {}): Promise<Hex> {
  const { question } = await askQuestion(chain, spec({ ...pipeline, ...changes }))
  await push(chain, question)
  questions.push(question)
  return question
}

/** Sets the machine's clock, from what it really is. */
async function setClock(ms: number): Promise<void> {
  await writeFile(clockFile(), `${ms}`)
  keeper.signal('SIGUSR2')
}

const ready = async () => {
  const response = await fetch(`http://127.0.0.1:${await keeper.port()}/ready`)
  return { status: response.status, text: await response.text() }
}

test('an endpoint that takes every question and answers none is given up, and used again when it answers', async () => {
  const before = await begin()
  proxy.set({ hangs: true })
  const during = await begin()
  const down = await keeper.says('rpc.down')
  expect(down).toMatchObject({ code: 'RPC_FAILED' })
  expect(down['error']).toMatch(/took too long/i)
  expect(await ready()).toMatchObject({ status: 503 })
  proxy.heal()
  await keeper.says('rpc.up')
  for (const question of [before, during]) await resolvedEnd(client, ROOT, question)
})

// 5 s, as the keeper's own first wait may be as long.
test('whoever asks for fewer requests is left alone for as long as it says', async () => {
  const asked = await askQuestion(chain, spec({ ...pipeline, title: 'Limited?' }), {
    uri: hostUri(),
  })
  hosted = { status: 429, retryAfterS: 5, body: '' }
  await push(chain, asked.question)
  questions.push(asked.question)
  const delayed = await keeper.says('partition.delayed', ({ code }) => code === 'RATE_LIMITED')
  expect(delayed['error']).toContain('asks for fewer requests, and to wait for 5 s')
  expect(delayed['afterMs']).toBeGreaterThanOrEqual(5_000)
  expect(delayed['afterMs']).toBeLessThanOrEqual(5_500)
  await keeper.says('duty.delayed', ({ code }) => code === 'RATE_LIMITED')
  hosted = { status: 200, body: asked.json }
  requests.length = 0
  const toldAt = Date.parse(delayed['time'] as string)
  await resolvedEnd(client, ROOT, asked.question)
  // Nobody, not even the question's duty, came any sooner.
  expect(requests[0]! - toldAt).toBeGreaterThanOrEqual(4_900)
  expect(keeper.lines.filter(({ code }) => code === 'RATE_LIMITED').length).toBeLessThanOrEqual(2)
})

test('the machine can set its clock back by an hour, or on by two, and nothing waits longer or less', async () => {
  // It fails, and is to come again in some seconds.
  hosted = { status: 500, body: '' }
  const late = await askQuestion(chain, spec({ ...pipeline, title: 'Late?' }), {
    uri: hostUri(),
  })
  await push(chain, late.question)
  questions.push(late.question)
  await keeper.says('partition.delayed', ({ count }) => count === 3)
  await setClock(-HOUR_MS)
  const back = await keeper.says('clock.jumped')
  expect(back['byMs']).toBeLessThan(-HOUR_MS + 2_000)
  hosted = { status: 200, body: late.json }
  await resolvedEnd(client, ROOT, late.question, 20_000)
  await resolvedEnd(client, ROOT, await begin(), 20_000)

  const slow = await begin({
    program: 'const end = Date.now() + 1e9; for (let i = 0; i < 2e6; i++); return { cost: 1 }',
  })
  await setClock(HOUR_MS)
  const forward = await keeper.says('clock.jumped', ({ byMs }) => Number(byMs) > 0)
  expect(forward['byMs']).toBeGreaterThan(2 * HOUR_MS - 2_000)
  await resolvedEnd(client, ROOT, slow, 20_000)
  await resolvedEnd(client, ROOT, await begin(), 20_000)
  await setClock(0)
  await keeper.says('clock.jumped', (line) => Number(line['byMs']) < 0 && line !== back)
})

test('a jump is told from a clock that is only a little off', () => {
  let [wall, steady] = [1_000_000, 5]
  const jumped = createJumps({ wall: () => wall, steady: () => steady })
  const pass = (wallMs: number, steadyMs: number) => {
    wall += wallMs
    steady += steadyMs
    return jumped()
  }
  expect(pass(1_000, 1_000)).toBe(0)
  expect(pass(1_100, 1_000)).toBe(0)
  expect(pass(-9_000, 1_000)).toBe(-10_000)
  expect(pass(1_000, 1_000)).toBe(0)
  // A machine that slept.
  expect(pass(60_000, 1_000)).toBe(59_000)
})

test("deadlines are of the chain's time: they come when it jumps, and go when it goes back", async () => {
  const { question } = await askQuestion(chain, spec(), { deadlineInS: 300_000 })
  await push(chain, question)
  await client.until(ROOT, question, isState('reported'))
  const start = await chain.testClient.snapshot()
  // Time has decided, and nobody said so on the chain: then the chain goes back.
  await pass(chain, 700_000)
  await client.until(ROOT, question, isState('resolved'))
  await chain.testClient.revert({ id: start })
  await chain.testClient.mine({ blocks: 2 })
  await client.until(ROOT, question, isState('reported'))
  expect((await client.answer(question, 0)).status).toBe(202)
  const { winner } = await client.until(ROOT, question, isState('resolved'))
  expect(winner).toBe(1)
})

test('contracts that revert cost their own questions an answer, say which, and are tried again when told to', async () => {
  const { worlds, optimisticOracle } = chain.deployment.addresses
  const codeOf = async (address: Hex) => (await chain.publicClient.getCode({ address }))!
  const [notebook, game] = [await codeOf(worlds), await codeOf(optimisticOracle!)]
  await chain.testClient.setCode({ address: optimisticOracle!, bytecode: REVERTS })
  const { question: played } = await askOracle(chain, 'optimistic', gameTerms(chain), pipeline)
  await push(chain, played)
  const failed = await keeper.says('duty.failed', ({ question }) => question === played)
  expect(failed).toMatchObject({ code: 'CONTRACT_REVERT' })
  // The others go on.
  await resolvedEnd(client, ROOT, await begin())

  await chain.testClient.setCode({ address: worlds, bytecode: REVERTS })
  const unreported = await begin()
  const partition = await client.until(ROOT, unreported, isState('failed'))
  expect(partition.error?.code).toBe('CONTRACT_REVERT')
  await chain.testClient.setCode({ address: worlds, bytecode: notebook })
  await chain.testClient.setCode({ address: optimisticOracle!, bytecode: game })
  const { body: dead } = await client.call('GET', '/jobs?state=dead')
  const keys = (dead as { jobs: { question: Hex; error: { code: string } }[] }).jobs
  expect(new Map(keys.map(({ question, error }) => [question, error.code]))).toEqual(
    new Map([
      [played, 'CONTRACT_REVERT'],
      [unreported, 'CONTRACT_REVERT'],
    ]),
  )
  await client.call('POST', '/jobs/retry', { key: null })
  await resolvedEnd(client, ROOT, unreported)
  const { body: left } = await client.call('GET', '/jobs?state=dead')
  expect(left).toEqual({ jobs: [] })
})

test.skipIf(!canMakePrivateDisks)(
  'a disk that is full keeps everything waiting, and nothing is lost',
  async () => {
    await disk!.fill(keeper.pid)
    const during = [await begin(), await begin(), await begin()]
    // What is left in its files is used up sooner or later.
    for (let more = 0; more < 12; more++)
      during.push(await begin({ title: 'x'.repeat(190 - more) }))
    const down = await keeper.says('books.down')
    expect(down).toMatchObject({ code: 'DISK_FULL' })
    const { status, text } = await ready()
    expect([status, text]).toEqual([503, expect.stringContaining('No space left on device')])
    await disk!.empty(keeper.pid)
    await keeper.says('books.up')
    for (const question of during) await resolvedEnd(client, ROOT, question)
    const { body } = await client.call('GET', '/jobs?state=dead')
    expect(body).toEqual({ jobs: [] })
  },
)

test('after all that each question was reported and answered once, and nothing is left over', async () => {
  await expectOnceOnChain(chain, questions)
  await expectNothingWasted(chain)
  expectOnceInJournal(await readJournal(await keeper.port()), questions)
  const failed = keeper.lines.filter(({ level }) => level === 'error')
  expect(failed.filter(({ code }) => code !== 'DISK_FULL')).toEqual([])
  expect(keeper.errors).toEqual([])
  keeper.signal('SIGTERM')
  expect(await keeper.ended).toBe(0)
})

test.skipIf(!canMakePrivateDisks)(
  'a database that panics for want of room ends with it, and has all that was committed',
  async () => {
    const small = await privateDisk(64, await folders.create(chain))
    const [command, ...args] = small.within
    // The disk is there for as long as the one who made it: one after the other.
    const twice = ['sh', '-c', '"$@" && rm -f "$0/ballast" && exec "$@"', small.folder]
    const folder = dataPaths(small.folder).keeper
    const child = spawn(command!, [...args, ...twice, process.execPath, PANIC, folder], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const said = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const next = async () => (await said.next()).value as string
    const tell = async (what: string) => {
      child.stdin.write(`${what}\n`)
      return next()
    }
    try {
      expect(await next()).toBe('opened 0')
      expect(await tell('add')).toBe('added 1')
      await small.fill(child.pid!)
      expect(await tell('switch')).toBe('panic DISK_FULL')
      // Whatever is asked of it from now on fails at once, where PGlite would never come back.
      expect(await next()).toBe('failed DISK_FULL')
      expect(await tell('add')).toBe('failed DISK_FULL')
      expect(await tell('end')).toBe('opened 1')
      expect(await tell('add')).toBe('added 2')
    } finally {
      child.kill('SIGKILL')
      await once(child, 'close')
      await small.remove()
    }
  },
)
