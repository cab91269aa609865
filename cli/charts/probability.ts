import { z } from 'zod'
import { type Chart, FRAME } from './chart.ts'

const row = z.tuple([z.string(), z.string(), z.number()])

/** More would not be told apart: what was said last comes first. */
const MAX_WORDS = 2_000

const SQL = `
  SELECT strftime(h.block_timestamp, '%Y-%m-%dT%H:%M:%S.%gZ') AS said,
         coalesce(v.label, left(h.verse, 18)) || ' of ' || left(h.question, 10) AS verse,
         h.probability::DOUBLE / 1e18 AS probability
  FROM (
    FROM probability_history WHERE $1 = '' OR question = $1
    ORDER BY block_number DESC, log_index DESC, outcome DESC LIMIT ${MAX_WORDS}
  ) h
  LEFT JOIN verse_labels v USING (verse)
  ORDER BY h.block_number, h.log_index, h.outcome`

/** What keepers said of each verse over time, conditional on its parent. What was said holds until something else is. */
export const probabilityChart: Chart = async (analytics, { question = '' }) => {
  const { rows } = await analytics.sql(SQL, [question])
  const values = rows.map((each) => {
    const [said, verse, probability] = row.parse(each)
    return { said, verse, probability }
  })
  return {
    kind: 'vega-lite',
    title: 'Probability of each verse',
    rows: values,
    spec: {
      ...FRAME,
      title: 'Probability of each verse',
      width: 560,
      height: 320,
      data: { values },
      mark: { type: 'line', interpolate: 'step-after', point: true },
      encoding: {
        x: { field: 'said', type: 'temporal', title: null, scale: { type: 'utc' } },
        y: {
          field: 'probability',
          type: 'quantitative',
          title: 'conditional on the parent',
          scale: { domain: [0, 1] },
        },
        color: { field: 'verse', title: null, sort: null },
      },
    },
  }
}
