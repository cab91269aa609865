import type { Hex } from 'viem'
import { afterEach, expect, test, vi } from 'vitest'
import { partitionKey } from '../../keeper/jobs/key.ts'
import type { PartitionView } from '../../keeper/views.ts'
import { childVerse, type Path, ROOT, verseId } from '../../sdk/ids.ts'
import type { Spec } from '../../sdk/spec.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { randomFrom } from '../helpers/random.ts'
import { CRASH_CHILD, type KeeperProcess } from './child.ts'
import {
  ANSWER_POINTS,
  FOLLOWED,
  type Hold,
  SNAPSHOT_POINTS,
  STEP_POINTS,
  TX_POINTS,
  type TxPoint,
} from './crash/points.ts'
import { createStage } from './stage.ts'
import { expectNothingWasted, expectOnceInJournal, expectOnceOnChain, finalOf } from './once.ts'
import {
  askQuestion,
  type KeeperClient,
  keeperClient,
  keeperEnv,
  PATIENT,
  push,
  readJournal,
  resolvedEnd,
  spec,
} from './world.ts'

vi.setConfig(PATIENT)

// The keeper is killed, again and again, and does everything exactly once.

/** The long runs kill at one place at a time, and more often at random. */
const isDeep = process.env['DEEP'] === '1'
const RANDOM = isDeep ? { kills: 100, partitions: 200 } : { kills: 10, partitions: 40 }
/** Each life has partitions of its own, of which it says so much at least. */
const LINES = (30 * RANDOM.partitions) / RANDOM.kills
/** As many starts as kills: longer than other tests, above all beside much else. */
const MANY_STARTS = isDeep ? 7_200_000 : 1_200_000

const stage = createStage()
let chain: LocalChain
let keeper: KeeperProcess

afterEach(stage.kill)

async function begin() {
  chain = await stage.chain()
  const dataDir = await stage.folder(chain)
  const env = keeperEnv(chain, dataDir, { KEEPER_CONCURRENCY: '64' })
  return {
    client: keeperClient(dataDir),
    start: (holds: readonly Hold[] = [], more: Record<string, string> = {}) =>
      (keeper = stage.spawn(
        { ...env, HOLDS: JSON.stringify(holds), ...more },
        { main: CRASH_CHILD },
      )),
  }
}

const plain = spec({ outcome: { source: 'pipeline' } })
const optimized = spec({
  ...plain,
  verses: [{ name: 'only', strategy: 'cooperative', trit: 0, probability: '1' }],
  program: 'return { cost: base + (input.parameters ?? [2])[0] }',
  parameters: [{ name: 'extra', low: 0, high: 1 }],
  needs: { parallel: true, optimize: true, verify: true },
})

/** A partition of one of the kinds that take another way through the steps. */
type Kind = 'plain' | 'optimized' | 'nested'
type Begun = { kind: Kind; question: Hex; path: Path; key: Hex }

async function askFor(kind: Kind, parent: Hex): Promise<Begun> {
  const { chainId, addresses } = chain.deployment
  const specs: Record<Kind, Spec> = { plain, optimized, nested: plain }
  const { question } = await askQuestion(chain, specs[kind])
  const path = kind === 'nested' ? [{ question: parent, outcome: 1 }] : []
  const key = partitionKey(chainId, addresses.multiverse, { parent: verseId(path), question })
  return { kind, question, path, key }
}

const pushInto = ({ question, path }: Begun) => push(chain, question, path, 1n)

async function beginPartition(kind: Kind, parent: Hex): Promise<Begun> {
  const begun = await askFor(kind, parent)
  await pushInto(begun)
  return begun
}

/** Every instance at the providers is a world that the keeper knows, and every world is of a verse that is still possible. */
async function expectNoOrphans(client: KeeperClient, begun: readonly Begun[]): Promise<void> {
  const { body } = await client.call('GET', '/worlds')
  const { worlds } = body as { worlds: { instanceId: string; verseId: Hex | null }[] }
  keeper.signal('SIGUSR2')
  const { instances } = (await keeper.says('test.instances')) as unknown as { instances: string[] }
  const sorted = (ids: string[]) => ids.toSorted((a, b) => a.localeCompare(b))
  expect(sorted(instances)).toEqual(sorted(worlds.map(({ instanceId }) => instanceId)))
  const lost = begun.flatMap(({ path, question }) =>
    [0, 1, 2].map((outcome) => childVerse(verseId(path), question, outcome)),
  )
  const winners = begun.map(({ kind, path, question }) =>
    childVerse(verseId(path), question, kind === 'optimized' ? 0 : 1),
  )
  const dead = lost.filter((verse) => !winners.includes(verse))
  expect(worlds.filter(({ verseId: verse }) => verse !== null && dead.includes(verse))).toEqual([])
}

/** Everything that was begun comes to the same end as what nobody disturbed, and came to it once. */
async function expectSameEnds(
  client: KeeperClient,
  begun: readonly Begun[],
  calm: readonly Begun[],
): Promise<void> {
  const end = ({ path, question }: Begun) => resolvedEnd(client, verseId(path), question, 300_000)
  const expected: Partial<Record<Kind, PartitionView>> = {}
  for (const each of calm) expected[each.kind] = await end(each)
  for (const each of begun)
    expect([each.question, finalOf(await end(each))]).toEqual([
      each.question,
      finalOf(expected[each.kind]!),
    ])
  const questions = [...begun, ...calm].map(({ question }) => question)
  await expectOnceOnChain(chain, questions)
  await expectNothingWasted(chain)
  expectOnceInJournal(await readJournal(await keeper.port()), questions)
  await expectNoOrphans(client, [...begun, ...calm])
}

