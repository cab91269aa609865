import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Hex, parseEther } from 'viem'
import { getBlockNumber } from 'viem/actions'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createReadClient, createWriteClient } from '../../cli/context.ts'
import { checkRun } from '../../cli/scenario/checks.ts'
import { runScenario } from '../../cli/scenario/run.ts'
import { type Outcome, pigouSpec } from '../../cli/scenario/spec.ts'
import type { Summary } from '../../cli/scenario/summary.ts'
import { createAnalyticsApi, createKeeperApi } from '../../cli/services.ts'
import { freePorts } from '../../cli/stack/ports.ts'
import {
  isRunning,
  type ProcessRecord,
  readStack,
  type StackRecord,
} from '../../cli/stack/record.ts'
import { localAccount } from '../../cli/wallets.ts'
import type { Deployment } from '../../sdk/deployment.ts'
import { readDeployment } from '../../sdk/node/data.ts'
import {
  askOutput,
  balanceOutput,
  type FailureOutput,
  moveOutput,
  questionOutput,
  sqlOutput,
  upOutput,
  versesOutput,
  worldsOutput,
} from '../../sdk/output.ts'
import { verseOnOutput } from '../../sdk/runtimeOutput.ts'
import { keeperSocketPath } from '../../sdk/node/keeperSocket.ts'
import { alone, lastJson, multiverse, start } from '../cli/harness.ts'
import { lookWhereNothingRuns, testRecipes } from './recipes.ts'

// The whole multiverse as its users run it: chain, contracts, keeper, indexer and analytics as processes of `multiverse up`.
// One stack for the whole file; the tests build on each other in order.

type Up = { child: ReturnType<typeof start>; ready: Ready }
// Everything here takes seconds; on a machine with other things to do, minutes.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

type VerseJson = { world: { cost: string } | null }
type Ready = StackRecord & { deployment: Deployment; scenario: Omit<Summary, 'ok'> | null }

let dataDir: string
let specDir: string
let base: number
let up: Up

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'multiverse-e2e-'))
  specDir = await mkdtemp(join(tmpdir(), 'multiverse-e2e-'))
  base = (await freePorts()).chain
  up = await startUp('--scenario')
})

afterAll(async () => {
  up.child.kill('SIGKILL')
  await allEnded(await processes())
  for (const folder of [dataDir, specDir]) await rm(folder, { recursive: true, force: true })
})

/** Starts `multiverse up` on the data folder and waits until it says that it is ready. */
async function startUp(...args: string[]): Promise<Up> {
  const child = start(['up', '--data', dataDir, '--port-base', `${base}`, '--json', ...args])
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const ended = once(child, 'exit').then(() => {
    throw new Error(`multiverse up ended: ${stderr}`)
  })
  const line = once(createInterface({ input: child.stdout }), 'line') as Promise<[string]>
  const [text] = await Promise.race([line, ended])
  const ready = JSON.parse(text) as Ready | FailureOutput
  if ('error' in ready) throw new Error(ready.error.message)
  upOutput.parse(ready)
  return { child, ready }
}

const words = (line: string) => [...line.split(' '), '--data', dataDir, '--json']

/** Runs a verb in this process: a process of its own costs more than most verbs do. */
const run = (line: string) => alone(words(line))

/** Runs a verb and gives its JSON. */
async function json<T>(line: string, by = run): Promise<T> {
  const ran = await by(line)
  if (ran.code !== 0) throw new Error(`${line}: ${ran.stderr}`)
  return lastJson(ran) as T
}

/** The same as its users do, in a process of its own. */
const typed = <T>(line: string) => json<T>(line, (each) => multiverse(words(each)))

/** Every process of the stack but the supervisor, by name. */
async function processes(): Promise<Map<string, ProcessRecord>> {
  const record = await readStack(dataDir)
  return new Map(record?.processes.map((each) => [each.name, each]))
}

async function running(records: Map<string, ProcessRecord>): Promise<string[]> {
  const states = await Promise.all([...records.values()].map(isRunning))
  return [...records.keys()].filter((_, index) => states[index])
}

