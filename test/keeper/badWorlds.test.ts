import { type Hex } from 'viem'
import { beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { openBackends } from '../../keeper/providers.ts'
import type { ExecutionResult, Instance, WorldRuntimeProvider } from '../../providers/provider.ts'
import type { PartitionView } from '../../keeper/views.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import { childVerse, ROOT } from '../../sdk/ids.ts'
import type { Spec } from '../../sdk/spec.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { createStage } from './stage.ts'
import { askQuestion, isState, PATIENT, push, reportsOf, spec, type TestKeeper } from './world.ts'

vi.setConfig(PATIENT)

// Worlds that answer garbage or half, never, or die in the middle, of every backend that needs nothing installed. Those that
// lie are in pipeline.test.ts.

type Fault = {
  /** In place of what a run of the nash verse gives. */
  execute?: (run: () => Promise<ExecutionResult>) => Promise<ExecutionResult>
  /** In place of the children of a branch. */
  branch?: (children: Instance[], provider: WorldRuntimeProvider) => Promise<Instance[]>
  snapshot?: () => Promise<never>
}

const stage = createStage()
let chain: LocalChain
let keeper: TestKeeper
let providers: readonly WorldRuntimeProvider[]
/** What goes wrong next; each fault is met so often by each provider. */
let fault: Fault = {}
let times = 0
/** Those that were met: provider and call. */
let met: string[] = []

function isDue(provider: WorldRuntimeProvider, call: keyof Fault): boolean {
  const key = `${provider.id} ${call}`
  if (met.filter((each) => each === key).length >= times) return false
  met.push(key)
  return true
}

beforeAll(async () => {
  chain = await stage.chain()
  const env = { KEEPER_PROVIDERS: 'quickjs,evm', KEEPER_WORLD_TIME_MS: '5000' }
  keeper = await stage.keeper(chain, env, {
    // Long beside what a world takes on a busy machine: what is given up too soon is given up again.
    patience: { answerMs: 5_000, runMs: 100 },
    open: async (options) => {
      const backends = await openBackends(options)
      providers = backends.worlds
      return { ...backends, worlds: providers.map(spoiled) }
    },
  })
})
beforeEach(() => {
  fault = {}
  times = 0
  met = []
})

/** A provider that does as `fault` says, as often as it is due. */
function spoiled(provider: WorldRuntimeProvider): WorldRuntimeProvider {
  return {
    ...provider,
    execute: (id, code, options) => {
      const run = () => provider.execute(id, code, options)
      const { execute } = fault
      return execute && code.includes('"name":"nash"') && isDue(provider, 'execute')
        ? execute(run)
        : run()
    },
    snapshot: (id, options) => {
      const { snapshot } = fault
      return snapshot && isDue(provider, 'snapshot') ? snapshot() : provider.snapshot(id, options)
    },
    branch: async (id, count, options) => {
      const children = await provider.branch(id, count, options)
      const { branch } = fault
      return branch && count > 1 && isDue(provider, 'branch')
        ? branch(children, provider)
        : children
    },
  }
}

const programs: Record<string, Partial<Spec>> = {
  quickjs: {},
  evm: {
    language: 'evm',
    setup: '{"steps":[]}',
    program: '{"steps":[],"result":{"cost":{"$":"input.seed"}}}',
  },
}

async function begin(backend: string): Promise<Hex> {
  const { question } = await askQuestion(chain, spec(programs[backend]))
  await push(chain, question)
  return question
}

/** Has a partition of that backend's worlds come to its end. */
async function partitioned(backend: string, state: string) {
  const question = await begin(backend)
  return { question, partition: await ended(question, backend, state) }
}

async function ended(question: Hex, backend: string, state: string): Promise<PartitionView> {
  const partition = await keeper.until(ROOT, question, isState(state))
  expect(partition.worlds[0]?.provider).toBe(backend)
  return partition
}

/** The worlds of a question's verses that the keeper knows, and how many there are at its providers in all. */
async function worldsOf(question: Hex): Promise<{ known: (string | null)[]; strays: number }> {
  const { body } = await keeper.call('GET', '/worlds')
  const { worlds } = body as { worlds: { instanceId: string; verseId: Hex; name: string | null }[] }
  const verses = [0, 1, 2].map((outcome) => childVerse(ROOT, question, outcome))
  const present = (await Promise.all(providers.map((each) => each.list()))).flat()
  const known = worlds.filter(({ verseId }) => verses.includes(verseId)).map(({ name }) => name)
  return {
    known: known.toSorted((a, b) => `${a}`.localeCompare(`${b}`)),
    strays: present.length - worlds.length,
  }
}

const dead = () =>
  Promise.reject(new MultiverseError('PROVIDER_FAILED', 'the world is gone', { isRetryable: true }))
const never = () => new Promise<never>(() => {})

const BACKENDS = Object.keys(programs)
const across = <T extends unknown[]>(rows: T[]) =>
  BACKENDS.flatMap((backend) => rows.map((row) => [backend, ...row] as const))

test.each(
  across<[string, Fault]>([
    ['dies in the middle', { execute: async (run) => run().then(dead) }],
    ['dies at its snapshot', { snapshot: dead }],
    [
      'has two of three branches',
      {
        branch: async ([one, two, three], provider) => {
          await provider.destroy(three!.id)
          return [one!, two!]
        },
      },
    ],
  ]),
)('%s: one that %s once is done over, and leaves nothing', async (backend, _, once) => {
  fault = once
  times = 1
  await expectDoneOver([backend])
  expect(met).toHaveLength(1)
})

test('a run or a snapshot that never answers once is done over, and leaves nothing', async () => {
  fault = { execute: never, snapshot: never }
  times = 1
  // Two of each backend, at the same time: every one is waited for.
  await expectDoneOver([...BACKENDS, ...BACKENDS])
  expect(met.toSorted()).toEqual([
    'evm execute',
    'evm snapshot',
    'quickjs execute',
    'quickjs snapshot',
  ])
})

/** Has a partition of each of these meet the fault, and come to what it would have come to without. */
async function expectDoneOver(backends: readonly string[]): Promise<void> {
  const begun: [question: Hex, backend: string][] = []
  for (const backend of backends) begun.push([await begin(backend), backend])
  for (const [question, backend] of begun) {
    const { worlds } = await ended(question, backend, 'reported')
    expect(worlds.map(({ isVerified, error }) => [isVerified, error])).toEqual(
      [1, 2, 3].map(() => [true, null]),
    )
  }
  for (const [question] of begun) {
    expect(await worldsOf(question)).toEqual({ known: ['chaos', 'nash', 'optimal'], strays: 0 })
    expect(await reportsOf(chain, question)).toHaveLength(1)
  }
}

test.each(
  across<[string, unknown, string]>([
    ['nothing', null, 'null'],
    ['garbage', 'x'.repeat(10_000), '"xxxx'],
    ['half', { value: { cost: 1 }, stdout: '' }, '{"value":{"cost":1}'],
    ['a state without a value', { stateRoot: `0x${'12'.repeat(32)}` }, '{"stateRoot"'],
  ]),
)(
  '%s: one that answers %s fails its verse alone, with one error',
  async (backend, _, said, shown) => {
    fault = { execute: async () => said as ExecutionResult }
    times = 1
    const { question, partition } = await partitioned(backend, 'reported')
    const [nash, optimal, chaos] = partition.worlds
    expect(nash).toMatchObject({ stateRoot: null, cost: null, error: { code: 'RESULT_INVALID' } })
    expect(nash!.error!.message).toContain(shown)
    expect(nash!.error!.message.length).toBeLessThan(200)
    expect([optimal, chaos]).toMatchObject([{ isVerified: true }, { isVerified: true }])
    expect(await worldsOf(question)).toEqual({ known: ['chaos', 'optimal'], strays: 0 })
  },
)

test('one that dies every time fails its partition with one error, and leaves nothing', async () => {
  fault = { execute: dead }
  times = Infinity
  const { question, partition } = await partitioned('quickjs', 'failed')
  expect(partition.error).toEqual({ code: 'PROVIDER_FAILED', message: 'the world is gone' })
  expect(await worldsOf(question)).toEqual({ known: [], strays: 0 })
  expect(await reportsOf(chain, question)).toEqual([])
})
