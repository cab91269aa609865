import { readFile } from 'node:fs/promises'
import type { Chart, ChartScope } from '../../cli/charts/chart.ts'
import { exposureChart } from '../../cli/charts/exposure.ts'
import { latencyChart } from '../../cli/charts/latency.ts'
import { probabilityChart } from '../../cli/charts/probability.ts'
import { treeChart } from '../../cli/charts/tree.ts'
import { wevChart } from '../../cli/charts/wev.ts'
import { CHART_KINDS, type ChartKind } from '../../cli/charts/kinds.ts'
import type { AnalyticsApi } from '../../cli/services.ts'
import { PROVIDER_SQL } from '../../cli/verbs/provider.ts'
import { auditView, SEED_VIEWS } from '../../cli/views.ts'

// What the analytics are asked: by the seeds' commands, by the charts, and by people through views and macros. The commands, the
// charts and the list of views are the product's own: what is new there is measured here, or fails for want of an equivalent.

/**
 * An analysis looks at every row of a table: it aggregates, ranks or walks all there is. A look-up is after a few rows: those of one
 * owner, verse, question or provider, or the first page of a list.
 */
export type Reads = 'analysis' | 'look-up'

/** `name` is also that of its equivalent for Postgres. */
export type Question = {
  name: string
  /** Where it comes from: commands and charts, views and macros, or what an analyst asks in SQL. */
  kind: 'command' | 'view' | 'ad hoc'
  reads: Reads
  sql: string
  values: string[]
}

/** What can be asked: the process over HTTP, or DuckDB itself. */
export type Asked = Pick<AnalyticsApi, 'sql'>

/** Those of the commands and views that are analyses, as they are asked here; all others are look-ups. */
const ANALYSES = new Set([
  'wev-analytics',
  'provider-efficiency',
  'provider-benchmark',
  'world-runtime-metrics',
  'gf3-audit, verdict',
  'chart wev',
  'chart exposure',
  'chart latency',
  'branch_graph',
  'oracle_games',
  'oracle_kinds',
  'provider_benchmark',
  'provider_efficiency',
  'provider_latency',
  'wev_analytics',
  'wev_history',
  'world_runtime_metrics',
])

/** What a table for people shows, at most (`--limit`). */
const SHOWN = 1_000
/** What is looked at of a view that has no end. */
const PAGE = 100

const CHARTS: Record<ChartKind, Chart> = {
  wev: wevChart,
  probability: probabilityChart,
  exposure: exposureChart,
  latency: latencyChart,
  tree: treeChart,
}

/** Somebody and something to ask about. */
export type Subjects = Record<'owner' | 'token' | 'verse' | 'question' | 'world', string>

/** Whom and what to ask about: the owner of most positions, what they have most of, and some verse of that. */
export async function findSubjects(analytics: Asked): Promise<Subjects> {
  const { rows } = await analytics.sql(`
    SELECT b.owner, p.token, max(p.verse) AS verse, max(v.question) AS question,
      (SELECT min(entity_id) FROM worlds WHERE verse IS NOT NULL) AS world
    FROM balances b JOIN positions p USING (position) JOIN verses v USING (verse)
    GROUP BY b.owner, p.token ORDER BY count(*) DESC, b.owner LIMIT 1`)
  const [owner, token, verse, question, world] = rows[0]!.map((cell) =>
    JSON.stringify(cell).slice(1, -1),
  )
  return { owner: owner!, token: token!, verse: verse!, question: question!, world: world! }
}

/** Every question of the commands, the charts, the views and an analyst. */
export async function listQuestions(analytics: Asked, subjects: Subjects): Promise<Question[]> {
  const kinds = {
    command: await listCommands(analytics, subjects),
    view: await listViews(analytics, subjects),
    'ad hoc': await listAnalyses(),
  }
  const questions = Object.entries(kinds).flatMap(([kind, all]) =>
    all.map((each): Question => {
      const isAnalysis = kind === 'ad hoc' || ANALYSES.has(each.name)
      return {
        ...each,
        kind: kind as keyof typeof kinds,
        reads: isAnalysis ? 'analysis' : 'look-up',
      }
    }),
  )
  const names = new Set(questions.map(({ name }) => name))
  const gone = [...ANALYSES].filter((name) => !names.has(name))
  if (gone.length > 0) throw new Error(`nothing is called ${gone.join(', ')} any more`)
  return questions
}

