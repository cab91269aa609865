import { stat } from 'node:fs/promises'
import { type Hex, zeroHash } from 'viem'
import { beforeAll, expect, test, vi } from 'vitest'
import { ROSTER } from '../../providers/roster.ts'
import { worldsAbi } from '../../sdk/abi.ts'
import { ask, narrow, pullUp } from '../../sdk/actions.ts'
import { childVerse, type Path, ROOT, verseId } from '../../sdk/ids.ts'
import type { JournalEvent } from '../../sdk/journal.ts'
import { keeperSocketPath } from '../../sdk/node/keeperSocket.ts'
import { specDataUri } from '../../sdk/spec.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { createStage } from './stage.ts'
import {
  answersOf,
  askQuestion,
  eventually,
  isState,
  KEEPER,
  PATIENT,
  programmed,
  push,
  reportsOf,
  spec,
  type TestKeeper,
  USER,
} from './world.ts'

vi.setConfig(PATIENT)

// One keeper on one chain; each test has questions of its own.

const WAD = 10n ** 18n
const stage = createStage()
let chain: LocalChain
let keeper: TestKeeper

beforeAll(async () => {
  chain = await stage.chain()
  keeper = await stage.keeper(chain, {
    KEEPER_WORLD_TIME_MS: '1000',
    KEEPER_WORLD_MEMORY_MB: '8',
    // What it does for others' oracles, and records of time, is in duties.test.ts.
    KEEPER_DUTIES: 'none',
  })
})

