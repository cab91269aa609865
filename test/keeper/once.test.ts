import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { partitionKey } from '../../keeper/jobs/key.ts'
import { ROOT } from '../../sdk/ids.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'
import { type KeeperProcess, spawnKeeper } from './child.ts'
import {
  answersOf,
  askQuestion,
  createFolders,
  type Folders,
  fund,
  keeperEnv,
  PATIENT,
  programmed,
  push,
  reportsOf,
  spec,
} from './world.ts'

vi.setConfig(PATIENT)

// A keeper that sends nothing, one that is told to end in the midst of its work, and one that settles what it can and ends.

let chain: LocalChain
let folders: Folders
let cache: string
const keepers: KeeperProcess[] = []

beforeAll(async () => {
  ;[chain, folders, cache] = await Promise.all([
    startChain(),
    createFolders(),
    mkdtemp(join(tmpdir(), 'keeper-cache-')),
  ])
  await fund(chain)
})
afterAll(async () => {
  for (const keeper of keepers) {
    keeper.signal('SIGKILL')
    await keeper.ended
  }
  await chain?.stop()
  await folders?.remove()
  await rm(cache, { recursive: true, force: true })
})

test('dry it sends nothing, stopped in the midst it loses nothing, once it settles all and ends', async () => {
  const dataDir = await folders.create(chain)
  const spawn = (env: Record<string, string>) => {
    const keeper = spawnKeeper(
      keeperEnv(chain, dataDir, { KEEPER_LOG_LEVEL: 'debug', KEEPER_STOP_MS: '60000', ...env }),
      cache,
    )
    keepers.push(keeper)
    return keeper
  }
  const { chainId, addresses } = chain.deployment
  const sent = () => chain.publicClient.getTransactionCount({ address: chain.accounts[9]!.address })
  const { question: quick } = await askQuestion(chain, spec({ outcome: { source: 'pipeline' } }))
  await push(chain, quick)

  const dry = spawn({ KEEPER_DRY_RUN: '1', KEEPER_ONE_SHOT: '1' })
  expect(await dry.ended).toBe(0)
  const quickKey = partitionKey(chainId, addresses.multiverse, { parent: ROOT, question: quick })
  expect(await dry.says('tx.withheld')).toMatchObject({
    purpose: `report:${quickKey}`,
    to: addresses.worlds,
    function: 'report',
    gas: expect.stringMatching(/^\d+$/),
  })
  expect(await sent()).toBe(0)

  // One that takes its time is cut off.
  const { question: slow } = await askQuestion(
    chain,
    programmed('for (let i = 0; i < 1e7; i++); return { cost: 1 }', {
      verses: [{ name: 'only', strategy: '', trit: 0, probability: '1' }],
    }),
  )
  await push(chain, slow)
  const slowKey = partitionKey(chainId, addresses.multiverse, { parent: ROOT, question: slow })
  const cut = spawn({ KEEPER_WORLD_TIME_MS: '60000' })
  await cut.says(
    'step.intended',
    (line) => line['step'] === 'execute' && line['partition'] === slowKey,
  )
  cut.signal('SIGTERM')
  expect(await cut.ended).toBe(0)
  expect(cut.lines.at(-1)!.msg).toBe('keeper.stopped')
  expect(await reportsOf(chain, slow)).toEqual([])

  const once = spawn({ KEEPER_ONE_SHOT: '1', KEEPER_WORLD_TIME_MS: '60000' })
  expect(await once.ended).toBe(0)
  expect(await reportsOf(chain, slow)).toHaveLength(1)
  expect(await reportsOf(chain, quick)).toHaveLength(1)
  expect(await answersOf(chain, quick)).toHaveLength(1)
  expect(once.lines.filter(({ msg }) => msg === 'partition.resolved')).toHaveLength(1)
})
