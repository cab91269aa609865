import { pino } from 'pino'
import type { Hex } from 'viem'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import type { Fact } from '../../keeper/chain/facts.ts'
import { type Change, followChain, type FollowerOptions } from '../../keeper/chain/follow.ts'
import { createRpc } from '../../keeper/chain/rpc.ts'
import type { Window } from '../../keeper/chain/window.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'
import { type FaultyRpc, startFaultyRpc } from '../helpers/faultyRpc.ts'
import { askQuestion, KEEPER, PATIENT, spec } from './world.ts'

vi.setConfig(PATIENT)

// The follower before endpoints that lag, lie, refuse and go away. What it told is held against the chain itself.

const PATIENTLY = { timeout: 30_000, interval: 10 }

let chain: LocalChain
let first: FaultyRpc
let second: FaultyRpc
const lines: string[] = []
const log = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) })
const following: { stop: () => Promise<void> }[] = []

beforeAll(async () => {
  chain = await startChain()
  ;[first, second] = await Promise.all([startFaultyRpc(chain.url), startFaultyRpc(chain.url)])
})
beforeEach(() => {
  lines.length = 0
  first.heal()
  second.heal()
  first.calls.clear()
  second.calls.clear()
})
afterEach(async () => {
  first.heal()
  second.heal()
  for (const each of following.splice(0)) await each.stop()
})
afterAll(async () => {
  await first?.stop()
  await second?.stop()
  await chain?.stop()
})

/** Somebody who believes the follower, and remembers whether it ever took something back. */
type Believer = {
  blocks: Map<number, Hex>
  facts: Fact[]
  forks: number
  final: number | null
  fatal: string[]
  recovered: number
}

function follow(urls: readonly string[], changes: Partial<FollowerOptions> = {}): Believer {
  const rpc = createRpc(urls, chain.deployment, 1_000, log)
  const believer: Believer = {
    blocks: new Map(),
    facts: [],
    forks: 0,
    final: null,
    fatal: [],
    recovered: 0,
  }
  const follower = followChain({
    rpc,
    deployment: chain.deployment,
    keeper: chain.accounts[KEEPER]!.address,
    window: [],
    windowSize: 32,
    rangeSize: 100,
    startBlock: chain.deployment.startBlock,
    finality: 'latest',
    pollMs: 20,
    lagPatienceMs: 60_000,
    apply: async (change) => believe(believer, change),
    onRecovered: async () => void believer.recovered++,
    onFatal: ({ code }) => void believer.fatal.push(code),
    log,
    ...changes,
  })
  following.push({
    async stop() {
      await follower.stop()
      rpc.endpoints.close()
    },
  })
  return believer
}

function believe(believer: Believer, change: Change): void {
  if (change.kind === 'history') {
    believer.facts.push(...change.facts)
    return
  }
  if (change.ancestor !== null) {
    const { ancestor } = change
    believer.forks++
    for (const number of believer.blocks.keys())
      if (number > ancestor) believer.blocks.delete(number)
    believer.facts = believer.facts.filter(({ at }) => at.block <= ancestor)
  }
  for (const { header, facts } of change.blocks) {
    believer.blocks.set(header.number, header.hash)
    believer.facts.push(...facts)
  }
  believer.final = change.final
}

const said = (msg: string) =>
  lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line['msg'] === msg)

/** It has the chain's head, and no block that the chain does not have. */
async function agrees(believer: Believer): Promise<void> {
  await expect
    .poll(
      async () => {
        const { hash, number } = await chain.publicClient.getBlock()
        const [highest] = [...believer.blocks.keys()].toSorted((a, b) => b - a)
        return highest === Number(number) && believer.blocks.get(highest) === hash
      },
      { timeout: 20_000 },
    )
    .toBe(true)
  for (const [number, hash] of [...believer.blocks].slice(-5)) {
    const block = await chain.publicClient.getBlock({ blockNumber: BigInt(number) })
    expect(hash).toBe(block.hash)
  }
}

const mine = (blocks: number) => chain.testClient.mine({ blocks })
const ask = async () => (await askQuestion(chain, spec())).question
const asked = ({ facts }: Believer) =>
  facts.flatMap((fact) => (fact.kind === 'asked' ? [fact.question] : []))