/** Asks, pushes down from ROOT, and waits until the partition is in that state. */
async function partitioned(asked = spec(), state = 'reported') {
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

async function worldNames(question: Hex, path: Path = []): Promise<(string | null)[]> {
  const parent = verseId(path)
  const verses = new Set([0, 1, 2].map((outcome) => childVerse(parent, question, outcome)))
  const { body } = await keeper.call('GET', '/worlds')
  const { worlds } = body as { worlds: { verseId: Hex | null; name: string | null }[] }
  return worlds.filter((world) => verses.has(world.verseId ?? ROOT)).map(({ name }) => name)
}

async function eventsOf<K extends JournalEvent['kind']>(kind: K, question: Hex) {
  const entries = await keeper.journal()
  return entries
    .map(({ event }) => event)
    .filter((event): event is Extract<JournalEvent, { kind: K }> => event.kind === kind)
    .filter((event) => 'question' in event && event.question === question)
}

test('runs a world in each verse and reports what they came to', async () => {
  const { question, partition } = await partitioned()
  expect(partition.winner).toBe(1)
  expect(partition.worlds.map(({ name, cost }) => [name, cost])).toEqual([
    ['nash', `${4n * WAD}`],
    ['optimal', `${3n * WAD}`],
    ['chaos', `${5n * WAD}`],
  ])
  expect(partition.probabilities.map(BigInt)).toEqual(
    [45n, 35n, 20n, 0n].map((each) => (each * WAD) / 100n),
  )
  const onChain = await Promise.all(
    [0, 1, 2, 3].map((each) => reported(childVerse(ROOT, question, each))),
  )
  expect(onChain.map(({ stateRoot }) => stateRoot)).toEqual([
    ...partition.worlds.map(({ stateRoot }) => stateRoot),
    zeroHash,
  ])
  expect(onChain.map(({ verdict, trit }) => [verdict, trit])).toEqual([
    [2, -1],
    [2, 0],
    [2, 1],
    [0, 0],
  ])
  expect(new Set(partition.worlds.map(({ stateRoot }) => stateRoot)).size).toBe(3)
  expect(await worldNames(question)).toEqual(['nash', 'optimal', 'chaos'])

  const [wev] = await eventsOf('wev.measured', question)
  expect(wev).toMatchObject({ wevRatio: '333333333333333333', wevAbs: `${WAD}`, isInverted: false })
  const reports = await eventsOf('partition.reported', question)
  expect(reports.map(({ txHash }) => txHash)).toEqual([partition.reportTx])
})

test('tells its journal of every provider there is, and links those that it works with', async () => {
  const events = await eventually('the journal', async () => {
    const value = (await keeper.journal()).map(({ event }) => event)
    return { value, isReached: value.some(({ kind }) => kind === 'provider.registered') }
  })
  const registered = events.filter((event) => event.kind === 'provider.registered')
  expect(registered.map(({ providerId }) => providerId).toSorted()).toEqual(
    ROSTER.map(({ id }) => id).toSorted(),
  )
  const statusOf = Object.fromEntries(registered.map((row) => [row.providerId, row.status]))
  for (const id of ['quickjs', 'grpo', 'replay', 'evm']) expect(statusOf[id]).toBe('available')
  for (const row of ROSTER.filter(({ kind }) => kind === 'remote'))
    expect(registered.find(({ providerId }) => providerId === row.id)).toMatchObject({
      name: row.name,
      trit: row.trit,
      status: 'no-credentials',
      capabilities: row.capabilities,
      apiEndpoint: row.apiEndpoint,
      authMethod: row.authMethod,
      reason: expect.stringMatching(/ not set$/) as string,
      declared: row.declared,
    })
  const links = events.filter((event) => event.kind === 'link.put')
  expect(links.map(({ targetProvider }) => targetProvider)).toEqual(['quickjs', 'replay', 'grpo'])
})

test.each(['nash', 'optimal', 'chaos'])(
  'is told %s, answers, and keeps that world alone',
  async (name) => {
    const { question } = await partitioned()
    const outcome = ['nash', 'optimal', 'chaos'].indexOf(name)
    expect(await keeper.answer(question, name)).toEqual({
      status: 202,
      body: { question, outcome },
    })
    const { answerTx } = await keeper.until(ROOT, question, isState('resolved'))
    expect(await worldNames(question)).toEqual([name])
    const [answer, ...more] = await answersOf(chain, question)
    expect(more).toEqual([])
    expect(answer).toMatchObject({ args: { outcome, expired: false }, transactionHash: answerTx })
    expect(await reportsOf(chain, question)).toHaveLength(1)
    const [resolved] = await eventsOf('partition.resolved', question)
    expect(resolved).toMatchObject({
      winningVerse: childVerse(ROOT, question, outcome),
      oracleSource: 'manual',
    })
  },
)

test('ends all worlds when the answer is void', async () => {
  const { question } = await partitioned()
  await keeper.answer(question, 3)
  await keeper.until(ROOT, question, isState('resolved'))
  expect(await worldNames(question)).toEqual([])
})

test('answers with its own winner where the spec leaves it to the pipeline', async () => {
  const { question } = await partitioned(spec({ outcome: { source: 'pipeline' } }), 'resolved')
  const [answer, ...more] = await answersOf(chain, question)
  expect(more).toEqual([])
  expect(answer!.args.outcome).toBe(1)
  const [resolved] = await eventsOf('partition.resolved', question)
  expect(resolved!.oracleSource).toBe('pipeline')
})

test('leaves a pipeline question to its oracle when that is another', async () => {
  const { question } = await askQuestion(chain, spec({ outcome: { source: 'pipeline' } }), {
    oracle: chain.accounts[1]!.address,
  })
  await push(chain, question)
  await keeper.until(ROOT, question, isState('reported'))
  const { multiverse } = chain.deployment.addresses
  await narrow(chain.wallet(1), { multiverse, question, survivors: 1n })
  await keeper.until(ROOT, question, isState('resolved'))
  expect(await worldNames(question)).toEqual(['nash'])
  const [resolved] = await eventsOf('partition.resolved', question)
  expect(resolved!.oracleSource).toBe('oracle')
})

test('reports a partition once, however often it is pushed into', async () => {
  const { question } = await partitioned()
  await push(chain, question)
  await push(chain, question, [], 7n)
  const { question: later } = await partitioned()
  expect(await reportsOf(chain, question)).toHaveLength(1)
  expect(later).not.toBe(question)
  expect(await eventsOf('partition.started', question)).toHaveLength(1)
})

test('lets time decide: past the deadline void has won', async () => {
  const { question } = await askQuestion(chain, spec(), { deadlineInS: 1_000 })
  await push(chain, question)
  await keeper.until(ROOT, question, isState('reported'))
  await chain.testClient.increaseTime({ seconds: 2_000 })
  await chain.testClient.mine({ blocks: 1 })
  await keeper.until(ROOT, question, isState('resolved'))
  expect(await worldNames(question)).toEqual([])
  const [resolved] = await eventsOf('partition.resolved', question)
  expect(resolved).toMatchObject({
    winningVerse: childVerse(ROOT, question, 3),
    oracleSource: 'deadline',
  })
  expect(await keeper.answer(question, 0)).toMatchObject({
    status: 409,
    body: { code: 'DEADLINE_PASSED' },
  })
})

// Verses within verses.

const counting = (add: number) =>
  programmed(`globalThis.base += ${add}; return { cost: globalThis.base }`, { setup: '' })

test("splits a verse's world as its program left it, two deep", async () => {
  const { question: first } = await partitioned(
    programmed(`globalThis.base = 10 * (input.verse.outcome + 1); return { cost: 1 }`),
  )
  const { question: second } = await askQuestion(chain, counting(1))
  const { question: third } = await askQuestion(chain, counting(100))
  const inFirst = [{ question: first, outcome: 1 }]
  await push(chain, second, inFirst, 50n)
  const middle = await keeper.until(verseId(inFirst), second, isState('reported'))
  expect(middle.worlds.map(({ cost }) => cost)).toEqual(
    [21n, 21n, 21n].map((each) => `${each * WAD}`),
  )

  const inSecond = [...inFirst, { question: second, outcome: 2 }].toSorted((a, b) =>
    BigInt(a.question) < BigInt(b.question) ? -1 : 1,
  )
  await push(chain, third, inSecond, 20n)
  const deep = await keeper.until(verseId(inSecond), third, isState('reported'))
  expect(deep.worlds[0]!.cost).toBe(`${121n * WAD}`)

  // The first answer is another one: all that was built on it never was.
  await keeper.answer(first, 0)
  for (const [path, question] of [
    [[], first],
    [inFirst, second],
    [inSecond, third],
  ] as [Path, Hex][])
    await keeper.until(verseId(path), question, isState('resolved'))
  expect(await worldNames(first)).toEqual(['nash'])
  expect(await worldNames(second, inFirst)).toEqual([])
  expect(await worldNames(third, inSecond)).toEqual([])
})

test('says when the parent verse has no world', async () => {
  const { question: first } = await partitioned()
  const { question: second } = await askQuestion(chain, counting(1))
  const inVoid = [{ question: first, outcome: 3 }]
  await push(chain, second, inVoid, 50n)
  const nested = await keeper.until(verseId(inVoid), second, isState('failed'))
  expect(nested.error?.code).toBe('PARENT_WORLD_MISSING')
})

test('says when the parent verse was opened by nobody', async () => {
  // Split by two questions, then joined again by the first: a verse of the second that no push-down opened.
  const asked = [await askQuestion(chain, spec()), await askQuestion(chain, spec())]
  const [a, b] = asked.map(({ question }) => question) as [Hex, Hex]
  await push(chain, a)
  for (const outcome of [0, 1, 2, 3]) await push(chain, b, [{ question: a, outcome }], 100n)
  const inB = [{ question: b, outcome: 0 }]
  await pullUp(chain.wallet(USER), {
    ...chain.deployment.addresses,
    path: inB,
    question: a,
    amount: 100n,
  })
  const { question: c } = await askQuestion(chain, counting(1))
  await push(chain, c, inB, 10n)
  const orphan = await keeper.until(verseId(inB), c, isState('failed'))
  expect(orphan.error).toMatchObject({ code: 'PARENT_WORLD_MISSING' })
})

// Programs that misbehave.

test.each<[string, string, string]>([
  ['throws', `throw new Error('chaos')`, 'PROGRAM_ERROR'],
  ['does not parse', `return {`, 'PROGRAM_ERROR'],
  ['never ends', `for (;;) {}`, 'EXECUTION_TIMEOUT'],
  ['eats memory', `const all = []; for (;;) all.push(new Uint8Array(4e6))`, 'OUT_OF_MEMORY'],
  ['waits for ever', `await new Promise(() => {})`, 'RESULT_INVALID'],
  ['costs less than nothing', `return { cost: -1 }`, 'INVALID_COST'],
  ['costs no number', `return { cost: NaN }`, 'INVALID_COST'],
  ['costs too much', `return { cost: '1e40' }`, 'INVALID_COST'],
  ['says no cost', `return {}`, 'RESULT_INVALID'],
  ['returns nothing', `return`, 'RESULT_INVALID'],
])('a program that %s fails its verse alone', async (_, code, error) => {
  const asked = programmed(`if (input.verse.trit === 1) { ${code} }; return { cost: 2 }`)
  const { question, partition } = await partitioned(
    error === 'PROGRAM_ERROR' && code === 'return {'
      ? programmed(`if (input.verse.trit === 1) eval('${code}'); return { cost: 2 }`)
      : asked,
  )
  expect(partition.winner).toBe(0)
  expect(partition.worlds.map((world) => world.error?.code ?? null)).toEqual([null, null, error])
  const world = await reported(childVerse(ROOT, question, 2))
  expect(world).toMatchObject({ verdict: 3, stateRoot: zeroHash, cost: 0n, trit: 1 })
  expect(await worldNames(question)).toEqual(['nash', 'optimal'])
})

test('a failed verse may still be the answer: nothing of it lives on', async () => {
  const { question } = await partitioned(
    programmed(`if (input.verse.trit === 1) throw 1; return { cost: 2 }`),
  )
  await keeper.answer(question, 'chaos')
  await keeper.until(ROOT, question, isState('resolved'))
  expect(await worldNames(question)).toEqual([])
})

test('a partition whose programs all fail is failed, and reported by nobody', async () => {
  const { question, partition } = await partitioned(programmed(`throw new Error('no')`), 'failed')
  expect(partition.error?.code).toBe('WORLDS_FAILED')
  expect(partition.error?.message).toContain('nash PROGRAM_ERROR')
  expect(await reportsOf(chain, question)).toEqual([])
  expect(await worldNames(question)).toEqual([])
  const [failed] = await eventsOf('partition.failed', question)
  expect(failed!.code).toBe('WORLDS_FAILED')
})

test('a setup that fails fails the partition', async () => {
  const { partition } = await partitioned(spec({ setup: `throw new Error('no start')` }), 'failed')
  expect(partition.error).toMatchObject({ code: 'PROGRAM_ERROR' })
})

// Specs that are not what they should be.

test.each<[string, string, Parameters<typeof askQuestion>[2]]>([
  ['does not match its hash', 'SPEC_HASH_MISMATCH', { specHash: `0x${'12'.repeat(32)}` }],
  ['is not JSON', 'SPEC_NOT_JSON', { uri: 'data:,nothing' }],
  ['is on a private address', 'SPEC_PRIVATE_ADDRESS', { uri: 'https://192.168.0.1/spec.json' }],
  ['is on plain http', 'SPEC_URL_INVALID', { uri: 'http://127.0.0.1/spec.json' }],
  ['is too large', 'SPEC_TOO_LARGE', { uri: specDataUri(' '.repeat(65_537)) }],
])('a spec that %s fails the partition with %s', async (_, code, options) => {
  // A spec of its own: one that was found for another question need not be found again.
  const { question } = await askQuestion(chain, spec({ title: `With ${code}` }), options)
  await push(chain, question)
  const partition = await keeper.until(ROOT, question, isState('failed'))
  expect(partition.error?.code).toBe(code)
  const [failed] = await eventsOf('partition.failed', question)
  expect(failed).toMatchObject({ code, parent: ROOT })
  expect(await reportsOf(chain, question)).toEqual([])
})

test('a partition without its spec goes on when somebody publishes it', async () => {
  const late = spec({ title: 'Published late' })
  const { question, json, terms } = await askQuestion(chain, late, { uri: 'data:,nothing' })
  await push(chain, question)
  await keeper.until(ROOT, question, isState('failed'))
  const { multiverse } = chain.deployment.addresses
  await ask(chain.wallet(1), { multiverse, ...terms, uri: specDataUri(json) })
  const partition = await keeper.until(ROOT, question, isState('reported'))
  expect(partition.error).toBeNull()
  expect(await reportsOf(chain, question)).toHaveLength(1)
})

// What it can be told and asked.

test('refuses answers it cannot give, and takes the same one twice', async () => {
  const { question } = await partitioned()
  const unknown: Hex = `0x${'77'.repeat(31)}04`
  const { question: foreign } = await askQuestion(chain, spec(), {
    oracle: chain.accounts[1]!.address,
  })
  for (const [asked, outcome, status, code] of [
    [unknown, 0, 404, 'UNKNOWN_QUESTION'],
    [foreign, 0, 403, 'NOT_ORACLE'],
    [question, 4, 400, 'OUTCOME_OUT_OF_RANGE'],
    [question, 'nobody', 400, 'OUTCOME_OUT_OF_RANGE'],
    [question, -1, 400, 'BAD_REQUEST'],
    ['0x12', 0, 400, 'BAD_REQUEST'],
  ] as const)
    expect(await keeper.answer(asked, outcome)).toMatchObject({ status, body: { code } })
  expect(await keeper.call('POST', '/answers', 'text')).toMatchObject({ status: 400 })

  expect(await keeper.answer(question, 'nash')).toMatchObject({ status: 202 })
  await keeper.until(ROOT, question, isState('resolved'))
  expect(await keeper.answer(question, 0)).toMatchObject({ status: 202 })
  expect(await keeper.answer(question, 1)).toMatchObject({
    status: 409,
    body: { code: 'ALREADY_RESOLVED' },
  })
  expect(await answersOf(chain, question)).toHaveLength(1)
})

test('answers a question that nobody pushed into', async () => {
  const { question } = await askQuestion(chain, spec())
  expect(await keeper.answer(question, 2)).toMatchObject({ status: 202 })
  await expect.poll(() => answersOf(chain, question)).toHaveLength(1)
})

test('serves health, readiness, metrics and a journal in pages', async () => {
  const at = (path: string) => fetch(`http://127.0.0.1:${keeper.port}${path}`)
  expect((await at('/health')).status).toBe(200)
  expect(await (await at('/ready')).json()).toEqual({ ready: true })
  const metrics = await (await at('/metrics')).text()
  expect(metrics).toMatch(/^keeper_head_block [1-9]/m)
  expect(metrics).toMatch(/^keeper_block_to_report_seconds_count [1-9]/m)
  expect(metrics).toMatch(/^keeper_partitions\{state="resolved"\} [1-9]/m)
  const first = (await (await at('/journal?after=0&limit=2')).json()) as {
    entries: { seq: number }[]
    last: number
  }
  expect(first.entries.map(({ seq }) => seq)).toEqual([1, 2])
  const rest = (await (await at(`/journal?after=${first.last}`)).json()) as { entries: unknown[] }
  expect(rest.entries.length).toBeLessThan(5)
  expect((await at('/journal?after=x')).status).toBe(400)
  expect((await at('/status')).status).toBe(404)

  const entries = await keeper.journal()
  expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, index) => index + 1))
})

test('lets nobody but its owner at its socket, which tells what it does', async () => {
  expect((await stat(await keeperSocketPath(keeper.dataDir))).mode & 0o777).toBe(0o600)
  const { body } = await keeper.call('GET', '/status')
  expect(body).toMatchObject({ chainId: 31_337, notReady: null })
  const { body: all } = await keeper.call('GET', '/partitions')
  expect((all as { partitions: unknown[] }).partitions.length).toBeGreaterThan(10)
  expect(await keeper.call('GET', `/partitions/${ROOT}/${ROOT}`)).toMatchObject({
    status: 404,
    body: { code: 'UNKNOWN_PARTITION' },
  })
})

test('tells how long it took from the block of a push-down to the mined report', async () => {
  const from = performance.now()
  const { partition } = await partitioned()
  const took = partition.timings.blockToReportMs!
  expect(took).toBeGreaterThan(partition.timings.executeMs!)
  expect(took).toBeLessThan(performance.now() - from)
})

test('never met anything it could not go on from', () => {
  expect(keeper.fatal).toEqual([])
})
