import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type Hex, zeroAddress } from 'viem'
import { multiverseAbi } from '../../sdk/abi.ts'
import { ROOT, verseId } from '../../sdk/ids.ts'
import { parseSpec, specDataUri } from '../../sdk/spec.ts'
import { type LocalChain, reorg, startChain } from '../helpers/chain.ts'
import { answered, createHistory, type History } from './history.ts'
import {
  createDataFolder,
  type Folder,
  type Service,
  serveJournal,
  startAnalytics,
  startAnalyticsBare,
  startPonder,
  until,
} from './services.ts'

// One chain, one ponder and one analytics process live through a random history, reorgs, restarts and kills; after each,
// DuckDB, ponder and the contract must hold the same balances for every owner and position.

// Generous, for machines where much else runs: nothing here waits for time to pass.
vi.setConfig({ testTimeout: 180_000 })

let chain: LocalChain
let folder: Folder
let lonely: Folder
let ponder: Service
let analytics: Service
let history: History
/** An analytics process whose chain is not there; it takes its time to give up. */
let unreachable: Service

const openAnalytics = (keeperUrls: string[] = []) =>
  startAnalytics(folder.path, { rpcUrl: chain.url, indexerUrl: ponder.url, keeperUrls })

beforeAll(async () => {
  chain = await startChain()
  folder = await createDataFolder(chain.deployment)
  history = createHistory(chain, { seed: 20_260_101n })
  ponder = await startPonder(folder.path, chain.url)
  analytics = await openAnalytics()
  lonely = await createDataFolder(chain.deployment)
  unreachable = await startAnalytics(lonely.path, {
    rpcUrl: 'http://127.0.0.1:1',
    indexerUrl: ponder.url,
  })
  for (const outcomes of [3, 4, 2]) await history.ask({ outcomes })
  for (const owner of [0, 1, 2]) await history.fund(owner, 10n ** 20n)
  await Promise.all([ponder.ready(), analytics.ready()])
}, 180_000)

afterAll(async () => {
  await analytics?.stop()
  await ponder?.stop()
  await chain?.stop()
  await unreachable?.kill()
  await lonely?.remove()
  await folder?.remove()
})

test('a random history: DuckDB = ponder = contract', async () => {
  await live(60)
  expect(await differences()).toEqual([])
  const [counts] = await query('SELECT count(*), count(DISTINCT depth) FROM verses')
  expect(Number(counts![0])).toBeGreaterThan(10)
  expect(Number(counts![1])).toBe(3)
  const kinds = await query('SELECT DISTINCT kind FROM events ORDER BY kind')
  expect(kinds.flat()).toEqual(expect.arrayContaining(['PullUp', 'PushDown', 'Transfer']))
})

test('the effects of a block are soon in DuckDB', async () => {
  const latencies: number[] = []
  for (let round = 0; round < 5; round++) {
    await live(1)
    const from = Date.now()
    await level()
    latencies.push(Date.now() - from)
  }
  const median = latencies.toSorted((a, b) => a - b)[2]!
  console.log(`block to DuckDB: ${latencies.join(', ')} ms`)
  // A quiet machine takes a fifth of a second; this is for one where everything else runs too.
  expect(median).toBeLessThan(10_000)
})

test('reorgs while mirroring', async () => {
  for (const depth of [1, 4, 12]) {
    await live(8)
    await takeBack(depth)
    await live(4)
    expect(await differences()).toEqual([])
  }
  expect(analytics.output()).toContain('mirror.rolled-back')
})

test('a restart and a kill of analytics', async () => {
  expect(await analytics.stop()).toBe(0)
  await live(6)
  await takeBack(3)
  analytics = await openAnalytics()
  await analytics.ready()
  expect(await differences()).toEqual([])
  const busy = live(20)
  await until('some of it is mirrored', async () => (await status()).block !== null)
  await analytics.kill()
  await busy
  analytics = await openAnalytics()
  expect(await differences()).toEqual([])
})

test('a restart of ponder waits for no lock', async () => {
  expect(await ponder.stop()).toBe(0)
  await live(4)
  await takeBack(2)
  const from = Date.now()
  ponder = await startPonder(folder.path, chain.url)
  await ponder.ready()
  console.log(`ponder restarted in ${Date.now() - from} ms`)
  expect(ponder.output()).not.toMatch(/locked|begun-anew/)
  // The port is another one, so analytics has to be told.
  await analytics.stop()
  analytics = await openAnalytics()
  expect(await differences()).toEqual([])
})