async function allEnded(records: Map<string, ProcessRecord>): Promise<void> {
  while ((await running(records)).length > 0) await sleep(50)
}

const PROCESSES = ['chain', 'chain.inner', 'indexer', 'keeper', 'analytics']

test('up runs everything, and the default scenario once', async () => {
  const { urls, scenario, deployment } = up.ready
  expect([...(await processes()).keys()].toSorted()).toEqual(
    expect.arrayContaining(PROCESSES.toSorted()),
  )
  expect(urls.rpc).toBe(`http://127.0.0.1:${base}`)
  for (const url of [`http://127.0.0.1:${base + 1}`, urls.analytics, urls.keeper])
    expect((await fetch(`${url}/ready`)).status).toBe(200)
  expect(scenario).toMatchObject({
    chainId: 31337,
    multiverse: deployment.addresses.multiverse,
    winner: 'optimal',
    outcome: 'optimal',
    gf3: { sum: 0, conserved: true },
    conserved: true,
  })
  expect(Number(scenario!.wev.ratio)).toBeCloseTo(1 / 3, 6)
  expect(Number(scenario!.wev.abs)).toBeCloseTo(1 / 4, 6)
  expect(scenario!.balances.after.alice.root).toBe('1075.25')
  expect(scenario!.balances.after.bob.root).toBe('424.75')
  expect(scenario!.balances.after.carol.root).toBe('250')
  const { data } = (await (
    await fetch(urls.graphql, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: '{ questions { items { id winner } } }' }),
    })
  ).json()) as { data: { questions: { items: unknown[] } } }
  expect(data.questions.items).toEqual([{ id: scenario!.partition.question, winner: 1 }])
})

describe("the seeds' commands", () => {
  testRecipes(() => dataDir)
})

