import { type Hex, zeroHash } from 'viem'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
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
import { type LocalChain, startChain } from '../helpers/chain.ts'
import { addition, program } from '../providers/evm.ts'
import {
  askQuestion,
  createFolders,
  type Folders,
  fund,
  isState,
  KEEPER,
  PATIENT,
  push,
  reportsOf,
  spec,
  startTestKeeper,
  type TestKeeper,
} from './world.ts'

vi.setConfig(PATIENT)

// What the keeper does with a partition's worlds before it reports them: who serves them, who improves them, who checks.

const WAD = 10n ** 18n
const ALL = { parallel: true, optimize: true, verify: true }
let folders: Folders
/** Each with a chain of its own: a keeper works on all there is on one. */
const open: { chain: LocalChain; keepers: TestKeeper[] }[] = []

beforeAll(async () => {
  folders = await createFolders()
})
afterAll(async () => {
  for (const { chain, keepers } of open) {
    for (const keeper of keepers) await keeper.stop()
    await chain.stop()
  }
  await folders?.remove()
})

/** A chain, and keepers that follow each other on one data folder. */
async function scene() {
  const chain = await startChain()
  const keepers: TestKeeper[] = []
  open.push({ chain, keepers })
  await fund(chain)
  const dataDir = await folders.create(chain)
  return {
    chain,
    start: async (
      env: Record<string, string> = {},
      options: Parameters<typeof startTestKeeper>[3] = {},
    ): Promise<TestKeeper> => {
      for (const keeper of keepers.splice(0)) await keeper.stop()
      const keeper = await startTestKeeper(chain, dataDir, env, options)
      keepers.push(keeper)
      return keeper
    },
    partitioned: async (keeper: TestKeeper, asked: Spec, state = 'reported') => {
      const { question } = await askQuestion(chain, asked)
      await push(chain, question)
      const partition = await keeper.until(ROOT, question, isState(state))
      return { question, partition }
    },
    reported: (verse: Hex) =>
      chain.publicClient.readContract({
        address: chain.deployment.addresses.worlds,
        abi: worldsAbi,
        functionName: 'world',
        args: [chain.accounts[KEEPER]!.address, verse],
      }),
  }
}

/** What each of the three lanes is to be. */
const thrice = (each: unknown) => [each, each, each]

const costs = ({ worlds }: PartitionView) => worlds.map(({ cost }) => Number(cost) / 1e18)

const lanes = ({ worlds }: PartitionView) =>
  worlds.map(({ lane }) => ({ ...lane, providers: lane.providers.toSorted() }))

async function invocations(keeper: TestKeeper, verse: Hex) {
  const entries = await keeper.journal()
  return entries
    .map(({ event }) => event)
    .filter((event) => event.kind === 'provider.invoked')
    .filter(({ verseId: of }) => of === verse)
}

/** Names of the worlds that live for a question's verses under ROOT. */
async function liveWorlds(keeper: TestKeeper, question: Hex): Promise<string[]> {
  const { body } = await keeper.call('GET', '/worlds')
  const { worlds } = body as { worlds: { verseId: Hex | null; name: string | null }[] }
  const verses = [0, 1, 2].map((outcome) => childVerse(ROOT, question, outcome))
  return worlds
    .filter(({ verseId: of }) => of !== null && verses.includes(of))
    .map(({ name }) => name ?? 'base')
    .toSorted((a, b) => a.localeCompare(b))
}

type Scene = Awaited<ReturnType<typeof scene>>
let plain: Scene
let keeper: TestKeeper
beforeAll(async () => {
  plain = await scene()
  keeper = await plain.start()
})

