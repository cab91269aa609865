import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Hex } from 'viem'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { ROOT } from '../../sdk/ids.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'
import { type KeeperProcess, spawnKeeper } from './child.ts'
import {
  answersOf,
  askQuestion,
  createFolders,
  eventually,
  type Folders,
  fund,
  isState,
  keeperClient,
  keeperEnv,
  PATIENT,
  push,
  reportsOf,
  spec,
} from './world.ts'

vi.setConfig(PATIENT)

// The keeper as a process: how it starts, how it ends, and what it does after it was ended. See crash.test.ts for sudden ends.

let folders: Folders
let stateDir: string
const chains: LocalChain[] = []
const keepers: KeeperProcess[] = []

beforeAll(async () => {
  folders = await createFolders()
  stateDir = await mkdtemp(join(tmpdir(), 'keeper-chain-'))
})
afterEach(async () => {
  for (const keeper of keepers.splice(0)) {
    keeper.signal('SIGKILL')
    await keeper.ended
  }
  for (const chain of chains.splice(0)) await chain.stop()
})
afterAll(async () => {
  await folders?.remove()
  await rm(stateDir, { recursive: true, force: true })
})

async function newChain(options: Parameters<typeof startChain>[0] = {}): Promise<LocalChain> {
  const chain = await startChain(options)
  chains.push(chain)
  return chain
}

function newKeeper(env: Record<string, string>): KeeperProcess {
  const keeper = spawnKeeper(env, join(stateDir, 'cache'))
  keepers.push(keeper)
  return keeper
}

const status = async (port: number, path: string) =>
  (await fetch(`http://127.0.0.1:${port}${path}`)).status

test('ends in order when its supervisor is gone', async () => {
  const chain = await newChain()
  const dataDir = await folders.create(chain)
  const keeper = newKeeper(keeperEnv(chain, dataDir, { MULTIVERSE_SUPERVISED: '1' }))
  await keeper.says('keeper.ready')
  keeper.closeInput()
  expect(await keeper.ended).toBe(0)
  expect(keeper.lines.at(-1)!.msg).toBe('keeper.stopped')
})

test('waits for an endpoint that is down at the start, and goes on when it comes back', async () => {
  const state = ['--state', join(stateDir, 'chain.json'), '--preserve-historical-states']
  const before = await newChain({ args: state })
  await fund(before)
  const { port, deployment } = before
  await before.stop()

  const dataDir = await folders.create(before)
  const keeper = newKeeper(keeperEnv(before, dataDir))
  await keeper.says('rpc.down')
  const http = await keeper.port()
  expect(await status(http, '/health')).toBe(200)
  expect(await status(http, '/ready')).toBe(503)

  const back = await newChain({ args: state, port, deployment })
  await keeper.says('keeper.ready')
  expect(await status(http, '/ready')).toBe(200)
  const client = keeperClient(dataDir)
  const { question } = await askQuestion(back, spec())
  await push(back, question)
  await client.until(ROOT, question, isState('reported'))

  // It goes away while there is work.
  const { question: later } = await askQuestion(back, spec())
  await back.stop()
  await eventually('not ready', async () => {
    const value = await status(http, '/ready')
    return { value, isReached: value === 503 }
  })
  expect(await client.answer(question, 0)).toMatchObject({
    status: 503,
    body: { code: 'RPC_FAILED' },
  })

  const again = await newChain({ args: state, port, deployment })
  await push(again, later)
  await client.until(ROOT, later, isState('reported'))
  await client.answer(question, 0)
  await client.until(ROOT, question, isState('resolved'))
  expect(await reportsOf(again, question)).toHaveLength(1)
  expect(await reportsOf(again, later)).toHaveLength(1)
})

test('notices that the endpoint came back with another chain', async () => {
  const before = await newChain()
  const dataDir = await folders.create(before)
  const keeper = newKeeper(keeperEnv(before, dataDir))
  await keeper.says('keeper.ready')
  await before.stop()
  await newChain({ port: before.port, args: ['--timestamp', '1'] })
  expect(await keeper.ended).toBe(11)
  expect(keeper.errors.at(-1)).toContain('error OTHER_CHAIN: ')
})