describe('a question asked, split, traded, answered and redeemed with the command alone', () => {
  let question: Hex
  const before: Record<string, string> = {}
  const OWNERS = ['alice', 'bob', 'carol']

  /** What an owner has at root once it has so much more. */
  const off = (owner: string, by: number) => `${Number(before[owner]) + by}`

  const balances = async (owner: string) => {
    const shown = await json<{ balances: { name: string; amount: string; live: boolean }[] }>(
      `balance --owner ${owner}`,
    )
    const mine = shown.balances.filter(({ name }) => name.startsWith(question.slice(0, 10)))
    const named = mine.map(({ name, amount }) => [name.split('=')[1], amount])
    return { root: shown.balances[0]!.amount, verses: Object.fromEntries(named) as object }
  }

  test('ask and push down', async () => {
    const spec = join(specDir, 'spec.json')
    await writeFile(spec, JSON.stringify(pigouSpec({ degree: 1, seed: 7 })))
    ;({ question } = await typed<{ question: Hex }>(`ask --spec ${spec} --deadline +1h`))
    await Promise.all(
      OWNERS.map(async (owner) => {
        before[owner] = (await balances(owner)).root
      }),
    )
    await Promise.all([
      typed(`push-down --question ${question} --amount 10 --as alice`),
      typed(`push-down --question ${question} --amount 20 --as bob`),
      typed(`push-down --question ${question} --amount 5 --as carol --to alice`),
    ])
    expect(await balances('alice')).toEqual({
      root: `${Number(before['alice']) - 10}`,
      verses: { nash: '15', optimal: '15', chaos: '15', void: '15' },
    })
  })

  test('the keeper reports it, and its notebook can be read', async () => {
    const path = `${question}=optimal`
    let verse = await json<VerseJson>(`verse ${path}`)
    while (verse.world === null) verse = await json<VerseJson>(`verse ${path}`)
    expect(verse).toMatchObject({ probability: '0.35', live: true })
    expect(verse.world).toMatchObject({ trit: 0, verdict: 'verified' })
    expect(Number(verse.world.cost)).toBeCloseTo(0.75, 6)
  })

  test('trade, answer nash, and redeem: the books balance', async () => {
    const id = question.slice(0, 10)
    await Promise.all([
      typed(`transfer --verse ${id}=nash --to bob --amount 4 --as alice`),
      typed(`transfer --verse ${id}=optimal --to carol --amount 20 --as bob`),
    ])
    const answered = await typed(`resolve --question ${question} --outcome nash`)
    expect(answered).toMatchObject({ question, outcome: 0, label: 'nash' })
    const late = await run(`resolve --question ${question} --outcome optimal`)
    expect(late.stderr).toMatch(/^error ALREADY_RESOLVED: /)
    expect(late.code).toBe(1)
    await Promise.all([
      typed(`pull-up --question ${question} --amount 11 --as alice`),
      typed(`pull-up --question ${question} --amount 24 --as bob`),
    ])
    const [alice, bob, carol] = await Promise.all(OWNERS.map(balances))
    expect(alice).toEqual({
      root: off('alice', 1),
      verses: { optimal: '15', chaos: '15', void: '15' },
    })
    expect(bob).toEqual({
      root: off('bob', 4),
      verses: { chaos: '20', void: '20' },
    })
    expect(carol).toEqual({ root: off('carol', -5), verses: { optimal: '20' } })
  })

  test('DuckDB knows, as a table, as JSON and as CSV', async () => {
    const query = `SELECT winner, wev_nominal FROM wev_exact WHERE question = '${question}'`
    const ask = (...more: string[]) => multiverse(['sql', query, '--data', dataDir, ...more])
    const nominal = `${parseEther('105')}`
    let ran = await ask('--json')
    while ((lastJson(ran) as { rows: unknown[] }).rows.length === 0) ran = await ask('--json')
    sqlOutput.parse(lastJson(ran))
    expect(lastJson(ran)).toMatchObject({
      columns: [{ name: 'winner' }, { name: 'wev_nominal' }],
      rows: [[0, nominal]],
    })
    expect((await ask()).stdout).toBe(`winner            wev_nominal\n     0  ${nominal}\n`)
    expect((await ask('--csv')).stdout).toBe(`winner,wev_nominal\r\n0,${nominal}\r\n`)
    const wrong = await multiverse(['sql', 'DROP TABLE balances', '--data', dataDir])
    expect(wrong.code).toBe(1)
    expect(wrong.stderr).toMatch(/^error [A-Z_]+: .+\n$/)
  })
})

