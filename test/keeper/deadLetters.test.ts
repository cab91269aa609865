import type { Hex } from 'viem'
import { beforeAll, expect, test, vi } from 'vitest'
import {
  keeperDropVerb,
  keeperJobsVerb,
  keeperRetryVerb,
  keeperStatusVerb,
  keeperTxsVerb,
  keeperWorldsVerb,
} from '../../cli/verbs/keeper.ts'
import { partitionKey } from '../../keeper/jobs/key.ts'
import { openBackends } from '../../keeper/providers.ts'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { ask } from '../../sdk/actions.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import { ROOT } from '../../sdk/ids.ts'
import { specDataUri } from '../../sdk/spec.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { lastJson, multiverse } from '../cli/harness.ts'
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
  USER,
} from './world.ts'

vi.setConfig(PATIENT)

// Jobs that fail, wait and are given up on, and what the operator's verbs do about them.

const stage = createStage()
let chain: LocalChain
let dataDir: string
let keeper: TestKeeper
/** Says of each call of a provider whether it fails, and with what. */
let fault: (operation: 'create' | 'execute') => string | null = () => null

beforeAll(async () => {
  chain = await stage.chain()
  dataDir = await stage.folder(chain)
  keeper = await stage.keeper(chain, {}, { dataDir, open: failing })
})

const keyOf = (question: Hex) =>
  partitionKey(chain.deployment.chainId, chain.deployment.addresses.multiverse, {
    parent: ROOT,
    question,
  })
const here = () => ({ data: dataDir, limit: 100 })
/** The job of a partition, as `keeper jobs` lists it. */
async function jobOf(question: Hex) {
  const { json } = await keeperJobsVerb(undefined, here())
  return (json as { jobs: { key: Hex; state: string }[] }).jobs.find(
    ({ key }) => key === keyOf(question),
  )
}
const untilJob = (question: Hex, state: string) =>
  eventually(`job of ${question}`, async () => {
    const value = await jobOf(question)
    return { value, isReached: value?.state === state }
  })

/** Has a question asked whose spec is nowhere, and a push-down into it. */
async function specless() {
  const asked = await askQuestion(chain, spec(), { uri: 'data:application/json,%7B%7D' })
  await push(chain, asked.question)
  return {
    ...asked,
    publish: () =>
      ask(chain.wallet(USER), {
        multiverse: chain.deployment.addresses.multiverse,
        ...asked.terms,
        uri: specDataUri(asked.json),
      }),
  }
}

test('a dead letter is listed, inspected, retried and dropped', async () => {
  const { question, publish } = await specless()
  await keeper.until(ROOT, question, isState('failed'))
  expect(await untilJob(question, 'dead')).toMatchObject({
    queue: 'partition',
    question,
    partition: 'failed',
    class: 'permanent',
    failures: 1,
    nextAt: null,
    error: { code: expect.stringMatching(/^SPEC_/) },
  })
  const short = keyOf(question).slice(0, 10)
  const { json: one } = await keeperJobsVerb(short, here())
  expect(one).toMatchObject({ key: keyOf(question), history: [{ code: expect.any(String) }] })

  // Nothing was mended: it is one again, with one failure.
  expect((await keeperRetryVerb(short, here())).json).toEqual({ keys: [keyOf(question)] })
  expect(await untilJob(question, 'dead')).toMatchObject({ failures: 1 })

  const { question: other } = await specless()
  await untilJob(other, 'dead')
  // The duty to answer each has none either.
  await eventually('dead letters of partitions and duties', async () => {
    const value = (await keeperStatusVerb(here())).json
    return { value, isReached: value.isRunning && value.dead === 4 }
  })
  await keeperDropVerb(short, here())
  expect(await jobOf(question)).toBeUndefined()
  const { json: dropped } = await keeperDropVerb(undefined, { ...here(), all: true })
  expect((dropped as { keys: Hex[] }).keys.toSorted()).toEqual(
    [keyOf(other), other, question].toSorted(),
  )
  expect((await keeper.partition(ROOT, question))?.error?.code).toBe('DROPPED')
  // What was dropped is not brought back by its spec.
  await publish()
  const { question: next } = await askQuestion(chain, spec())
  await push(chain, next)
  await keeper.until(ROOT, next, isState('reported'))
  expect((await keeper.partition(ROOT, question))?.state).toBe('failed')
  await expect(keeperRetryVerb(short, here())).rejects.toThrow('no job is named')
  await expect(keeperRetryVerb(undefined, here())).rejects.toThrow('name one job')
})