type Place = { point: string; kind: Kind; of: 'key' | 'question' }

const steps: Place[] = STEP_POINTS.flatMap(({ point, step }) => {
  const kinds: Kind[] =
    step === 'optimize' ? ['optimized'] : step === 'base' ? ['plain', 'nested'] : ['plain']
  return kinds.map((kind) => ({ point, kind, of: 'key' as const }))
})
const snapshots: Place[] = SNAPSHOT_POINTS.map((point) => ({ point, kind: 'plain', of: 'key' }))
const answers: Place[] = ANSWER_POINTS.map((point) => ({ point, kind: 'plain', of: 'question' }))
const tx = (point: TxPoint): Place => ({
  point,
  kind: 'plain',
  of: point.endsWith('report') ? 'key' : 'question',
})
const followed: Place = { point: FOLLOWED, kind: 'plain', of: 'question' }

/**
 * What is stopped at in each life of the keeper, and what after that. Partitions do not wait for each other, so that one end can
 * find each at another place. They do wait for a transaction that they are in together: what is stopped at one is begun
 * when the others are where they should be. Only two answers are seen to at a time, and merging waits for one; a transaction
 * that is signed would be seen to after a while, and nothing is followed after what is stopped there: these come last.
 */
const together: Place[][][] = [
  [[...steps, ...snapshots], answers, [tx('sent report')], [tx('signed report')]],
  [[tx('sent answer')], [tx('settled report')], [tx('signed answer')]],
  [[tx('settled answer')], [followed]],
]
const lives = isDeep ? together.flat(2).map((place) => [[place]]) : together

/** A partition that nobody pushed into yet, and where a keeper is stopped with it. */
type Held = { partition: Begun; hold: Hold }

async function askAll(places: readonly Place[], parent: Hex): Promise<Held[]> {
  const turn: Held[] = []
  for (const { point, kind, of } of places) {
    const partition = await askFor(kind, parent)
    turn.push({ partition, hold: { point, about: partition[of] } })
  }
  return turn
}

async function pushAll(turn: readonly Held[]): Promise<void> {
  for (const { partition } of turn) await pushInto(partition)
}

async function allReached(dying: KeeperProcess, turn: readonly Held[]): Promise<void> {
  for (const { hold } of turn)
    await dying.says(
      'test.reached',
      ({ point, about }) => point === hold.point && about === hold.about,
    )
}

test('every place at which it can end is in one of its lives', () => {
  const places = together.flat(2).map(({ point }) => point)
  const all = [
    ...STEP_POINTS.map(({ point }) => point),
    ...SNAPSHOT_POINTS,
    ...ANSWER_POINTS,
    ...TX_POINTS,
    FOLLOWED,
  ]
  expect(new Set(places)).toEqual(new Set(all))
})

test(
  'killed between any two writes and started again, it reports once, answers once, and ends the same',
  async () => {
    const { client, start } = await begin()
    const { question: parent } = await askQuestion(chain, spec())
    await push(chain, parent)
    const begun: Begun[] = []
    for (const life of lives) {
      const turns: Held[][] = []
      for (const places of life) turns.push(await askAll(places, parent))
      const all = turns.flat()
      const holds = all.map(({ hold }) => hold)
      const dying = start(holds)
      // What an earlier life left would share transactions with what is stopped in this one.
      for (const { path, question } of begun)
        await resolvedEnd(client, verseId(path), question, 300_000)
      begun.push(...all.map(({ partition }) => partition))
      for (const [index, turn] of turns.entries()) {
        if (index > 0) await allReached(dying, turns[index - 1]!)
        await pushAll(turn)
      }
      const end = await dying.ended
      const reached = dying.lines
        .filter(({ msg }) => msg === 'test.reached')
        .map(({ point, about }) => ({ point, about }))
      expect({ end, reached: new Set(reached), errors: dying.errors }).toEqual({
        end: 'SIGKILL',
        reached: new Set(holds),
        errors: [],
      })
    }
    const calm: Begun[] = []
    for (const kind of ['plain', 'optimized', 'nested'] as const)
      calm.push(await beginPartition(kind, parent))
    start()
    await expectSameEnds(client, begun, calm)
    expect(await client.partition(ROOT, parent)).toMatchObject({ state: 'reported' })
  },
  MANY_STARTS,
)

test(
  `killed ${RANDOM.kills} times at random over ${RANDOM.partitions} partitions, it loses and repeats nothing`,
  async () => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
    const random = randomFrom(seed)
    const { client, start } = await begin()
    const begun: Begun[] = []
    for (let kill = 0; kill < RANDOM.kills; kill++) {
      const wanted = Math.ceil((RANDOM.partitions * (kill + 1)) / RANDOM.kills)
      while (begun.length < wanted) begun.push(await beginPartition('plain', ROOT))
      // No more than is said from the start on until all is done; what is not waited for was never begun.
      const dying = start([], { KEEPER_LOG_LEVEL: 'debug' })
      await dying.saysMuch(Math.floor(random() * LINES))
      dying.signal('SIGKILL')
      expect([seed, await dying.ended, dying.errors]).toEqual([seed, 'SIGKILL', []])
    }
    start()
    await expectSameEnds(client, begun, [await beginPartition('plain', ROOT)])
  },
  MANY_STARTS,
)
