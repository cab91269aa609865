import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { XMLParser } from 'fast-xml-parser'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Chart, ChartScope } from '../../cli/charts/chart.ts'
import { exposureChart } from '../../cli/charts/exposure.ts'
import { latencyChart } from '../../cli/charts/latency.ts'
import { probabilityChart } from '../../cli/charts/probability.ts'
import { renderSvg } from '../../cli/charts/render.ts'
import { treeChart } from '../../cli/charts/tree.ts'
import { wevChart } from '../../cli/charts/wev.ts'
import { createAnalyticsApi, type AnalyticsApi } from '../../cli/services.ts'
import { type Database, openDatabase } from '../../indexer/analytics/database.ts'
import { createApp, listen } from '../../indexer/analytics/http.ts'
import { createQuery } from '../../indexer/analytics/query.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { chartOutput } from '../../sdk/output.ts'
import { event, insertRows, MONDAY, NOWHERE, ROOT } from '../indexer/rows.ts'
import { lastJson, multiverse } from './harness.ts'

// Charts of rows written by hand: what is drawn is read out of the SVG again, by a parser that knows nothing of it.

const TOKEN = `0x${'70'.repeat(20)}`
const ALICE = `0x${'a1'.repeat(20)}`
const BOB = `0x${'b0'.repeat(20)}`
const [RAIN, DRY] = [`0x${'aa'.repeat(32)}`, `0x${'bb'.repeat(32)}`]

let folder: string
let database: Database
let server: Awaited<ReturnType<typeof listen>>
let analytics: AnalyticsApi

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multiverse-charts-'))
  database = await openDatabase(dataPaths(folder).analytics, NOWHERE)
  await fill()
  const status = {
    chainId: 31_337,
    block: null,
    journals: [],
    ready: true,
    reason: null,
    problems: [],
  }
  server = await listen(createApp({ query: createQuery(database), status: () => status }), 0)
  analytics = createAnalyticsApi(`http://127.0.0.1:${server.port}`)
})

afterAll(async () => {
  await server.close()
  await database.close()
  await rm(folder, { recursive: true, force: true })
})

/** One question, `rain` or `dry`, that alice (100 and 60) and bob (0 and 40) hold both answers of; it was dry once before. */
async function fill(): Promise<void> {
  const insert = (table: string, rows: Record<string, unknown>[]) =>
    insertRows(database, table, rows)
  await insert('tokens', [{ token: TOKEN, name: 'Coin', symbol: 'COIN', decimals: 1 }])
  const asked = (question: string) => ({
    ...event(1),
    question,
    oracle: ALICE,
    outcomes: 2,
    deadline: MONDAY + 36_000,
    spec_hash: '0x',
    terms_hash: '0x',
    survivors: [0, 1],
  })
  await insert('questions', [asked('0x01'), { ...asked('0x02'), status: 'resolved', winner: 1 }])
  const label = (question: string, outcome: number, text: string) => ({
    question,
    block_number: 1,
    outcome,
    label: text,
    prior: 0,
  })
  await insert('outcomes', [label('0x01', 0, 'rain'), label('0x01', 1, 'dry')])
  const verse = (id: string, outcome: number) => ({
    ...event(2),
    verse: id,
    parent: ROOT,
    question: '0x01',
    outcome,
    depth: 1,
    path: '[]',
  })
  await insert('verses', [verse(RAIN, 0), verse(DRY, 1)])
  const step = (id: string, outcome: number) => ({
    block_number: 2,
    verse: id,
    step: 1,
    question: '0x01',
    outcome,
  })
  await insert('verse_answers', [step(RAIN, 0), step(DRY, 1)])
  await insert('verse_labels', [
    { verse: RAIN, block_number: 2, label: 'rain' },
    { verse: DRY, block_number: 2, label: 'dry' },
  ])
  const position = (id: string, of: string) => ({
    ...event(2),
    position: id,
    verse: of,
    token: TOKEN,
  })
  await insert('positions', [position('1', RAIN), position('2', DRY)])
  await insert('balances', [
    { owner: ALICE, position: '1', amount: 100 },
    { owner: ALICE, position: '2', amount: 60 },
    { owner: BOB, position: '2', amount: 40 },
  ])
  await insert('supplies', [
    { position: '1', amount: 100 },
    { position: '2', amount: 100 },
  ])
  const world = (of: string, outcome: number, probability: string) => ({
    ...event(3),
    keeper: BOB,
    parent: ROOT,
    question: '0x01',
    outcome,
    verse: of,
    state_root: '0x',
    cost: 1,
    probability,
    trit: 0,
    verdict: 1,
  })
  await insert('report_worlds', [
    world(RAIN, 0, '600000000000000000'),
    world(DRY, 1, '400000000000000000'),
  ])
  await insert('worlds', [
    {
      entity_id: 'w1',
      keeper_id: 'k',
      provider_id: 'quickjs',
      verse: RAIN,
      cost: '1500000000000000000',
    },
  ])
  await insert('answers', [{ ...event(4), question: '0x02', outcome: 1, expired: false }])
  await insert('wev_exact', [
    {
      question: '0x02',
      token: TOKEN,
      block_number: 4,
      winner: 1,
      wev_nominal: 300,
      wev_realized: 50,
      total: 100,
    },
  ])
  const measured = {
    question: '0x02',
    wevRatio: '333000000000000000',
    wevAbs: '250000000000000000',
  }
  await insert('journal', [
    {
      keeper_id: 'k',
      epoch: 1,
      seq: 1,
      written_at: '2026-01-05',
      kind: 'wev.measured',
      event: JSON.stringify(measured),
    },
  ])
  await insert('runtime_providers', [{ provider_id: 'quickjs', name: 'QuickJS', trit: 1 }])
  await insert('provider_invocations', [
    {
      invocation_id: 'a',
      provider_id: 'quickjs',
      operation: 'branch',
      output_result: '{}',
      latency_ms: 10,
    },
    {
      invocation_id: 'b',
      provider_id: 'quickjs',
      operation: 'branch',
      output_result: '{}',
      latency_ms: 30,
    },
  ])
}

