import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Hex } from 'viem'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { freePorts } from '../../cli/stack/ports.ts'
import { childVerse, ROOT } from '../../sdk/ids.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import type { LocalChain } from '../helpers/chain.ts'
import type { KeeperProcess } from './child.ts'
import { createStage } from './stage.ts'
import {
  answersOf,
  askQuestion,
  eventually,
  isState,
  type KeeperClient,
  keeperClient,
  keeperEnv,
  PATIENT,
  push,
  reportsOf,
  spec,
} from './world.ts'

vi.setConfig(PATIENT)

// The keeper as a process: how it ends, and what it does after it was ended. One keeper's life on one chain, from test to test.
// See crash.test.ts for sudden ends.

const stage = createStage()
let chain: LocalChain
let dataDir: string
let client: KeeperClient
let keeper: KeeperProcess

beforeAll(async () => {
  chain = await stage.chain()
  dataDir = await stage.folder(chain)
  client = keeperClient(dataDir)
  keeper = start({ MULTIVERSE_SUPERVISED: '1' })
  await keeper.says('keeper.ready')
})

const start = (env: Record<string, string> = {}) =>
  (keeper = stage.spawn(keeperEnv(chain, dataDir, env)))

async function pushed(asked = spec()): Promise<Hex> {
  const { question } = await askQuestion(chain, asked)
  await push(chain, question)
  return question
}

/** Names of the worlds that live of a question's verses. */
async function worldNames(question: Hex): Promise<string[]> {
  const { body } = await client.call('GET', '/worlds')
  const verses = [0, 1, 2].map((outcome) => childVerse(ROOT, question, outcome))
  return (body as { worlds: { verseId: Hex; name: string }[] }).worlds
    .filter(({ verseId }) => verses.includes(verseId))
    .map(({ name }) => name)
}

test('goes on where it was when its supervisor was gone: worlds that ended with it are made again', async () => {
  const question = await pushed()
  const { worlds } = await client.until(ROOT, question, isState('reported'))
  const settled = await pushed()
  await client.until(ROOT, settled, isState('reported'))
  await client.answer(settled, 1)
  await client.until(ROOT, settled, isState('resolved'))
  keeper.closeInput()
  expect(await keeper.ended).toBe(0)
  expect(keeper.lines.at(-1)!.msg).toBe('keeper.stopped')

  // Pushed into while nobody looked.
  const unseen = await pushed()
  const { question: inner } = await askQuestion(chain, spec({ setup: 'globalThis.base += 10' }))
  await push(chain, inner, [{ question, outcome: 1 }], 50n)

  await start().says('keeper.ready')
  await client.until(ROOT, unseen, isState('reported'))
  const below = await client.until(worlds[1]!.verseId, inner, isState('reported'))
  expect(below.worlds[1]!.cost).toBe(`${13n * 10n ** 18n}`)
  await client.answer(question, 1)
  const resolved = await client.until(ROOT, question, isState('resolved'))
  expect(resolved.worlds).toEqual(worlds)
  expect(await worldNames(question)).toEqual(['optimal'])
  for (const each of [question, settled, unseen, inner])
    expect(await reportsOf(chain, each)).toHaveLength(1)
})

test('finds the worlds of partitions again when their folder is lost', async () => {
  const question = await pushed()
  await client.until(ROOT, question, isState('reported'))
  keeper.signal('SIGTERM')
  expect(await keeper.ended).toBe(0)
  await rm(dataPaths(dataDir).worlds, { recursive: true })
  start()
  await eventually('an answer taken', async () => {
    const value = await client.answer(question, 2).catch(() => null)
    return { value, isReached: value?.status === 202 }
  })
  await client.until(ROOT, question, isState('resolved'))
  expect(await worldNames(question)).toEqual(['chaos'])
})

test('knows its own reports and answers on the chain when its books are lost', async () => {
  const question = await pushed(spec({ outcome: { source: 'pipeline' } }))
  const open = await pushed()
  await client.until(ROOT, question, isState('resolved'))
  const before = await client.until(ROOT, open, isState('reported'))
  keeper.signal('SIGKILL')
  await keeper.ended

  dataDir = await stage.folder(chain)
  client = keeperClient(dataDir)
  start()
  const after = await client.until(ROOT, open, isState('reported'))
  expect(after.reportTx).toBe(before.reportTx)
  expect(after.worlds.map(({ stateRoot }) => stateRoot)).toEqual(
    before.worlds.map(({ stateRoot }) => stateRoot),
  )
  // Decided before it was seen: it needs no worlds any more.
  await client.until(ROOT, question, isState('resolved'))
  expect(await reportsOf(chain, open)).toHaveLength(1)
  expect(await answersOf(chain, question)).toHaveLength(1)
})

// A chain that goes and comes back.

let stateDir: string
beforeAll(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'keeper-chain-'))
})
afterAll(() => rm(stateDir, { recursive: true, force: true }))

const status = async (port: number, path: string) =>
  (await fetch(`http://127.0.0.1:${port}${path}`)).status

test('waits for an endpoint that is down at the start, goes on when it comes back, and notices when another chain does', async () => {
  const { chain: port } = await freePorts()
  const state = ['--state', join(stateDir, 'chain.json'), '--preserve-historical-states']
  const before = await stage.chain({ args: state, port })
  const { deployment } = before
  await before.stop()

  const folder = await stage.folder(before)
  const waiting = stage.spawn(keeperEnv(before, folder))
  await waiting.says('rpc.down')
  const http = await waiting.port()
  expect(await status(http, '/health')).toBe(200)
  expect(await status(http, '/ready')).toBe(503)

  const back = await stage.chain({ args: state, port, deployment })
  await waiting.says('keeper.ready')
  expect(await status(http, '/ready')).toBe(200)
  const { until, answer } = keeperClient(folder)
  const { question } = await askQuestion(back, spec())
  await push(back, question)
  await until(ROOT, question, isState('reported'))

  // It goes away while there is work.
  const { question: later } = await askQuestion(back, spec())
  await back.stop()
  await eventually('not ready', async () => {
    const value = await status(http, '/ready')
    return { value, isReached: value === 503 }
  })
  expect(await answer(question, 0)).toMatchObject({ status: 503, body: { code: 'RPC_FAILED' } })

  const again = await stage.chain({ args: state, port, deployment })
  await push(again, later)
  await until(ROOT, later, isState('reported'))
  await answer(question, 0)
  await until(ROOT, question, isState('resolved'))
  expect(await reportsOf(again, question)).toHaveLength(1)
  expect(await reportsOf(again, later)).toHaveLength(1)

  await again.stop()
  await stage.chain({ port, args: ['--timestamp', '1'] })
  expect(await waiting.ended).toBe(11)
  expect(waiting.errors.at(-1)).toContain('error OTHER_CHAIN: ')
})
