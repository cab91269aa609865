import type { Hex } from 'viem'
import { beforeAll, expect, test, vi } from 'vitest'
import { keeperReconcileVerb } from '../../cli/verbs/keeper.ts'
import { partitionKey } from '../../keeper/jobs/key.ts'
import type { Books } from '../../keeper/keeping.ts'
import { createLog } from '../../keeper/log.ts'
import { openBackends } from '../../keeper/providers.ts'
import { openFolder } from '../../keeper/store/database.ts'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { ROOT } from '../../sdk/ids.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { startFaultyRpc } from '../helpers/faultyRpc.ts'
import { createStage } from './stage.ts'
import {
  askQuestion,
  eventually,
  isState,
  PATIENT,
  push,
  reportsOf,
  spec,
  type TestKeeper,
} from './world.ts'

vi.setConfig(PATIENT)

// What is planted out of step between chain, books and worlds is found, put right and counted.

const stage = createStage()
let chain: LocalChain
let dataDir: string
let keeper: TestKeeper
/** The backend below all that the keeper knows of it, and its books. */
let raw: WorldRuntimeProvider
let books: Books

beforeAll(async () => {
  chain = await stage.chain()
  dataDir = await stage.folder(chain)
  keeper = await start()
})

const start = () =>
  stage.keeper(
    chain,
    {},
    {
      dataDir,
      open: async (options) => {
        const backends = await openBackends(options)
        raw = backends.worlds[0]!
        return backends
      },
      through: (present) => (books = present),
    },
  )
const keyOf = (question: Hex) =>
  partitionKey(chain.deployment.chainId, chain.deployment.addresses.multiverse, {
    parent: ROOT,
    question,
  })
const instances = async () => (await raw.list()).map(({ id }) => id)
const reconcile = async () => (await keeperReconcileVerb({ data: dataDir })).json
const none = { orphans: 0, released: 0, forgotten: 0, missing: 0, phantoms: 0 }

async function reported() {
  const { question } = await askQuestion(chain, spec())
  await push(chain, question)
  const partition = await keeper.until(ROOT, question, isState('reported'))
  return { question, partition }
}

test("an instance that is nobody's is destroyed when it is found again, and no other", async () => {
  await reported()
  const ours = await instances()
  expect(ours).toHaveLength(3)
  const orphan = await raw.create({ seed: 7n })
  // It may be just being made.
  expect(await reconcile()).toEqual(none)
  expect(await reconcile()).toEqual({ ...none, orphans: 1 })
  expect(await instances()).toEqual(ours)
  expect(await instances()).not.toContain(orphan.id)
  expect(await reconcile()).toEqual(none)
  const metrics = await (await fetch(`http://127.0.0.1:${keeper.port}/metrics`)).text()
  expect(metrics).toContain('keeper_reconciled_total{what="orphan')
})

test('worlds of a partition that has ended are let go of', async () => {
  const { question } = await reported()
  const before = await instances()
  await books.partitions.commit(keyOf(question), { state: 'failed' })
  expect(await reconcile()).toEqual({ ...none, released: 1 })
  await eventually('worlds released', async () => {
    const value = await instances()
    return { value, isReached: value.length === before.length - 3 }
  })
})

test('open work without a job is taken up', async () => {
  const { question } = await reported()
  // As if its job had been lost before it rested.
  await books.partitions.commit(keyOf(question), { state: 'running' })
  expect(await reconcile()).toEqual({ ...none, forgotten: 1 })
  await keeper.until(ROOT, question, isState('reported'))
  expect(await reportsOf(chain, question)).toHaveLength(1)
})

test('what the books have lost of the chain is written down again, and done once', async () => {
  const { question, partition } = await reported()
  await keeper.stop()
  const db = await openFolder(dataPaths(dataDir).keeper, createLog('silent'))
  await db.query(`delete from keeper.partitions where key = $1`, [keyOf(question)])
  await db.query(`delete from keeper.questions where id = $1`, [question])
  await db.query(`delete from keeper.spec_uris where question = $1`, [question])
  await db.query(`delete from keeper.txs`)
  await db.close()
  keeper = await start()
  await eventually('ready', async () => {
    const { status } = await fetch(`http://127.0.0.1:${keeper.port}/ready`)
    return { value: status, isReached: status === 200 }
  })
  expect(await keeper.partition(ROOT, question)).toBeNull()
  // Asked, said where its spec is, pushed into, reported.
  expect(await reconcile()).toMatchObject({ missing: 4 })
  const again = await keeper.until(ROOT, question, isState('reported'))
  expect(again.reportTx).toBe(partition.reportTx)
  expect(again.worlds.map(({ stateRoot }) => stateRoot)).toEqual(
    partition.worlds.map(({ stateRoot }) => stateRoot),
  )
  expect(await reportsOf(chain, question)).toHaveLength(1)
  expect(await reconcile()).toEqual(none)
})

test('a report that only the books have, as an endpoint made it up, is made after all, and once', async () => {
  await keeper.stop()
  const proxy = await startFaultyRpc(chain.url)
  const folder = await stage.folder(chain)
  const deceived = await stage.keeper(chain, { MULTIVERSE_RPC_URL: proxy.url }, { dataDir: folder })
  const { question } = await askQuestion(chain, spec({ title: 'Deceived?' }))
  const { question: other } = await askQuestion(chain, spec({ title: 'Deceived?' }))
  const { hash } = await push(chain, other)
  await deceived.until(ROOT, other, isState('reported'))
  // Whatever is sent goes nowhere, and has the receipt of something else.
  const receipt = await chain.testClient.request({
    method: 'eth_getTransactionReceipt' as never,
    params: [hash] as never,
  })
  proxy.set({ swallowSends: true, answers: { eth_getTransactionReceipt: receipt } })
  await push(chain, question)
  await deceived.until(ROOT, question, isState('reported'))
  expect(await reportsOf(chain, question)).toEqual([])
  proxy.heal()
  expect((await keeperReconcileVerb({ data: folder })).json).toMatchObject({ phantoms: 1 })
  await eventually('a report', async () => {
    const value = await reportsOf(chain, question)
    return { value: value.length, isReached: value.length === 1 }
  })
  await deceived.until(ROOT, question, isState('reported'))
  expect((await keeperReconcileVerb({ data: folder })).json).toMatchObject({ phantoms: 0 })
  await deceived.stop()
  await proxy.stop()
})
