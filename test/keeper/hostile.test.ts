import type { Hex } from 'viem'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { ROOT } from '../../sdk/ids.ts'
import { specDataUri } from '../../sdk/spec.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { type FaultyRpc, startFaultyRpc, type WireFaults } from '../helpers/faultyRpc.ts'
import type { KeeperProcess } from './child.ts'
import { createLoad } from './load.ts'
import { expectNothingWasted, expectOnceInJournal, expectOnceOnChain } from './once.ts'
import { createStage } from './stage.ts'
import {
  askQuestion,
  eventually,
  isState,
  KEEPER,
  type KeeperClient,
  keeperClient,
  keeperEnv,
  PATIENT,
  push,
  readJournal,
  reportsOf,
  resolvedEnd,
  spec,
} from './world.ts'

vi.setConfig(PATIENT)

// A keeper among those who mean it harm, or are broken: nothing is lost, nothing is done twice, and its log says what happened.

/** Partitions of a spammer. */
const SPAM = process.env['DEEP'] === '1' ? 1_000 : 120
const ENOUGH = 100n

const stage = createStage()
let chain: LocalChain
let proxy: FaultyRpc
let keeper: KeeperProcess
let client: KeeperClient

beforeAll(async () => {
  chain = await stage.chain()
  proxy = await startFaultyRpc(chain.url)
  const dataDir = await stage.folder(chain)
  client = keeperClient(dataDir)
  keeper = stage.spawn(
    keeperEnv({ ...chain, url: proxy.url }, dataDir, {
      KEEPER_TOKENS: `${chain.deployment.addresses.token}=${ENOUGH}`,
    }),
  )
  await keeper.says('keeper.ready')
})
afterAll(() => proxy?.stop())

const asked = spec({ outcome: { source: 'pipeline' } })

async function begin(): Promise<Hex> {
  const { question } = await askQuestion(chain, asked)
  await push(chain, question, [], ENOUGH)
  return question
}

const calls = () => [...proxy.calls.values()].reduce((sum, count) => sum + count, 0)

/** What the endpoint does, and how many calls meet it: of those that fail each comes later than the one before. */
const STORM: [does: string, faults: Partial<WireFaults>, met: number][] = [
  ['is behind', { lagBlocks: 3 }, 15],
  ['tells of a head that nobody has', { ghostHead: 2 }, 15],
  ['loses all logs', { dropLogs: 'all' }, 15],
  ['loses every other log', { dropLogs: 'half' }, 15],
  ['fails', { errors: { '*': { code: -32_000, message: 'internal error' } } }, 6],
  ['wants less to be asked', { refuses: { status: 429, retryAfterS: 1 } }, 6],
  ['cuts connections', { cutsConnections: true }, 6],
  ['is slow', { delayMs: 150 }, 15],
  ['takes transactions and forgets them', { swallowSends: true }, 15],
]

test('bears an endpoint that is everything an endpoint must not be, one after the other', async () => {
  const questions: Hex[] = []
  for (const [, faults, met] of STORM) {
    questions.push(await begin())
    proxy.set(faults)
    questions.push(await begin())
    const before = calls()
    await eventually('some calls', async () => {
      const value = calls() - before
      return { value, isReached: value >= met }
    })
    proxy.heal()
  }
  for (const question of questions) await resolvedEnd(client, ROOT, question)
  await expectOnceOnChain(chain, questions)
  await expectNothingWasted(chain)
  expectOnceInJournal(await readJournal(await keeper.port()), questions)
  const said = keeper.lines.filter(({ level }) => level === 'warn').map(({ msg }) => msg)
  expect(said).toEqual(expect.arrayContaining(['rpc.down']))
  expect(keeper.errors).toEqual([])
})

test.each<[string, string]>([
  ['nests deeper than anybody reads', `${'['.repeat(30_000)}${']'.repeat(30_000)}`],
  ['would be what all objects are', '{"__proto__":{"version":1},"constructor":{"prototype":1}}'],
  ['is a number with a million digits', `1${'0'.repeat(60_000)}`],
])('a spec that %s fails its partition alone', async (title, json) => {
  const { question } = await askQuestion(chain, spec({ title }), { uri: specDataUri(json) })
  await push(chain, question, [], ENOUGH)
  const after = await begin()
  const failed = await client.until(ROOT, question, isState('failed'))
  expect(failed.error?.code).toMatch(/^SPEC_/)
  await resolvedEnd(client, ROOT, after)
  expect(await reportsOf(chain, question)).toEqual([])
})

test('an oracle that reverts whatever it is asked costs the keeper its answer, and nothing else', async () => {
  const { question } = await askQuestion(chain, asked, { oracle: chain.deployment.addresses.token })
  await push(chain, question, [], ENOUGH)
  const partition = await client.until(ROOT, question, isState('reported'))
  expect(partition.error).toBeNull()
  expect(await reportsOf(chain, question)).toHaveLength(1)
})

test(`${SPAM} questions with dust in them cost nothing, and keep nobody waiting`, async () => {
  const nonce = () =>
    chain.publicClient.getTransactionCount({ address: chain.accounts[KEEPER]!.address })
  const { body: before } = await client.call('GET', '/worlds')
  const spent = await nonce()
  const dust = await createLoad(chain).push(SPAM)
  const honest = await begin()
  await resolvedEnd(client, ROOT, honest)
  await eventually('all of it declined', async () => {
    const { body } = await client.call('GET', '/status')
    const { partitions } = body as { partitions: { state: string; count: number }[] }
    const value = partitions.find(({ state }) => state === 'declined')?.count ?? 0
    return { value, isReached: value === dust.length }
  })
  // The honest one's report and answer are all it paid for.
  expect((await nonce()) - spent).toBeLessThanOrEqual(2)
  const { body: after } = await client.call('GET', '/worlds')
  const count = (body: unknown) => (body as { worlds: unknown[] }).worlds.length
  expect(count(after) - count(before)).toBe(1)
  const declined = keeper.lines.filter(({ msg }) => msg === 'partition.declined')
  expect(declined.length).toBeGreaterThanOrEqual(dust.length)
  expect(declined.at(-1)).toMatchObject({ code: 'SUPPLY_TOO_SMALL' })
})
