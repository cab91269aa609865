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

/** `name` is also that of its equivalent for Postgres. */
export type Question = { name: string; sql: string; values: string[] }

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
export async function findSubjects(analytics: AnalyticsApi): Promise<Subjects> {
  const { rows } = await analytics.sql(`
    SELECT b.owner, p.token, max(p.verse) AS verse, max(v.question) AS question,
      (SELECT max(entity_id) FROM worlds WHERE verse IS NOT NULL) AS world
    FROM balances b JOIN positions p USING (position) JOIN verses v USING (verse)
    GROUP BY b.owner, p.token ORDER BY count(*) DESC, b.owner LIMIT 1`)
  const [owner, token, verse, question, world] = rows[0]!.map((cell) =>
    JSON.stringify(cell).slice(1, -1),
  )
  return { owner: owner!, token: token!, verse: verse!, question: question!, world: world! }
}

/** Every question of the commands, the charts and the views. */
export async function listQuestions(
  analytics: AnalyticsApi,
  subjects: Subjects,
): Promise<{ commands: Question[]; views: Question[] }> {
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
  return { commands, views: await listViews(analytics, subjects) }
}

/** What a chart asks; the same question with other values counts once. */
async function questionsOf(
  chart: Chart,
  analytics: AnalyticsApi,
  scope: ChartScope,
): Promise<Omit<Question, 'name'>[]> {
  const asked = new Map<string, Omit<Question, 'name'>>()
  await chart(
    {
      ...analytics,
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

async function listViews(analytics: AnalyticsApi, subjects: Subjects): Promise<Question[]> {
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
