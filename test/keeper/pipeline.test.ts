import { type Hex, zeroHash } from 'viem'
import { beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { openBackends } from '../../keeper/providers.ts'
import type { PartitionView } from '../../keeper/views.ts'
import type { ExecutionResult } from '../../providers/provider.ts'
import type { Verdict } from '../../providers/replay/lane.ts'
import { pigou } from '../../providers/scenarios/pigou.ts'
import { scenarioSpec } from '../../providers/scenarios/scenario.ts'
import { worldsAbi } from '../../sdk/abi.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import { childVerse, ROOT, verseId } from '../../sdk/ids.ts'
import type { JournalEvent } from '../../sdk/journal.ts'
import type { Spec } from '../../sdk/spec.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { addition, program } from '../providers/evm.ts'
import { createStage } from './stage.ts'
import {
  askQuestion,
  isState,
  KEEPER,
  PATIENT,
  push,
  reportsOf,
  spec,
  type TestKeeper,
} from './world.ts'

vi.setConfig(PATIENT)

// What the keeper does with a partition's worlds before it reports them: who serves them, who improves them, who checks.

const WAD = 10n ** 18n
const ALL = { parallel: true, optimize: true, verify: true }
const HONEST = () => ({})

const stage = createStage()
let chain: LocalChain
let dataDir: string
let keeper: TestKeeper

type Lie = (run: ExecutionResult) => Partial<ExecutionResult>
/** What a run in the nash verse says in place of what came of it, and what the verifier does in place of verifying. */
let lie: Lie = HONEST
let verdict: () => Promise<Verdict | null> = async () => null

beforeAll(async () => {
  chain = await stage.chain()
  dataDir = await stage.folder(chain)
  await start('quickjs,evm')
})
beforeEach(() => {
  lie = HONEST
  verdict = async () => null
})

/** Starts the keeper, again or for the first time, with these providers. */
async function start(providers: string): Promise<void> {
  await keeper?.stop()
  const env = { KEEPER_PROVIDERS: providers }
  keeper = await stage.keeper(chain, env, { dataDir, open: openSpoiled })
}

/** Backends of the registry that do as {@link lie} and {@link verdict} say. */
const openSpoiled: typeof openBackends = async (options) => {
  const backends = await openBackends(options)
  const { verifier } = backends
  const worlds = backends.worlds.map((provider) => ({
    ...provider,
    execute: async (...call: Parameters<typeof provider.execute>) => {
      const run = await provider.execute(...call)
      return call[1].includes('"name":"nash"') ? { ...run, ...lie(run) } : run
    },
  }))
  const verify: typeof verifier.verify = async (...call) =>
    (await verdict()) ?? verifier.verify(...call)
  return { ...backends, worlds, verifier: { ...verifier, verify } }
}

async function partitioned(asked: Spec, state = 'reported') {
  const { question } = await askQuestion(chain, asked)
  await push(chain, question)
  const partition = await keeper.until(ROOT, question, isState(state))
  return { question, partition }
}

const reported = (verse: Hex) =>
  chain.publicClient.readContract({
    address: chain.deployment.addresses.worlds,
    abi: worldsAbi,
    functionName: 'world',
    args: [chain.accounts[KEEPER]!.address, verse],
  })

/** What each of the three lanes is to be. */
const thrice = (each: unknown) => [each, each, each]

const costs = ({ worlds }: PartitionView) => worlds.map(({ cost }) => Number(cost) / 1e18)

const lanes = ({ worlds }: PartitionView) =>
  worlds.map(({ lane }) => ({ ...lane, providers: lane.providers.toSorted() }))

async function invocations(verse: Hex) {
  const entries = await keeper.journal()
  return entries
    .map(({ event }) => event)
    .filter((event) => event.kind === 'provider.invoked')
    .filter(({ verseId: of }) => of === verse)
}

/** Names of the worlds that live for a question's verses under ROOT. */
async function liveWorlds(question: Hex): Promise<string[]> {
  const { body } = await keeper.call('GET', '/worlds')
  const { worlds } = body as { worlds: { verseId: Hex | null; name: string | null }[] }
  const verses = [0, 1, 2].map((outcome) => childVerse(ROOT, question, outcome))
  return worlds
    .filter(({ verseId: of }) => of !== null && verses.includes(of))
    .map(({ name }) => name ?? 'base')
    .toSorted((a, b) => a.localeCompare(b))
}

test('closes an open plan with the missing trit: every lane is done again before it is reported', async () => {
  const { question, partition } = await partitioned(spec())
  expect(partition.worlds.map(({ isVerified, optimized }) => [isVerified, optimized])).toEqual(
    thrice([true, null]),
  )
  expect(lanes(partition)).toEqual(
    thrice({ providers: ['quickjs', 'replay'], sum: 0, conserved: true, debt: 0 }),
  )
  for (const outcome of [0, 1, 2]) {
    const verse = childVerse(ROOT, question, outcome)
    expect(await reported(verse)).toMatchObject({ verdict: 2 })
    const checks = (await invocations(verse)).filter((row) => row.providerId === 'replay')
    expect(checks).toMatchObject([{ operation: 'verify', output: { kind: 'verified', steps: 1 } }])
  }
})

test('improves strategies where the spec asks for it, reports what they cost then, and goes on from there', async () => {
  const degree = 2
  const optimum = 1 - degree * (degree + 1) ** (-(degree + 1) / degree)
  // The cooperative players make a poor start, so that there is something to improve.
  const asked = scenarioSpec(pigou(degree))
  const poor = asked.setup.replace('cooperative() {', 'cooperative() {\n return 0.9')
  expect(poor).not.toBe(asked.setup)
  const { question, partition } = await partitioned({ ...asked, setup: poor, needs: ALL })
  for (const cost of costs(partition)) {
    expect(cost / optimum).toBeGreaterThanOrEqual(1 - 1e-12)
    expect(cost / optimum).toBeLessThan(1.01)
  }
  const [nash, optimal] = partition.worlds
  expect(nash!.optimized!.ownCost).toBe(`${WAD}`)
  expect(Number(optimal!.optimized!.ownCost) / 1e18).toBeCloseTo(0.9 ** 3 + 0.1, 12)
  expect(lanes(partition)).toEqual(
    thrice({ providers: ['grpo', 'quickjs', 'replay'], sum: 0, conserved: true, debt: 0 }),
  )
  for (const { verseId: verse, cost, stateRoot } of partition.worlds)
    expect(await reported(verse)).toMatchObject({ cost: BigInt(cost!), stateRoot, verdict: 2 })
  // Selfish players still cost what they come to by themselves.
  const journal = (await keeper.journal()).map(({ event }) => event)
  const wev = journal.find(
    (event): event is Extract<JournalEvent, { kind: 'wev.measured' }> =>
      event.kind === 'wev.measured' && event.question === question,
  )
  expect(wev).toMatchObject({ costNash: `${WAD}`, costOptimal: optimal!.cost })
  const rows = await invocations(nash!.verseId)
  expect(rows.filter(({ operation }) => operation === 'optimize')).toMatchObject([
    { providerId: 'grpo', output: { rollouts: 480, failed: 0, before: 1 } },
  ])
  // Rollouts are the lane's own, and end.
  expect(rows.filter(({ operation }) => operation === 'branch').length).toBeGreaterThan(480)
  expect(await liveWorlds(question)).toEqual(['chaos', 'nash', 'optimal'])

  // A restart ends the worlds. The one that comes true is made again as the optimiser left it.
  const height = Number(await chain.publicClient.getBlockNumber())
  const headOf = async () => {
    const { body } = await keeper.call('GET', '/status')
    return (body as { head: { number: number } | null }).head?.number
  }
  await expect.poll(headOf).toBe(height)
  await start('quickjs,evm')
  // No block came meanwhile, and none need come for it to go on.
  await expect.poll(headOf, { timeout: 30_000 }).toBe(height)
  const again = await keeper.until(ROOT, question, isState('reported'))
  expect(again.worlds).toEqual(partition.worlds)
  await keeper.answer(question, 'optimal')
  await keeper.until(ROOT, question, isState('resolved'))
  expect(await liveWorlds(question)).toEqual(['optimal'])
})

test.each<[string, Partial<Spec>, string]>([
  ['a language that nobody here runs', { language: 'python' }, 'quickjs runs javascript'],
  ['to optimise nothing', { needs: ALL }, 'names no parameters'],
  ['training without optimising', { training: { groups: 1 } }, 'does not ask to optimise'],
])(
  'a spec that asks for %s fails with one clear error, and leaves no world',
  async (_, changes, said) => {
    const { question, partition } = await partitioned(spec(changes), 'failed')
    expect(partition.error).toMatchObject({ code: 'NEEDS_UNMET' })
    expect(partition.error!.message).toContain(said)
    expect(await liveWorlds(question)).toEqual([])
    expect(await reportsOf(chain, question)).toEqual([])
    expect(await invocations(childVerse(ROOT, question, 0))).toEqual([])
  },
)

test('a program that makes nothing of parameters fails its verse alone, where they were asked for', async () => {
  const asked = spec({
    program: `if (input.parameters && input.verse.trit === 1) throw 1
      return { cost: input.parameters ? 1 + input.parameters[0] : 5 }`,
    parameters: [{ name: 'x', low: 0, high: 1 }],
    training: { groups: 30, groupSize: 6, rate: 0.5, clip: 0.3, kl: 0, staleness: 2, seed: 7 },
    needs: ALL,
  })
  const { question, partition } = await partitioned(asked)
  // It was trained as the spec says.
  const [optimised] = (await invocations(partition.worlds[0]!.verseId)).filter(
    ({ operation }) => operation === 'optimize',
  )
  expect(optimised).toMatchObject({
    input: { seed: 7, training: { groups: 30, groupSize: 6, rate: 0.5, clip: 0.3 } },
    output: { rollouts: 180 },
  })
  expect(partition.worlds.map(({ error }) => error?.code ?? null)).toEqual([
    null,
    null,
    'ROLLOUTS_FAILED',
  ])
  expect(costs(partition)[0]).toBeLessThan(1.01)
  expect(await liveWorlds(question)).toEqual(['nash', 'optimal'])
})

test.each<[string, Lie]>([
  ['its state', () => ({ stateRoot: `0x${'12'.repeat(32)}` })],
  ['its state with nonsense', () => ({ stateRoot: 'trust me' as Hex })],
  ['its cost', () => ({ value: { cost: 1 } })],
])(
  'a world that lies about %s is named with the step that is false, and not reported',
  async (_, said) => {
    lie = said
    const { question, partition } = await partitioned(spec())
    const [nash, optimal, chaos] = partition.worlds
    expect(nash).toMatchObject({
      stateRoot: null,
      cost: null,
      isVerified: false,
      error: { code: 'LANE_DIVERGED' },
    })
    expect(nash!.error!.message).toMatch(/^step 1 \(code 0x[0-9a-f]{16}\) claims /)
    expect([optimal, chaos]).toMatchObject([{ isVerified: true }, { isVerified: true }])
    // Cheapest by its own word, it still does not win.
    expect(partition.winner).toBe(1)
    const verse = childVerse(ROOT, question, 0)
    expect(await reported(verse)).toMatchObject({ verdict: 3, stateRoot: zeroHash, cost: 0n })
    expect(await liveWorlds(question)).toEqual(['chaos', 'optimal'])

    // Nothing is built on it.
    const { question: inner } = await askQuestion(chain, spec())
    const path = [{ question, outcome: 0 }]
    await push(chain, inner, path, 10n)
    const nested = await keeper.until(verseId(path), inner, isState('failed'))
    expect(nested.error).toMatchObject({ code: 'PARENT_WORLD_MISSING' })
    expect(nested.error!.message).toContain('step 1')
  },
)

test('a verifier that dies is asked again; what it cannot decide, or answers with nonsense, is not reported', async () => {
  let deaths = 0
  verdict = async () => {
    if (deaths++ > 0) return null
    throw new MultiverseError('REPLAY_DIED', 'its process ended', { isRetryable: true })
  }
  const { question, partition } = await partitioned(spec())
  expect(partition.worlds.map(({ isVerified }) => isVerified)).toEqual(thrice(true))
  expect(lanes(partition)).toEqual(
    thrice({ providers: ['quickjs', 'replay'], sum: 0, conserved: true, debt: 0 }),
  )
  expect(await reportsOf(chain, question)).toHaveLength(1)

  const computed = [0, 1].map(() => ({ kind: 'done' as const, stateRoot: '0x', value: null }))
  verdict = async () => ({ kind: 'undecided', step: 0, computed, tookMs: 1 })
  const { question: fickle, partition: undecided } = await partitioned(spec(), 'failed')
  expect(undecided.worlds.map(({ error }) => error?.code)).toEqual(thrice('LANE_UNDECIDED'))
  expect(undecided.error?.code).toBe('WORLDS_FAILED')
  expect(await liveWorlds(fickle)).toEqual([])

  verdict = async () => {
    throw new MultiverseError('REPLAY_INVALID', 'the verifier makes no sense')
  }
  const { question: lost, partition: failed } = await partitioned(spec(), 'failed')
  expect(failed.error?.code).toBe('REPLAY_INVALID')
  expect(await liveWorlds(lost)).toEqual([])
  expect(await reportsOf(chain, lost)).toEqual([])
})

test('gives a spec to the first provider that runs its language; a verse goes on where its world is', async () => {
  const asked = spec({
    language: 'evm',
    setup: program(addition(2)),
    program: `{"steps":${JSON.stringify(addition(5))},"result":{"cost":{"$":"sum.output"}}}`,
  })
  const { question, partition } = await partitioned(asked)
  expect(partition.worlds.map(({ provider, cost }) => [provider, cost])).toEqual(
    thrice(['evm', `${7n * WAD}`]),
  )
  expect(lanes(partition)[0]).toMatchObject({ providers: ['evm', 'replay'], sum: 0 })
  const { partition: other } = await partitioned(spec())
  expect(other.worlds[0]).toMatchObject({ provider: 'quickjs' })

  const path = [{ question, outcome: 1 }]
  const { question: inner } = await askQuestion(chain, { ...asked, setup: program([]) })
  await push(chain, inner, path, 10n)
  const below = await keeper.until(verseId(path), inner, isState('reported'))
  expect(below.worlds[0]).toMatchObject({ provider: 'evm', cost: `${12n * WAD}` })
  const { question: foreign } = await askQuestion(chain, spec())
  await push(chain, foreign, path, 10n)
  const failed = await keeper.until(verseId(path), foreign, isState('failed'))
  expect(failed.error).toMatchObject({ code: 'NEEDS_UNMET' })
  expect(failed.error!.message).toContain("parent's world")
})

test('waits for a provider that it was started without', async () => {
  const asked = spec({
    language: 'evm',
    setup: program([]),
    program: '{"steps":[],"result":{"cost":3}}',
  })
  const { question } = await partitioned(asked)
  await start('quickjs')
  await keeper.answer(question, 1)
  await keeper.until(ROOT, question, ({ answerTx }) => answerTx !== null)
  expect(await keeper.partition(ROOT, question)).toMatchObject({ error: null })
  await start('quickjs,evm')
  await keeper.until(ROOT, question, isState('resolved'))
  expect(await liveWorlds(question)).toEqual(['optimal'])
})