test('a chain that went another way deeper than ponder takes for final', async () => {
  await live(4)
  await chain.testClient.mine({ blocks: 65 })
  await level()
  // Killed, so that what it left to ponder is tested too: ponder ends by itself, and the next one waits for that.
  await ponder.kill()
  await takeBack(80)
  await live(3)
  ponder = await startPonder(folder.path, chain.url)
  await analytics.stop()
  analytics = await openAnalytics()
  await ponder.ready()
  expect(ponder.output()).toContain('ponder.begun-anew')
  expect(await differences()).toEqual([])
})

test('what an answer is worth', async () => {
  const json = JSON.stringify(threeVerses)
  const { specHash } = parseSpec(json)
  const question = await history.ask({ outcomes: 4, specHash, uri: specDataUri(json) })
  const [alice, bob, carol] = [0, 1, 2]
  const amount = 10n ** 18n
  for (const owner of [alice, bob, carol]) await history.fund(owner, 10n * amount)
  // Alice keeps nash, Bob optimal, Carol chaos, of a set that Alice opened; and a set of Bob's stays whole.
  await history.pushDown(alice, [], question, amount)
  await history.pushDown(bob, [], question, 5n * amount)
  await history.transfer(alice, bob, answered([], question, 1), amount)
  await history.transfer(alice, carol, answered([], question, 2), amount)
  await history.narrow(question, [1])
  expect(await differences()).toEqual([])
  const [row] = await query(
    `SELECT winner_label, wev_nominal, wev_realized, total, title FROM v_wev WHERE question = '${question.id}'`,
  )
  expect(row).toEqual(['optimal', `${18n * amount}`, `${amount}`, `${6n * amount}`, 'Three verses'])

  // The keeper tells of the partition in its own time; the figure in the seeds' table is the exact one, in whole tokens.
  const children = [0, 1, 2, 3].map((outcome) => verseId(answered([], question, outcome)))
  const journal = await serveJournal(() => [
    {
      keeperId: 'k',
      epoch: 1,
      seq: 1,
      at: new Date().toISOString(),
      event: {
        kind: 'partition.resolved',
        resolutionId: 'r',
        parent: ROOT,
        question: question.id,
        verses: children,
        winningVerse: children[1]!,
        oracleSource: 'manual',
        blockNumber: 1,
        pullUpTimeMs: 2,
      },
    },
  ])
  await analytics.stop()
  analytics = await openAnalytics([journal.url])
  await until('the journal is read', async () => {
    const found = await status().catch(() => null)
    return found?.journals[0]?.seq === 1
  })
  await journal.close()
  const [resolution] = await query('SELECT wev_extracted, len(verses)::INT FROM verse_resolutions')
  expect(resolution).toEqual([18, 4])

  const verses = await query(
    `SELECT label, state FROM v_verses WHERE question = '${question.id}' AND depth = 1 ORDER BY outcome`,
  )
  expect(verses).toEqual([
    ['nash', 'collapsed'],
    ['optimal', 'happened'],
    ['chaos', 'collapsed'],
    ['void', 'collapsed'],
  ])
})

test('surroundings that do not fit', async () => {
  const { deployment } = chain
  const moved = await createDataFolder({ ...deployment, startBlockHash: `0x${'44'.repeat(32)}` })
  const another = await createDataFolder({ ...deployment, chainId: 1 })
  const empty = await createDataFolder(deployment)
  const services = [
    await startPonder(moved.path, chain.url),
    await startAnalytics(another.path, { rpcUrl: chain.url, indexerUrl: ponder.url }),
    await startAnalytics(folder.path, { rpcUrl: chain.url, indexerUrl: ponder.url }),
    startAnalyticsBare({ MULTIVERSE_DATA: empty.path }),
    startAnalyticsBare({
      MULTIVERSE_DATA: join(empty.path, 'nothing'),
      MULTIVERSE_RPC_URL: chain.url,
      INDEXER_URL: ponder.url,
    }),
    unreachable,
  ]
  const codes = await Promise.all(services.map((service) => service.ended))
  const errors = services.map((service) => /^error (\w+): .+$/m.exec(service.output())?.[1])
  await Promise.all([moved, another, empty].map((each) => each.remove()))
  expect(codes.map((code, index) => [code, errors[index]])).toEqual([
    [3, 'WRONG_CHAIN'],
    [3, 'WRONG_CHAIN'],
    [1, 'LOCKED'],
    [2, 'MISSING_ENVIRONMENT'],
    [2, 'NO_DEPLOYMENT'],
    [75, 'RPC_FAILED'],
  ])
})

