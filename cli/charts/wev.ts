import { z } from 'zod'
import { type Chart, FRAME } from './chart.ts'

/** When in milliseconds since 1970, which form, whose, how much. */
const row = z.tuple([z.number(), z.string(), z.string(), z.number()])

/**
 * One row for each answer, token and form that is known: the ratio and the difference of costs have no token. Times are numbers, as
 * there can be many, and text takes DuckDB's binding several times as long.
 */
const SQL = `
  WITH told AS (
    SELECT h.*, coalesce(q.title, left(h.question, 10)) AS name, coalesce(t.symbol, left(h.token, 10)) AS symbol,
           pow(10, coalesce(t.decimals, 0)) AS unit
    FROM wev_history h
    LEFT JOIN v_questions q USING (question)
    LEFT JOIN tokens t USING (token)
  )
  SELECT epoch_ms(answered_at)::DOUBLE AS answered, form, name, value
  FROM (
    SELECT DISTINCT answered_at, 'ratio' AS form, name, question, ratio AS value FROM told
    UNION ALL SELECT DISTINCT answered_at, 'absolute', name, question, absolute FROM told
    UNION ALL SELECT answered_at, 'nominal, ' || symbol, name, question, nominal::DOUBLE / unit FROM told
    UNION ALL SELECT answered_at, 'realized, ' || symbol, name, question, realized::DOUBLE / unit FROM told
  )
  WHERE value IS NOT NULL AND ($1 = '' OR question = $1)
  ORDER BY answered, question, form`

/** Extractable value over time in its four forms, each on a scale of its own: they are never added. */
export const wevChart: Chart = async (analytics, { question = '' }) => {
  const { rows } = await analytics.sql(SQL, [question])
  const values = rows.map((each) => {
    const [answered, form, name, value] = row.parse(each)
    return { answered: new Date(answered).toISOString(), form, question: name, value }
  })
  return {
    kind: 'vega-lite',
    title: 'World extractable value',
    rows: values,
    spec: {
      ...FRAME,
      title: 'World extractable value',
      data: { values },
      facet: { row: { field: 'form', title: null, sort: null } },
      spec: {
        width: 560,
        height: 110,
        mark: { type: 'line', point: true },
        encoding: {
          x: { field: 'answered', type: 'temporal', title: null, scale: { type: 'utc' } },
          y: { field: 'value', type: 'quantitative', title: null },
        },
      },
      resolve: { scale: { y: 'independent' } },
    },
  }
}