/** The README's question: three outcomes and void, its own setup and program, and alice for an oracle. */
describe("a question of one's own, answered by its asker", () => {
  const name = 'how-will-the-bay-be-fished'
  const spec = fileURLToPath(new URL('../../docs/examples/fishery.json', import.meta.url))

  /** What all owners have at root, and what the ledger holds of it. */
  const books = async () => {
    const roots = await Promise.all(
      ['alice', 'bob', 'carol'].map(async (owner) => {
        const { balances } = balanceOutput.parse(await json(`balance --owner ${owner}`))
        return parseEther(balances.find(({ path }) => path.length === 0)!.amount)
      }),
    )
    const { verses } = versesOutput.parse(await json('verses'))
    const locked = verses[0]!.supply[0]?.amount ?? '0'
    return { roots, locked: parseEther(locked), verses }
  }

  test('asked, split, run in worlds, sold, answered and redeemed: the books balance', async () => {
    const before = await books()
    const total = (of: typeof before) => of.roots.reduce((sum, root) => sum + root, of.locked)
    const asked = askOutput.parse(
      await json(`ask --spec ${spec} --deadline 2030-01-01 --oracle alice`),
    )
    // The README says so, and that the rest of what it shows follows from it.
    expect(asked.question).toMatch(/^0x4d277383/)
    moveOutput.parse(await json(`push-down --question ${name} --amount 100 --as bob`))

    const reported = async () => {
      const question = questionOutput.parse(await json(`question ${name}`))
      return question.partitions[0]?.reports[0] === undefined ? undefined : question
    }
    let question = await reported()
    while (question === undefined) question = await reported()
    const { worlds } = question.partitions[0]!.reports[0]!
    expect(question.labels).toEqual(['open', 'quota', 'seasons', 'void'])
    const costs = worlds.map(({ cost }) => Number(cost))
    // A quota feeds most for ever; open to all, the bay is soon nearly empty.
    expect(costs[1]).toBeCloseTo(24 / (24 * 0.19) / 10, 12)
    expect(costs[0]).toBeGreaterThan(costs[2]!)
    expect(costs[2]).toBeGreaterThan(costs[1]!)
    const listed = worldsOutput.parse(await json('worlds')).worlds
    const own = listed.filter((world) => world.question === asked.question)
    expect(own.map(({ label, provider, verdict }) => [label, provider, verdict])).toEqual(
      ['open', 'quota', 'seasons'].map((label) => [label, 'quickjs', 'verified']),
    )
    for (const { world } of own) expect(world).toMatch(/^world-/)

    await json(`transfer --verse ${name}=open --to carol --amount 40 --as bob`)
    await json(`transfer --verse ${name}=quota --to carol --amount 25 --as bob`)
    const stranger = await run(`resolve --question ${name} --outcome quota --as carol`)
    expect(stranger.stderr).toMatch(/^error NOT_ORACLE: only alice can answer it/)
    expect(await json(`resolve --question ${name} --outcome quota`)).toMatchObject({
      outcome: 1,
      label: 'quota',
    })
    const pulled = [
      json(`pull-up --question ${name} --amount 75 --as bob`),
      json(`pull-up --question ${name} --amount 25 --as carol`),
    ]
    for (const each of await Promise.all(pulled))
      expect(moveOutput.parse(each).survivors).toEqual([1])

    const after = await books()
    expect(total(after)).toBe(total(before))
    expect(after.locked).toBe(before.locked)
    const moved = after.roots.map((root, index) => root - before.roots[index]!)
    expect(moved).toEqual([0n, parseEther('-25'), parseEther('25')])
    const mine = after.verses.filter((verse) => verse.question === asked.question)
    expect(mine.map(({ label, state, supply }) => [label, state, supply[0]?.amount])).toEqual([
      ['open', 'evaporated', '100'],
      ['quota', 'came-true', undefined],
      ['seasons', 'evaporated', '100'],
      ['void', 'evaporated', '100'],
    ])
  })
})

/** Plays the scenario in this process on the running stack, killing the keeper each time it is at one of the points. */
async function play(outcome: Outcome, degree: number, killAt: RegExp[] = []) {
  const { ready } = up
  const { signal } = new AbortController()
  const ledger = {
    client: createReadClient(ready.urls.rpc),
    deployment: await readDeployment(dataDir),
  }
  const killed: number[] = []
  const result = await runScenario(
    {
      ledger,
      wallet: (name) => createWriteClient(ready.urls.rpc, localAccount(name)),
      keeper: createKeeperApi(() => keeperSocketPath(dataDir)),
      say: (line) => {
        if (!killAt.some((point) => point.test(line))) return
        void readStack(dataDir).then((record) => {
          const keeper = record?.processes.find(({ name }) => name === 'keeper')
          if (keeper === undefined) return
          process.kill(keeper.pid, 'SIGKILL')
          killed.push(keeper.pid)
        })
      },
      signal,
    },
    { degree, outcome },
  )
  const analytics = createAnalyticsApi(ready.urls.analytics)
  return { result, killed, checks: await checkRun(result, { ledger, analytics, signal }) }
}

test('void comes true: everything the scenario claims holds', async () => {
  const { checks } = await play('void', 3)
  expect(checks.filter(({ problem }) => problem !== null)).toEqual([])
  expect(checks.length).toBeGreaterThan(6)
})

test('chaos comes true while the keeper is killed three times: same books, one report, one answer', async () => {
  const before = (await processes()).get('keeper')?.pid
  const { checks, killed } = await play('chaos', 2, [/^asked/, /reported in/, /^answered/])
  expect(killed.length).toBeGreaterThanOrEqual(2)
  expect(killed).toContain(before)
  // Among them: the books of every owner, exactly one report, exactly one answer, DuckDB equal to the contract.
  expect(checks.filter(({ problem }) => problem !== null)).toEqual([])
  while ((await fetch(`${up.ready.urls.keeper}/ready`).catch(() => undefined))?.status !== 200)
    await sleep(50)
})