const threeVerses = {
  version: 1,
  title: 'Three verses',
  verses: [
    { name: 'nash', strategy: 'selfish', trit: -1, probability: '0.45' },
    { name: 'optimal', strategy: 'cooperative', trit: 0, probability: '0.35' },
    { name: 'chaos', strategy: 'random', trit: 1, probability: '0.2' },
  ],
  void: { name: 'void', probability: '0' },
  setup: '',
  program: 'return { cost: 1 }',
  needs: { parallel: true, optimize: false, verify: false },
  outcome: { source: 'manual' },
  seed: 1069,
}

/** Some steps of the history. */
async function live(steps: number): Promise<void> {
  for (let done = 0; done < steps;) if (await history.step()) done += 1
}

/** The last blocks are replaced by empty ones. */
async function takeBack(depth: number): Promise<void> {
  await reorg(chain, depth)
  await history.resync()
}

type Status = { block: { number: number; hash: Hex } | null; journals: { seq: number }[] }

async function status(): Promise<Status> {
  return (await (await fetch(`${analytics.url}/status`)).json()) as Status
}

/** Waits until analytics is where the chain is. */
async function level(): Promise<void> {
  const { hash } = await chain.publicClient.getBlock()
  await until('analytics is level with the chain', async () => {
    const found = await status().catch(() => null)
    return found?.block?.hash === hash
  })
}

async function query(statement: string): Promise<unknown[][]> {
  const response = await fetch(`${analytics.url}/sql`, {
    method: 'POST',
    body: JSON.stringify({ sql: statement }),
  })
  const body = (await response.json()) as { rows: unknown[][] }
  if (!response.ok) throw new Error(JSON.stringify(body))
  return body.rows
}

type Held = Map<string, string>

/** Where DuckDB, ponder and the contract hold different balances, and what else is wrong with the mirror; none is right. */
async function differences(): Promise<string[]> {
  await level()
  const mirrored = heldIn(await query('SELECT owner, position, amount FROM balances'))
  const found = [
    ...unequal('ponder', mirrored, await heldInPonder()),
    ...unequal('contract', mirrored, await heldOnChain(mirrored)),
  ]
  const [twice] = await query(
    'SELECT count(*) - count(DISTINCT (block_number, log_index)) FROM transfers',
  )
  if (twice?.[0] !== '0') found.push(`${String(twice?.[0])} transfers are there twice`)
  const [dead] = await query(
    'SELECT count(*) FROM events e LEFT JOIN blocks b ON b.hash = e.block_hash WHERE b.hash IS NULL',
  )
  if (dead?.[0] !== '0') found.push(`${String(dead?.[0])} events are of no block`)
  const [miscounted] = await query(
    'SELECT (SELECT sum(events)::BIGINT FROM blocks) - (SELECT count(*) FROM events)',
  )
  if (miscounted?.[0] !== '0') found.push(`${String(miscounted?.[0])} events are missing`)
  return found
}

async function heldInPonder(): Promise<Held> {
  const response = await fetch(`${ponder.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: '{balances(limit: 1000) {items {owner position amount}}}' }),
  })
  const body = (await response.json()) as {
    data: { balances: { items: Record<'owner' | 'position' | 'amount', string>[] } }
  }
  return heldIn(
    body.data.balances.items.map(({ owner, position, amount }) => [owner, position, amount]),
  )
}

/** Every balance of every position that was ever named, of everybody who can have one. */
async function heldOnChain(mirrored: Held): Promise<Held> {
  const { multiverse } = chain.deployment.addresses
  const owners = [...history.owners, multiverse, zeroAddress].map((owner) => owner.toLowerCase())
  const ids = history.positions().map(({ id }) => id)
  const keys = new Set([
    ...mirrored.keys(),
    ...owners.flatMap((owner) => ids.map((id) => `${owner} ${id}`)),
  ])
  const read = [...keys].map(async (key): Promise<[string, string]> => {
    const [owner, id] = key.split(' ') as [Hex, Hex]
    const balance = await chain.publicClient.readContract({
      address: multiverse,
      abi: multiverseAbi,
      functionName: 'balanceOf',
      args: [owner, BigInt(id)],
    })
    return [key, `${balance}`]
  })
  return new Map(await Promise.all(read))
}

function heldIn(rows: unknown[][]): Held {
  return new Map(
    rows.map(([owner, position, amount]) => [
      `${String(owner)} ${String(position)}`,
      String(amount),
    ]),
  )
}

function unequal(name: string, ours: Held, theirs: Held): string[] {
  return [...new Set([...ours.keys(), ...theirs.keys()])]
    .filter((key) => (ours.get(key) ?? '0') !== (theirs.get(key) ?? '0'))
    .map((key) => `${key}: DuckDB ${ours.get(key)}, ${name} ${theirs.get(key)}`)
}