test('stays with an endpoint until it fails, and with the next then', async () => {
  const believer = follow([first.url, second.url])
  await agrees(believer)
  expect(second.calls.size).toBe(0)
  first.set({ cutsConnections: true })
  const question = await ask()
  await agrees(believer)
  expect(asked(believer)).toContain(question)
  expect(said('rpc.switched')).toMatchObject([{ from: first.url, to: second.url }])
  first.heal()
  first.calls.clear()
  await mine(2)
  await agrees(believer)
  expect(first.calls.size).toBe(0)
  expect(believer.forks).toBe(0)
})

test.each([
  ['errors', { errors: { '*': { code: -32_000, message: 'header not available' } } }],
  ['HTTP 503', { refuses: { status: 503 } }],
  ['silence', { hangs: true }],
])('goes to the next endpoint at %s', async (_, faults) => {
  const believer = follow([first.url, second.url])
  await agrees(believer)
  first.set(faults)
  await mine(1)
  await agrees(believer)
  expect(said('rpc.switched')).toHaveLength(1)
})

test('takes no endpoint that is behind for a reorganisation', async () => {
  const believer = follow([first.url, second.url])
  await mine(5)
  await agrees(believer)
  second.set({ lagBlocks: 3 })
  first.set({ cutsConnections: true })
  await expect.poll(() => said('rpc.behind').length, PATIENTLY).toBe(1)
  await mine(1)
  expect(believer.forks).toBe(0)
  second.heal()
  await agrees(believer)
  expect(believer.forks).toBe(0)
})

test('bears a head that jumps back, and believes in a rollback that stays', async () => {
  const believer = follow([first.url])
  await mine(4)
  await agrees(believer)
  first.set({ lagBlocks: 2 })
  await expect.poll(() => said('rpc.behind').length, PATIENTLY).toBe(1)
  first.heal()
  await mine(1)
  await agrees(believer)
  expect(believer.forks).toBe(0)

  const impatient = follow([first.url], { lagPatienceMs: 100 })
  await agrees(impatient)
  await chain.testClient.request({ method: 'anvil_rollback' as never, params: [3] as never })
  await agrees(impatient)
  expect(impatient.forks).toBe(1)
})

test('never takes in a head that does not exist', async () => {
  const believer = follow([first.url])
  await agrees(believer)
  for (const ghostHead of [1, 50]) {
    first.set({ ghostHead })
    const before = first.calls.get('eth_getBlockByNumber') ?? 0
    await expect
      .poll(() => first.calls.get('eth_getBlockByNumber'), PATIENTLY)
      .toBeGreaterThan(before + 1)
    first.heal()
    await mine(1)
    await agrees(believer)
  }
  expect(believer.forks).toBe(0)
  expect(believer.fatal).toEqual([])
})

test('leaves an endpoint alone for as long as it asks to', async () => {
  const believer = follow([first.url])
  await agrees(believer)
  first.set({ refuses: { status: 429, retryAfterS: 1 } })
  await expect.poll(() => said('rpc.limited').length, PATIENTLY).toBe(1)
  expect(said('rpc.limited')[0]).toMatchObject({ waitMs: 1_000 })
  first.heal()
  first.calls.clear()
  const limitedAt = performance.now()
  await expect.poll(() => first.calls.size, PATIENTLY).toBeGreaterThan(0)
  expect(performance.now() - limitedAt).toBeGreaterThan(500)
  await mine(1)
  await agrees(believer)
  expect(believer.recovered).toBe(1)
})

test.each(['all', 'half'] as const)(
  'finds logs in the receipts when a query loses %s',
  async (dropLogs) => {
    const believer = follow([first.url])
    await agrees(believer)
    first.set({ dropLogs })
    const question = await ask()
    await agrees(believer)
    expect(asked(believer)).toContain(question)
    expect(
      believer.facts.filter((fact) => 'question' in fact && fact.question === question),
    ).toHaveLength(2)
    expect(said('logs.lost')[0]).toMatchObject({ found: 2, given: dropLogs === 'all' ? 0 : 1 })
  },
)