test('goes on where it was stopped: worlds that ended with it are made again', async () => {
  const chain = await newChain()
  await fund(chain)
  const dataDir = await folders.create(chain)
  const client = keeperClient(dataDir)
  const first = newKeeper(keeperEnv(chain, dataDir))
  await first.says('keeper.ready')
  const { question } = await askQuestion(chain, spec())
  await push(chain, question)
  const { worlds } = await client.until(ROOT, question, isState('reported'))
  const { question: settled } = await askQuestion(chain, spec())
  await push(chain, settled)
  await client.until(ROOT, settled, isState('reported'))
  await client.answer(settled, 1)
  await client.until(ROOT, settled, isState('resolved'))
  first.signal('SIGTERM')
  expect(await first.ended).toBe(0)

  // Pushed into while nobody looked.
  const { question: unseen } = await askQuestion(chain, spec())
  await push(chain, unseen)
  const nested = [{ question, outcome: 1 }]
  const { question: inner } = await askQuestion(chain, spec({ setup: 'globalThis.base += 10' }))
  await push(chain, inner, nested, 50n)

  const second = newKeeper(keeperEnv(chain, dataDir))
  await second.says('keeper.ready')
  await client.until(ROOT, unseen, isState('reported'))
  const below = await client.until(worlds[1]!.verseId, inner, isState('reported'))
  expect(below.worlds[1]!.cost).toBe(`${13n * 10n ** 18n}`)
  await client.answer(question, 1)
  const resolved = await client.until(ROOT, question, isState('resolved'))
  expect(resolved.worlds).toEqual(worlds)
  const { body } = await client.call('GET', '/worlds')
  const names = (body as { worlds: { verseId: Hex; name: string }[] }).worlds
    .filter(({ verseId }) => worlds.some((world) => world.verseId === verseId))
    .map(({ name }) => name)
  expect(names).toEqual(['optimal'])
  for (const each of [question, settled, unseen, inner])
    expect(await reportsOf(chain, each)).toHaveLength(1)
})

test('finds the worlds of partitions again when their folder is lost', async () => {
  const chain = await newChain()
  await fund(chain)
  const dataDir = await folders.create(chain)
  const client = keeperClient(dataDir)
  const first = newKeeper(keeperEnv(chain, dataDir))
  const { question } = await askQuestion(chain, spec())
  await push(chain, question)
  await client.until(ROOT, question, isState('reported'))
  first.signal('SIGTERM')
  await first.ended
  await rm(dataPaths(dataDir).worlds, { recursive: true })
  newKeeper(keeperEnv(chain, dataDir))
  await eventually('an answer taken', async () => {
    const value = await client.answer(question, 2).catch(() => null)
    return { value, isReached: value?.status === 202 }
  })
  await client.until(ROOT, question, isState('resolved'))
  const { body } = await client.call('GET', '/worlds')
  expect((body as { worlds: { name: string }[] }).worlds.map(({ name }) => name)).toEqual(['chaos'])
})

test('knows its own reports and answers on the chain when its books are lost', async () => {
  const chain = await newChain()
  await fund(chain)
  const lost = await folders.create(chain)
  const first = newKeeper(keeperEnv(chain, lost))
  const { question } = await askQuestion(chain, spec({ outcome: { source: 'pipeline' } }))
  const { question: open } = await askQuestion(chain, spec())
  await push(chain, question)
  await push(chain, open)
  await keeperClient(lost).until(ROOT, question, isState('resolved'))
  const before = await keeperClient(lost).until(ROOT, open, isState('reported'))
  first.signal('SIGKILL')
  await first.ended

  const fresh = await folders.create(chain)
  newKeeper(keeperEnv(chain, fresh))
  const after = await keeperClient(fresh).until(ROOT, open, isState('reported'))
  expect(after.reportTx).toBe(before.reportTx)
  expect(after.worlds.map(({ stateRoot }) => stateRoot)).toEqual(
    before.worlds.map(({ stateRoot }) => stateRoot),
  )
  // Decided before it was seen: it needs no worlds any more.
  await keeperClient(fresh).until(ROOT, question, isState('resolved'))
  expect(await reportsOf(chain, open)).toHaveLength(1)
  expect(await answersOf(chain, question)).toHaveLength(1)
})