type Mark = { kind: string; data: Record<string, string> }

/** Every mark of a drawing that bears data: its kind, and the data by name. */
async function marksOf(chart: Chart, scope: ChartScope = {}): Promise<Mark[]> {
  const drawing = await chart(analytics, scope)
  const svg = await renderSvg(drawing)
  const found: Mark[] = []
  const walk = (node: unknown): void => {
    if (Array.isArray(node)) for (const each of node) walk(each)
    else if (typeof node === 'object' && node !== null) {
      const element = node as Record<string, unknown>
      const label = element['@aria-label']
      const kind = element['@aria-roledescription']
      if (typeof label === 'string' && typeof kind === 'string' && /: /.test(label))
        found.push({ kind, data: Object.fromEntries(label.split('; ').map((each) => split(each))) })
      for (const each of Object.values(element)) walk(each)
    }
  }
  walk(new XMLParser({ ignoreAttributes: false, attributeNamePrefix: '@' }).parse(svg))
  return found
}

function split(text: string): [string, string] {
  const at = text.indexOf(': ')
  return [text.slice(0, at), text.slice(at + 2)]
}

const dataOf = (marks: Mark[], kind: string) =>
  marks.filter((mark) => mark.kind === kind).map(({ data }) => data)

describe('the marks are the data', () => {
  test('tree: probability, supply, state and world of every verse', async () => {
    const marks = (await marksOf(treeChart)).map(({ data }) => data).filter((data) => data['verse'])
    expect(marks).toEqual([
      { verse: 'root', state: 'alive', probability: '1', supply: 'nothing', world: 'no world' },
      {
        verse: 'rain',
        state: 'alive',
        probability: '0.6',
        supply: '10 COIN',
        world: 'quickjs, cost 1.5',
      },
      { verse: 'dry', state: 'alive', probability: '0.4', supply: '10 COIN', world: 'no world' },
    ])
    // Of a question that nobody asked there is only the root.
    expect((await treeChart(analytics, { question: '0x09' })).rows).toHaveLength(1)
  })

  test('exposure: every owner in every future', async () => {
    const bars = dataOf(await marksOf(exposureChart), 'bar')
    expect(bars.map((bar) => [bar['future'], Number(bar['held if it comes true'])])).toEqual([
      ['dry', 6],
      ['rain', 10],
      ['dry', 4],
      ['rain', 0],
    ])
    expect(dataOf(await marksOf(exposureChart, { owner: BOB }), 'bar')).toHaveLength(2)
  })

  test('probability: a point for each thing that was said', async () => {
    const points = dataOf(await marksOf(probabilityChart), 'point')
    expect(
      points.map((point) => [point['verse'], Number(point['conditional on the parent'])]),
    ).toEqual([
      ['rain of 0x01', 0.6],
      ['dry of 0x01', 0.4],
    ])
  })

  test('wev: a point for each of the four forms', async () => {
    const points = dataOf(await marksOf(wevChart), 'point')
    expect(points.map((point) => Number(point['value']))).toEqual([0.25, 30, 0.333, 5])
  })

  test('latency: three percentiles of each operation, and the promise', async () => {
    const marks = await marksOf(latencyChart)
    const points = dataOf(marks, 'point')
    expect(points.map((point) => [point['percentile'], Number(point['ms'])])).toEqual([
      ['p50', 20],
      ['p95', 29],
      ['p99', expect.closeTo(29.8, 4)],
    ])
    expect(dataOf(marks, 'rule mark').map((rule) => rule['promised'])).toEqual(['250'])
  })
})

test('the command writes the file, and says when there is nothing to draw', async () => {
  const other = await mkdtemp(join(tmpdir(), 'multiverse-charts-'))
  try {
    const { analytics: place, deployment } = dataPaths(other)
    await (await openDatabase(place, NOWHERE)).close()
    await writeFile(deployment, JSON.stringify(NOWHERE))
    const file = join(other, 'tree.svg')
    const [drawn, empty] = await Promise.all([
      multiverse(['chart', 'tree', '--data', other, '--out', file, '--no-open', '--json']),
      multiverse(['chart', 'wev', '--data', other, '--out', join(other, 'wev.svg')]),
    ])
    expect(chartOutput.parse(lastJson(drawn))).toEqual({ kind: 'tree', file, rows: 1 })
    expect(await readFile(file, 'utf8')).toMatch(/^<svg /)
    expect(empty.stderr).toMatch(/^error NOTHING_TO_DRAW: /)
    expect(empty.code).toBe(1)
  } finally {
    await rm(other, { recursive: true, force: true })
  }
})