test('worlds that all failed are run anew when their partition is retried', async () => {
  fault = (operation) => (operation === 'execute' ? 'EXECUTION_TIMEOUT' : null)
  const { question } = await askQuestion(chain, spec())
  await push(chain, question)
  const failed = await keeper.until(ROOT, question, isState('failed'))
  expect(failed.error).toMatchObject({ code: 'WORLDS_FAILED' })
  fault = () => null
  await untilJob(question, 'dead')
  await keeperRetryVerb(keyOf(question), here())
  await keeper.until(ROOT, question, isState('reported'))
  expect(await jobOf(question)).toBeUndefined()
  expect(await reportsOf(chain, question)).toHaveLength(1)
  const { json } = await keeperWorldsVerb(here())
  const own = (json as { worlds: { partition: Hex; name: string }[] }).worlds.filter(
    ({ partition }) => partition === keyOf(question),
  )
  expect(own.map(({ name }) => name)).toEqual(['nash', 'optimal', 'chaos'])
  expect((await keeperTxsVerb(here())).json).toMatchObject({
    txs: [{ purposes: [`report:${keyOf(question)}`], state: 'mined' }, { state: 'mined' }],
  })
})

test('what a provider fails at comes again, and is given up on after five times', async () => {
  let left = 2
  fault = (operation) => (operation === 'create' && left-- > 0 ? 'PROVIDER_FAILED' : null)
  const { question } = await askQuestion(chain, spec())
  await push(chain, question)
  await keeper.until(ROOT, question, isState('reported'))
  expect(left).toBeLessThan(1)
  expect(await jobOf(question)).toBeUndefined()

  left = Infinity
  const { question: hopeless } = await askQuestion(chain, spec())
  await push(chain, hopeless)
  expect(await untilJob(hopeless, 'delayed')).toMatchObject({ class: 'transient' })
  await eventually('five tries', async () => {
    const value = (await jobOf(hopeless)) as { failures: number; state: string } | undefined
    // Waits are for the operator to cut short.
    if (value?.state === 'delayed') await keeperRetryVerb(keyOf(hopeless), here())
    return { value, isReached: value?.state === 'dead' }
  })
  const { json } = await keeperJobsVerb(keyOf(hopeless), here())
  expect(json).toMatchObject({ state: 'dead', partition: 'failed', failures: 5 })
  expect(json).toMatchObject({ history: { length: 5 } })
  left = 0
  await keeperRetryVerb(undefined, { ...here(), all: true })
  await keeper.until(ROOT, hopeless, isState('reported'))
})

test('new work waits for a budget that is spent, and goes on when it is raised', async () => {
  await keeper.stop()
  // A keeper does not run: its books alone answer.
  const offline = await multiverse(['keeper', 'status', '--data', dataDir, '--json'])
  expect(lastJson(offline)).toMatchObject({ isRunning: false, dead: 0 })

  keeper = await stage.keeper(chain, { KEEPER_BUDGET_DAY: '0.000001' }, { dataDir })
  const { question } = await askQuestion(chain, spec())
  await push(chain, question)
  const held = await keeper.until(ROOT, question, isState('waiting'))
  expect(held.waiting).toMatchObject({
    reason: 'budget',
    message: expect.stringContaining('KEEPER_BUDGET_DAY is 0.000001'),
  })
  expect(await untilJob(question, 'held')).toMatchObject({ nextAt: expect.any(String) })
  const { text } = await keeperJobsVerb(undefined, { ...here(), state: 'held' })
  expect(text).toContain('budget: providers spent')
  await keeper.stop()

  const budgets = { KEEPER_BUDGET_DAY: '1000', KEEPER_BUDGET_VERSE: '1000' }
  keeper = await stage.keeper(chain, budgets, { dataDir })
  const reported = await keeper.until(ROOT, question, isState('reported'))
  expect(reported.waiting).toBeNull()
})

/** Backends that fail at what {@link fault} says. */
async function failing(options: Parameters<typeof openBackends>[0]) {
  const backends = await openBackends(options)
  const check = (operation: 'create' | 'execute') => {
    const code = fault(operation)
    if (code !== null) throw new MultiverseError(code, 'not today')
  }
  const worlds = backends.worlds.map((provider): WorldRuntimeProvider => ({
    ...provider,
    create: async (how) => {
      check('create')
      return provider.create(how)
    },
    execute: async (id, code, how) => {
      // The setup is no program.
      if (code.includes('input')) check('execute')
      return provider.execute(id, code, how)
    },
  }))
  return { ...backends, worlds }
}