test('closes an open plan with the missing trit: every lane is done again before it is reported', async () => {
  const { question, partition } = await plain.partitioned(keeper, spec())
  expect(partition.worlds.map(({ isVerified, optimized }) => [isVerified, optimized])).toEqual(
    thrice([true, null]),
  )
  expect(lanes(partition)).toEqual(
    thrice({ providers: ['quickjs', 'replay'], sum: 0, conserved: true, debt: 0 }),
  )
  for (const outcome of [0, 1, 2]) {
    const verse = childVerse(ROOT, question, outcome)
    expect(await plain.reported(verse)).toMatchObject({ verdict: 2 })
    const checks = (await invocations(keeper, verse)).filter((row) => row.providerId === 'replay')
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
  const { chain, start, partitioned, reported } = await scene()
  const first = await start()
  const { question, partition } = await partitioned(first, { ...asked, setup: poor, needs: ALL })
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
  const journal = (await first.journal()).map(({ event }) => event)
  const wev = journal.find(
    (event): event is Extract<JournalEvent, { kind: 'wev.measured' }> =>
      event.kind === 'wev.measured' && event.question === question,
  )
  expect(wev).toMatchObject({ costNash: `${WAD}`, costOptimal: optimal!.cost })
  const rows = await invocations(first, nash!.verseId)
  expect(rows.filter(({ operation }) => operation === 'optimize')).toMatchObject([
    { providerId: 'grpo', output: { rollouts: 480, failed: 0, before: 1 } },
  ])
  // Rollouts are the lane's own, and end.
  expect(rows.filter(({ operation }) => operation === 'branch').length).toBeGreaterThan(480)
  expect(await liveWorlds(first, question)).toEqual(['chaos', 'nash', 'optimal'])

  // A restart ends the worlds. The one that comes true is made again as the optimiser left it.
  const height = Number(await chain.publicClient.getBlockNumber())
  const headOf = async (of: TestKeeper) => {
    const { body } = await of.call('GET', '/status')
    return (body as { head: { number: number } | null }).head?.number
  }
  await expect.poll(() => headOf(first)).toBe(height)
  const second = await start()
  // No block came meanwhile, and none need come for it to go on.
  await expect.poll(() => headOf(second), { timeout: 30_000 }).toBe(height)
  const again = await second.until(ROOT, question, isState('reported'))
  expect(again.worlds).toEqual(partition.worlds)
  await second.answer(question, 'optimal')
  await second.until(ROOT, question, isState('resolved'))
  expect(await liveWorlds(second, question)).toEqual(['optimal'])
})

test.each<[string, Partial<Spec>, string]>([
  ['a language that nobody here runs', { language: 'python' }, 'quickjs runs javascript'],
  ['to optimise nothing', { needs: ALL }, 'names no parameters'],
  ['training without optimising', { training: { groups: 1 } }, 'does not ask to optimise'],
])(
  'a spec that asks for %s fails with one clear error, and leaves no world',
  async (_, changes, said) => {
    const { question, partition } = await plain.partitioned(keeper, spec(changes), 'failed')
    expect(partition.error).toMatchObject({ code: 'NEEDS_UNMET' })
    expect(partition.error!.message).toContain(said)
    expect(await liveWorlds(keeper, question)).toEqual([])
    expect(await reportsOf(plain.chain, question)).toEqual([])
    expect(await invocations(keeper, childVerse(ROOT, question, 0))).toEqual([])
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
  const { question, partition } = await plain.partitioned(keeper, asked)
  // It was trained as the spec says.
  const [optimised] = (await invocations(keeper, partition.worlds[0]!.verseId)).filter(
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
  expect(await liveWorlds(keeper, question)).toEqual(['nash', 'optimal'])
})

type Lie = (run: ExecutionResult) => Partial<ExecutionResult>

/** Backends of the registry, but a run in the nash verse says something else than what came of it. */
function lying(lie: () => Lie): typeof openBackends {
  return async (options) => {
    const backends = await openBackends(options)
    const worlds = backends.worlds.map((provider) => ({
      ...provider,
      execute: async (...call: Parameters<typeof provider.execute>) => {
        const run = await provider.execute(...call)
        return call[1].includes('"name":"nash"') ? { ...run, ...lie()(run) } : run
      },
    }))
    return { ...backends, worlds }
  }
}

const LIES: [string, Lie][] = [
  ['its state', () => ({ stateRoot: `0x${'12'.repeat(32)}` })],
  ['its state with nonsense', () => ({ stateRoot: 'trust me' as Hex })],
  ['its cost', () => ({ value: { cost: 1 } })],
]

test('a world that lies is named with the step that is false, and not reported', async () => {
  let lie: Lie = () => ({})
  const { chain, start, partitioned, reported } = await scene()
  const deceived = await start({}, { open: lying(() => lie) })
  for (const [about, said] of LIES) {
    lie = said
    const { question, partition } = await partitioned(deceived, spec())
    const [nash, optimal, chaos] = partition.worlds
    expect([about, nash]).toMatchObject([
      about,
      { stateRoot: null, cost: null, isVerified: false, error: { code: 'LANE_DIVERGED' } },
    ])
    expect(nash!.error!.message).toMatch(/^step 1 \(code 0x[0-9a-f]{16}\) claims /)
    expect([optimal, chaos]).toMatchObject([{ isVerified: true }, { isVerified: true }])
    // Cheapest by its own word, it still does not win.
    expect(partition.winner).toBe(1)
    const verse = childVerse(ROOT, question, 0)
    expect(await reported(verse)).toMatchObject({ verdict: 3, stateRoot: zeroHash, cost: 0n })
    expect(await liveWorlds(deceived, question)).toEqual(['chaos', 'optimal'])

    // Nothing is built on it.
    const { question: inner } = await askQuestion(chain, spec())
    const path = [{ question, outcome: 0 }]
    await push(chain, inner, path, 10n)
    const nested = await deceived.until(verseId(path), inner, isState('failed'))
    expect(nested.error).toMatchObject({ code: 'PARENT_WORLD_MISSING' })
    expect(nested.error!.message).toContain('step 1')
  }
})

test('a verifier that dies is asked again; what it cannot decide, or answers with nonsense, is not reported', async () => {
  let verdict: () => Promise<Verdict | null> = async () => null
  const { chain, start, partitioned } = await scene()
  const asking = await start(
    {},
    {
      open: async (options) => {
        const backends = await openBackends(options)
        const { verifier } = backends
        const verify: typeof verifier.verify = async (...call) =>
          (await verdict()) ?? verifier.verify(...call)
        return { ...backends, verifier: { ...verifier, verify } }
      },
    },
  )
  let deaths = 0
  verdict = async () => {
    if (deaths++ > 0) return null
    throw new MultiverseError('REPLAY_DIED', 'its process ended', { isRetryable: true })
  }
  const { question, partition } = await partitioned(asking, spec())
  expect(partition.worlds.map(({ isVerified }) => isVerified)).toEqual(thrice(true))
  expect(lanes(partition)).toEqual(
    thrice({ providers: ['quickjs', 'replay'], sum: 0, conserved: true, debt: 0 }),
  )
  expect(await reportsOf(chain, question)).toHaveLength(1)

  const computed = [0, 1].map(() => ({ kind: 'done' as const, stateRoot: '0x', value: null }))
  verdict = async () => ({ kind: 'undecided', step: 0, computed, tookMs: 1 })
  const { question: fickle, partition: undecided } = await partitioned(asking, spec(), 'failed')
  expect(undecided.worlds.map(({ error }) => error?.code)).toEqual(thrice('LANE_UNDECIDED'))
  expect(undecided.error?.code).toBe('WORLDS_FAILED')
  expect(await liveWorlds(asking, fickle)).toEqual([])

  verdict = async () => {
    throw new MultiverseError('REPLAY_INVALID', 'the verifier makes no sense')
  }
  const { question: lost, partition: failed } = await partitioned(asking, spec(), 'failed')
  expect(failed.error?.code).toBe('REPLAY_INVALID')
  expect(await liveWorlds(asking, lost)).toEqual([])
  expect(await reportsOf(chain, lost)).toEqual([])
})

test('gives a spec to the first provider that runs its language; a verse goes on where its world is', async () => {
  const { chain, start, partitioned } = await scene()
  const both = await start({ KEEPER_PROVIDERS: 'quickjs,evm' })
  const asked = spec({
    language: 'evm',
    setup: program(addition(2)),
    program: `{"steps":${JSON.stringify(addition(5))},"result":{"cost":{"$":"sum.output"}}}`,
  })
  const { question, partition } = await partitioned(both, asked)
  expect(partition.worlds.map(({ provider, cost }) => [provider, cost])).toEqual(
    thrice(['evm', `${7n * WAD}`]),
  )
  expect(lanes(partition)[0]).toMatchObject({ providers: ['evm', 'replay'], sum: 0 })
  const { partition: other } = await partitioned(both, spec())
  expect(other.worlds[0]).toMatchObject({ provider: 'quickjs' })

  const path = [{ question, outcome: 1 }]
  const { question: inner } = await askQuestion(chain, { ...asked, setup: program([]) })
  await push(chain, inner, path, 10n)
  const below = await both.until(verseId(path), inner, isState('reported'))
  expect(below.worlds[0]).toMatchObject({ provider: 'evm', cost: `${12n * WAD}` })
  const { question: foreign } = await askQuestion(chain, spec())
  await push(chain, foreign, path, 10n)
  const failed = await both.until(verseId(path), foreign, isState('failed'))
  expect(failed.error).toMatchObject({ code: 'NEEDS_UNMET' })
  expect(failed.error!.message).toContain("parent's world")
})

test('waits for a provider that it was started without', async () => {
  const { start, partitioned } = await scene()
  const first = await start({ KEEPER_PROVIDERS: 'evm' })
  const asked = spec({
    language: 'evm',
    setup: program([]),
    program: '{"steps":[],"result":{"cost":3}}',
  })
  const { question } = await partitioned(first, asked)
  const second = await start()
  await second.answer(question, 1)
  await second.until(ROOT, question, ({ answerTx }) => answerTx !== null)
  expect(await second.partition(ROOT, question)).toMatchObject({ error: null })
  const third = await start({ KEEPER_PROVIDERS: 'quickjs,evm' })
  await third.until(ROOT, question, isState('resolved'))
  expect(await liveWorlds(third, question)).toEqual(['optimal'])
})