test('believes the log query where there are no receipts to be had', async () => {
  first.set({ unknownMethods: ['eth_getBlockReceipts'] })
  const believer = follow([first.url])
  await agrees(believer)
  const question = await ask()
  await agrees(believer)
  expect(asked(believer)).toContain(question)
})

test('reads history in ranges as large as the endpoint bears', async () => {
  const question = await ask()
  await mine(300)
  first.set({ maxLogRange: 40 })
  const believer = follow([first.url], { windowSize: 8 })
  await agrees(believer)
  expect(asked(believer).filter((each) => each === question)).toHaveLength(1)
  const ranges = said('history.read').map(({ from, to }) => [from, to] as [number, number])
  expect(ranges[0]![0]).toBe(chain.deployment.startBlock)
  expect(ranges.slice(1).map(([from]) => from)).toEqual(ranges.slice(0, -1).map(([, to]) => to + 1))
  expect(Math.max(...ranges.map(([from, to]) => to - from + 1))).toBeLessThanOrEqual(40)
  expect(Math.max(...ranges.map(([from, to]) => to - from + 1))).toBeGreaterThan(20)

  const late = Number(await chain.publicClient.getBlockNumber()) - 2
  const begun = follow([first.url], { startBlock: late })
  await agrees(begun)
  expect(Math.min(...begun.blocks.keys())).toBe(late)
})

test('asks another endpoint about history, and believes who found more', async () => {
  const question = await ask()
  await mine(40)
  first.set({ dropLogs: 'all' })
  const believer = follow([first.url, second.url], { windowSize: 8 })
  await agrees(believer)
  expect(asked(believer).filter((each) => each === question)).toHaveLength(1)
  expect(said('logs.lost')[0]).toMatchObject({ endpoint: first.url, given: 0 })
})

test('leaves an endpoint whose head stands still while the others go on', async () => {
  const believer = follow([first.url, second.url], { probeMs: 30 })
  await agrees(believer)
  await first.freeze()
  await mine(5)
  await agrees(believer)
  expect(said('rpc.distrusted')[0]).toMatchObject({ to: second.url, why: 'frozen' })
})

test('uses no endpoint of another chain, and ends when there is no other', async () => {
  first.set({ answers: { eth_chainId: '0x1' } })
  const believer = follow([first.url, second.url])
  await agrees(believer)
  expect(said('rpc.refused')[0]).toMatchObject({ endpoint: first.url, code: 'OTHER_CHAIN' })
  const lost = follow([first.url])
  await expect.poll(() => lost.fatal, PATIENTLY).toEqual(['OTHER_CHAIN'])
})

test('hears of heads over a socket, and goes on over HTTP when it breaks', async () => {
  const believer = follow([first.wsUrl, second.url], { pollMs: 15_000 })
  await agrees(believer)
  await expect.poll(() => first.calls.get('eth_subscribe'), PATIENTLY).toBe(1)
  const begun = performance.now()
  await mine(1)
  await agrees(believer)
  expect(performance.now() - begun).toBeLessThan(15_000)

  const quick = follow([first.wsUrl, second.url])
  await agrees(quick)
  first.set({ cutsConnections: true })
  await mine(1)
  await agrees(quick)
  expect(said('rpc.switched').at(-1)).toMatchObject({ to: second.url })
})

test('passes on what the chain calls final', async () => {
  const believer = follow([first.url], { finality: 'finalized' })
  await agrees(believer)
  const { number } = await chain.publicClient.getBlock({ blockTag: 'finalized' })
  expect(believer.final).toBe(Number(number))
})

test('goes on from the window that it stored', async () => {
  let window: Window = []
  const keep = (change: Change) => void (change.kind === 'blocks' && (window = change.window))
  const earlier = follow([first.url], { apply: async (change) => keep(change) })
  await expect.poll(() => window.length, PATIENTLY).toBeGreaterThan(3)
  expect(earlier.fatal).toEqual([])
  await following.pop()!.stop()
  await mine(2)
  const later = follow([first.url], { window })
  await agrees(later)
  expect(Math.min(...later.blocks.keys())).toBe(window.at(-1)!.number + 1)
})
