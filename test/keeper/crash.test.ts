import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Hex } from 'viem'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { partitionKey } from '../../keeper/jobs/key.ts'
import type { PartitionView } from '../../keeper/views.ts'
import { childVerse, type Path, ROOT, verseId } from '../../sdk/ids.ts'
import type { Spec } from '../../sdk/spec.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'
import { randomFrom } from '../helpers/random.ts'
import { CRASH_CHILD, type KeeperProcess, spawnKeeper } from './child.ts'
import {
  ANSWER_POINTS,
  FOLLOWED,
  type Hold,
  SNAPSHOT_POINTS,
  STEP_POINTS,
  TX_POINTS,
} from './crash/points.ts'
import { expectNothingWasted, expectOnceInJournal, expectOnceOnChain, finalOf } from './once.ts'
import {
  askQuestion,
  createFolders,
  type Folders,
  fund,
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
/** As many starts as kills: longer than other tests, above all beside much else. */
const MANY_STARTS = isDeep ? 3_600_000 : 600_000

let folders: Folders
let cache: string
let chain: LocalChain
let keeper: KeeperProcess | null = null

beforeAll(async () => {
  folders = await createFolders()
  cache = await mkdtemp(join(tmpdir(), 'keeper-crash-'))
})
afterEach(async () => {
  keeper?.signal('SIGKILL')
  await keeper?.ended
  await chain?.stop()
})
afterAll(async () => {
  await folders?.remove()
  await rm(cache, { recursive: true, force: true })
})

async function begin() {
  chain = await startChain()
  await fund(chain)
  const dataDir = await folders.create(chain)
  const env = keeperEnv(chain, dataDir, { KEEPER_CONCURRENCY: '64' })
  return {
    client: keeperClient(dataDir),
    start: (holds: readonly Hold[] = [], more: Record<string, string> = {}) =>
      (keeper = spawnKeeper({ ...env, HOLDS: JSON.stringify(holds), ...more }, cache, {
        main: CRASH_CHILD,
      })),
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

async function beginPartition(kind: Kind, parent: Hex): Promise<Begun> {
  const { chainId, addresses } = chain.deployment
  const specs: Record<Kind, Spec> = { plain, optimized, nested: plain }
  const { question } = await askQuestion(chain, specs[kind])
  const path = kind === 'nested' ? [{ question: parent, outcome: 1 }] : []
  await push(chain, question, path, 1n)
  const key = partitionKey(chainId, addresses.multiverse, { parent: verseId(path), question })
  return { kind, question, path, key }
}

/** Every instance at the providers is a world that the keeper knows, and every world is of a verse that is still possible. */
async function expectNoOrphans(client: KeeperClient, begun: readonly Begun[]): Promise<void> {
  const { body } = await client.call('GET', '/worlds')
  const { worlds } = body as { worlds: { instanceId: string; verseId: Hex | null }[] }
  keeper!.signal('SIGUSR2')
  const { instances } = (await keeper!.says('test.instances')) as unknown as { instances: string[] }
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
  const end = ({ path, question }: Begun) => resolvedEnd(client, verseId(path), question, 120_000)
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
  expectOnceInJournal(await readJournal(await keeper!.port()), questions)
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
const txs: Place[] = TX_POINTS.map(({ point, kind }) => ({
  point,
  kind: 'plain',
  of: kind === 'report' ? 'key' : 'question',
}))
const followed: Place = { point: FOLLOWED, kind: 'plain', of: 'question' }

/**
 * What is stopped at in one life of the keeper. Partitions do not wait for each other, so that one end can find each at another
 * place; they all wait for transactions and for the chain to be followed, so these are alone.
 */
const together: Place[][] = [
  [...steps, ...snapshots],
  answers,
  ...txs.map((each) => [each]),
  [followed],
]
const lives = isDeep ? together.flat().map((place) => [place]) : together

test(
  'killed between any two writes and started again, it reports once, answers once, and ends the same',
  async () => {
    const { client, start } = await begin()
    const { question: parent } = await askQuestion(chain, spec())
    await push(chain, parent)
    const begun: Begun[] = []
    for (const places of lives) {
      const holds: Hold[] = []
      for (const { point, kind, of } of places) {
        const partition = await beginPartition(kind, parent)
        begun.push(partition)
        holds.push({ point, about: partition[of] })
      }
      const dying = start(holds)
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
      // So much is said from the start on until all is done; what is not waited for was never begun.
      const dying = start([], { KEEPER_LOG_LEVEL: 'debug' })
      await dying.saysMuch(Math.floor(random() * 120))
      dying.signal('SIGKILL')
      expect([seed, await dying.ended, dying.errors]).toEqual([seed, 'SIGKILL', []])
    }
    start()
    await expectSameEnds(client, begun, [await beginPartition('plain', ROOT)])
  },
  MANY_STARTS,
)