test('a second stack is refused: on the same folder, and on the same ports', async () => {
  const same = await multiverse([
    'up',
    '--data',
    dataDir,
    '--port-base',
    `${(await freePorts()).chain}`,
  ])
  expect(same.stderr).toMatch(/^error LOCKED: .* is held by process \d+\n$/)
  expect(same.code).toBe(1)
  const other = await mkdtemp(join(tmpdir(), 'multiverse-e2e-'))
  try {
    const taken = await multiverse(['up', '--data', other, '--port-base', `${base}`, '--json'])
    expect(taken.stderr).toMatch(
      new RegExp(`^error PORT_TAKEN: port ${base} \\(chain\\) is taken: try --port-base \\d+\\n$`),
    )
    expect(lastJson(taken)).toMatchObject({ error: { code: 'PORT_TAKEN' } })
    expect(taken.code).toBe(1)
  } finally {
    await rm(other, { recursive: true, force: true })
  }
})

test('Ctrl-C ends every process, and the next start goes on where it was', async () => {
  const records = await processes()
  const client = createReadClient(up.ready.urls.rpc)
  const block = await getBlockNumber(client)
  const shown = await json('balance --owner alice')
  up.child.kill('SIGINT')
  expect(await once(up.child, 'exit')).toEqual([0, null])
  expect(await running(records)).toEqual([])
  expect((await run('balance')).code).toBe(4)
  // A keeper for one call serves the seeds' commands meanwhile, and the analytics know of it afterwards.
  const { lanes } = verseOnOutput.parse(await json('verse-on-quickjs 4'))
  expect(lanes.map(({ name }) => name)).toEqual(['nash', 'optimal', 'chaos'])
  const audited = sqlOutput.parse(await json('gf3-audit pipeline')).rows.map((row) => row[1])
  expect(audited).toEqual(expect.arrayContaining(lanes.map(({ verse }) => verse)))
  await lookWhereNothingRuns(dataDir)

  const { scenario } = up.ready
  up = await startUp('--scenario')
  expect(up.ready.scenario).toEqual(scenario)
  expect(await getBlockNumber(client)).toBeGreaterThanOrEqual(block)
  expect(await json('balance --owner alice')).toEqual(shown)
  const { checks } = await play('optimal', 1)
  expect(checks.filter(({ problem }) => problem !== null)).toEqual([])
})

test('a killed supervisor leaves no process behind, and what it wrote can be begun anew', async () => {
  const records = await processes()
  expect([...records.keys()]).toEqual(expect.arrayContaining(PROCESSES))
  up.child.kill('SIGKILL')
  await once(up.child, 'exit')
  await allEnded(records)

  await rm(join(dataDir, 'chain'), { recursive: true })
  const other = await multiverse(['up', '--data', dataDir, '--port-base', `${base}`])
  expect(other.stderr).toMatch(
    /^error OTHER_CHAIN: block \d+ is 0x[0-9a-f]{64} in the data folder and /m,
  )
  expect(other.code).toBe(3)

  const { deployment } = up.ready
  up = await startUp('--fresh')
  expect(up.ready.scenario).toBeNull()
  expect(up.ready.deployment.startBlockHash).not.toBe(deployment.startBlockHash)
  const { rows } = await createAnalyticsApi(up.ready.urls.analytics).sql('SELECT * FROM questions')
  expect(rows).toEqual([])
})

test('a chain that dies ends the stack, which says so', async () => {
  const records = await processes()
  let stderr = ''
  up.child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  process.kill(records.get('chain.inner')!.pid, 'SIGKILL')
  expect(await once(up.child, 'exit')).toEqual([1, null])
  expect(stderr).toMatch(
    /^error CHILD_DIED: chain ended with code 1: error CHAIN_DIED: anvil ended with SIGKILL$/m,
  )
  await allEnded(records)
})
