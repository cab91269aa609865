import { beforeAll, expect, test, vi } from 'vitest'
import { partitionKey } from '../../keeper/jobs/key.ts'
import { ROOT } from '../../sdk/ids.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { createStage } from './stage.ts'
import {
  answersOf,
  askQuestion,
  keeperEnv,
  PATIENT,
  programmed,
  push,
  reportsOf,
  spec,
} from './world.ts'

vi.setConfig(PATIENT)

// A keeper that sends nothing, one that is told to end in the midst of its work, and one that settles what it can and ends.

const stage = createStage()
let chain: LocalChain

beforeAll(async () => {
  chain = await stage.chain()
})

test('dry it sends nothing, stopped in the midst it loses nothing, once it settles all and ends', async () => {
  const dataDir = await stage.folder(chain)
  const spawn = (env: Record<string, string>) =>
    stage.spawn(
      keeperEnv(chain, dataDir, { KEEPER_LOG_LEVEL: 'debug', KEEPER_STOP_MS: '60000', ...env }),
    )
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
    programmed('for (let i = 0; i < 4e6; i++); return { cost: 1 }', {
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