/** A question before it is said of what kind it is. */
type Draft = Pick<Question, 'name' | 'sql' | 'values'>

async function listCommands(analytics: Asked, subjects: Subjects): Promise<Draft[]> {
  const commands = [
    ...[...SEED_VIEWS, { name: 'gf3-audit', ...auditView(undefined) }].flatMap(
      ({ name, sql, verdict }) => [
        { name, sql: `${sql} LIMIT ${SHOWN + 1}`, values: [] },
        ...(verdict === undefined
          ? []
          : [{ name: `${name}, verdict`, sql: verdict.sql, values: [] }]),
      ],
    ),
    { name: 'provider-status', sql: PROVIDER_SQL, values: ['quickjs'] },
  ]
  for (const kind of CHART_KINDS) {
    const asked = await questionsOf(CHARTS[kind], analytics, {})
    commands.push(
      ...asked.map((each, nth) => ({
        ...each,
        name: `chart ${kind}${nth === 0 ? '' : `, ${nth + 1}`}`,
      })),
    )
  }
  const tree = await questionsOf(treeChart, analytics, { question: subjects.question })
  commands.push(...tree.map((each) => ({ ...each, name: 'chart tree --question' })))
  return commands
}

/** What an analyst asks: the same text of both engines. */
async function listAnalyses(): Promise<Draft[]> {
  const named = await readNamed(new URL('analyses.sql', import.meta.url))
  return [...named].map(([name, sql]) => ({ name, sql: sql.trim(), values: [] }))
}

/** The statements of a file in which each stands after a line with its name. */
export async function readNamed(file: URL): Promise<Map<string, string>> {
  const parts = (await readFile(file, 'utf8')).split(/^-- name: (.*)$/m).slice(1)
  return new Map(
    Array.from({ length: parts.length / 2 }, (_, nth) => [parts[2 * nth]!, parts[2 * nth + 1]!]),
  )
}

/** What a chart asks; the same question with other values counts once. */
async function questionsOf(
  chart: Chart,
  analytics: Asked,
  scope: ChartScope,
): Promise<Omit<Draft, 'name'>[]> {
  const asked = new Map<string, Omit<Draft, 'name'>>()
  await chart(
    {
      sql(sql, params = []) {
        if (!asked.has(sql)) asked.set(sql, { sql, values: [...params] })
        return analytics.sql(sql, params)
      },
    },
    scope,
  )
  return [...asked.values()]
}

/** How views are asked that nobody reads to the end; the others are read from their beginning. */
function scopes({ owner, verse, question, world }: Subjects): Record<string, string> {
  return {
    events: `account = '${owner}' ORDER BY block_number DESC, log_index DESC`,
    v_balances: `owner = '${owner}'`,
    redeemable: `owner = '${owner}'`,
    v_positions: `verse = '${verse}'`,
    v_supplies: `verse = '${verse}'`,
    v_states: `verse = '${verse}'`,
    v_verses: `verse = '${verse}'`,
    v_verse_answers: `verse = '${verse}'`,
    v_probabilities: `verse = '${verse}'`,
    supply_history: `verse = '${verse}'`,
    probability_history: `verse = '${verse}'`,
    verse_lifecycle: `verse = '${verse}'`,
    v_questions: `question = '${question}'`,
    world_distances: `world_from = '${world}'`,
  }
}

async function listViews(analytics: Asked, subjects: Subjects): Promise<Draft[]> {
  const { rows } = await analytics.sql(
    'SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY view_name',
  )
  const asked = scopes(subjects)
  const views = rows.map(([cell]) => {
    const name = JSON.stringify(cell).slice(1, -1)
    const scope = asked[name]
    const sql = `FROM ${name}${scope === undefined ? '' : ` WHERE ${scope}`} LIMIT ${PAGE}`
    return { name, sql, values: [] }
  })
  return [
    ...views,
    {
      name: 'exposure()',
      sql: 'FROM exposure($1, $2)',
      values: [subjects.owner, subjects.token],
    },
    {
      name: 'journal_bisimilarity()',
      sql: `FROM journal_bisimilarity('k0', 1, 'k1', 1)`,
      values: [],
    },
  ]
}
