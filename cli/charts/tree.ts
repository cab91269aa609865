import type { Spec, TextMark } from 'vega'
import { z } from 'zod'
import type { Chart } from './chart.ts'

const row = z.tuple([
  z.string(),
  z.string().nullable(),
  z.string(),
  z.string(),
  z.number().nullable(),
  z.string(),
  z.string(),
])

/** More could not be read: those nearest to ROOT come first. */
const MAX_VERSES = 2_000

/** Every verse with its last answer's label, its state, its probability, what is in it, and the newest world that ran it. */
const SQL = `
  WITH shown AS MATERIALIZED (
    SELECT verse, parent, question, outcome, depth FROM verses
    WHERE $1 = '' OR parent IS NULL OR verse IN (SELECT verse FROM verse_answers WHERE question = $1)
    ORDER BY depth, parent, outcome
    LIMIT ${MAX_VERSES}
  )
  SELECT v.verse, v.parent, coalesce(o.label, v.outcome::VARCHAR, 'root') AS name, st.state,
         CASE WHEN v.parent IS NULL THEN 1 ELSE p.probability::DOUBLE / 1e18 END AS probability,
         coalesce(s.supply, 'nothing') AS supply, coalesce(w.world, 'no world') AS world
  FROM shown v
  JOIN v_states st USING (verse)
  LEFT JOIN v_probabilities p USING (verse)
  LEFT JOIN outcomes o ON o.question = v.question AND o.outcome = v.outcome
  LEFT JOIN (
    SELECT verse, string_agg(CASE WHEN display = round(display) THEN display::HUGEINT::VARCHAR ELSE round(display, 4)::VARCHAR END
                             || ' ' || symbol, ', ' ORDER BY token) AS supply
    FROM (
      SELECT p.verse, p.token, coalesce(t.symbol, left(p.token, 10)) AS symbol,
             held.amount::DOUBLE / pow(10, coalesce(t.decimals, 0)) AS display
      FROM shown
      JOIN positions p USING (verse)
      JOIN supplies held USING (position)
      LEFT JOIN tokens t USING (token)
      WHERE held.amount > 0::BIGNUM
    )
    GROUP BY verse
  ) s USING (verse)
  LEFT JOIN (
    SELECT verse, arg_max(coalesce(provider_id, 'a world') || coalesce(', cost ' || round(cost::DOUBLE / 1e18, 4), ''), entity_id) AS world
    FROM worlds WHERE verse IN (SELECT verse FROM shown) GROUP BY verse
  ) w USING (verse)
  ORDER BY v.depth, v.parent, v.outcome`

const STATES = { alive: '#26A826', happened: '#2626D8', collapsed: '#999999' }
const ROW = 34
const COLUMN = 300

/** The tree of verses: probability, supply, state and world of every node. */
export const treeChart: Chart = async (analytics, { question = '' }) => {
  const { rows } = await analytics.sql(SQL, [question])
  const all = rows.map((each) => {
    const [verse, parent, name, state, probability, supply, world] = row.parse(each)
    return { verse, parent, name, state, probability, supply, world }
  })
  const present = new Set(all.map(({ verse }) => verse))
  const [top] = all
  // A verse whose parent is not shown hangs below ROOT.
  const values = all.map((each) => ({
    ...each,
    parent:
      each === top
        ? null
        : each.parent !== null && present.has(each.parent)
          ? each.parent
          : top!.verse,
  }))
  return { kind: 'vega', title: 'The tree of verses', rows: values, spec: treeSpec(values) }
}

type Node = {
  verse: string
  parent: string | null
  name: string
  state: string
  probability: number | null
  supply: string
  world: string
}

function treeSpec(values: readonly Node[]): Spec {
  const depths = new Map<string, number>()
  for (const { verse, parent } of values)
    depths.set(verse, parent === null ? 0 : (depths.get(parent) ?? 0) + 1)
  const parents = new Set(values.map(({ parent }) => parent))
  const leaves = values.filter(({ verse }) => !parents.has(verse)).length
  const likely = "datum.probability === null ? 'unsaid' : format(datum.probability, '.4~')"
  return {
    $schema: 'https://vega.github.io/schema/vega/v6.json',
    description: 'The tree of verses',
    title: 'The tree of verses',
    background: 'white',
    width: Math.max(...depths.values(), 0) * COLUMN,
    height: Math.max(leaves, 1) * ROW,
    padding: { left: 10, right: COLUMN, top: 10, bottom: 10 },
    data: [
      {
        name: 'verses',
        values: [...values],
        transform: [
          { type: 'stratify', key: 'verse', parentKey: 'parent' },
          {
            type: 'tree',
            method: 'tidy',
            size: [{ signal: 'height' }, { signal: 'width' }],
            as: ['y', 'x', 'depth', 'children'],
          },
        ],
      },
      {
        name: 'steps',
        source: 'verses',
        transform: [
          { type: 'treelinks' },
          { type: 'linkpath', orient: 'horizontal', shape: 'diagonal' },
        ],
      },
    ],
    scales: [
      { name: 'state', type: 'ordinal', domain: Object.keys(STATES), range: Object.values(STATES) },
    ],
    legends: [{ fill: 'state', orient: 'top', direction: 'horizontal' }],
    marks: [
      {
        type: 'path',
        from: { data: 'steps' },
        aria: false,
        encode: { update: { path: { field: 'path' }, stroke: { value: '#cccccc' } } },
      },
      {
        type: 'symbol',
        from: { data: 'verses' },
        encode: {
          enter: {
            x: { field: 'x' },
            y: { field: 'y' },
            size: { value: 80 },
            fill: { scale: 'state', field: 'state' },
            description: {
              signal: `'verse: ' + datum.name + '; state: ' + datum.state + '; probability: ' + (${likely}) + '; supply: ' + datum.supply + '; world: ' + datum.world`,
            },
          },
        },
      },
      text(-6, `datum.name + '  ' + (${likely}) + '  ' + datum.state`, {
        fontWeight: { value: 'bold' },
      }),
      text(7, "datum.supply + '; ' + datum.world", { fill: { value: '#555555' } }),
    ],
  }
}

/** A line of text beside each node. */
function text(dy: number, signal: string, more: object = {}): TextMark {
  return {
    type: 'text',
    from: { data: 'verses' },
    encode: {
      enter: {
        x: { field: 'x', offset: 10 },
        y: { field: 'y', offset: dy },
        text: { signal },
        baseline: { value: 'middle' },
        fontSize: { value: 11 },
        ...more,
      },
    },
    aria: false,
  }
}
