import { z } from 'zod'
import { type Chart, FRAME } from './chart.ts'

const holder = z.tuple([z.string(), z.string(), z.string()])
const row = z.tuple([z.string(), z.number()])

/** More would not be told apart: those with most to lose come first. */
const MAX_OWNERS = 12

const HOLDERS = `
  SELECT h.owner, h.token, coalesce(t.symbol, left(h.token, 10)) AS symbol
  FROM (
    SELECT b.owner, p.token, sum(b.amount::DOUBLE) AS amount
    FROM balances b
    JOIN positions p USING (position)
    WHERE b.amount > 0::BIGNUM AND ($1 = '' OR b.owner = $1)
      AND p.verse IN (SELECT verse FROM v_states WHERE state <> 'collapsed')
    GROUP BY b.owner, p.token
  ) h
  LEFT JOIN tokens t USING (token)
  ORDER BY h.amount / pow(10, coalesce(t.decimals, 0)) DESC, h.owner, h.token
  LIMIT ${MAX_OWNERS}`

/** A combination by its answers' labels; where nothing is open there is one, now. */
const EXPOSURE = `
  WITH futures AS (
    SELECT row_number() OVER () AS n, future, amount FROM exposure($1, $2)
  ), answers AS (
    SELECT n, unnest(map_entries(future)) AS answer FROM futures
  ), named AS (
    SELECT a.n, string_agg(coalesce(o.label, left(a.answer.key, 10) || '=' || a.answer.value), ' & ' ORDER BY a.answer.key) AS name
    FROM answers a
    LEFT JOIN outcomes o ON o.question = a.answer.key AND o.outcome = a.answer.value
    GROUP BY a.n
  )
  SELECT coalesce(named.name, 'now') AS future, f.amount::DOUBLE / pow(10, coalesce(t.decimals, 0)) AS amount
  FROM futures f
  LEFT JOIN named USING (n)
  LEFT JOIN tokens t ON t.token = lower($2)
  ORDER BY future`

/** What each owner has in every combination of answers that can still come true. */
export const exposureChart: Chart = async (analytics, { owner = '' }) => {
  const { rows: holders } = await analytics.sql(HOLDERS, [owner])
  const values: { owner: string; future: string; amount: number }[] = []
  // One after another: the analytics run only so many at once.
  for (const each of holders) {
    const [who, token, symbol] = holder.parse(each)
    const { rows } = await analytics.sql(EXPOSURE, [who, token])
    for (const future of rows) {
      const [name, amount] = row.parse(future)
      values.push({ owner: `${who.slice(0, 10)} ${symbol}`, future: name, amount })
    }
  }
  return {
    kind: 'vega-lite',
    title: 'Who holds which future',
    rows: values,
    spec: {
      ...FRAME,
      title: 'Who holds which future',
      data: { values },
      facet: { row: { field: 'owner', title: null, sort: null } },
      spec: {
        width: 560,
        height: { step: 16 },
        mark: 'bar',
        encoding: {
          y: { field: 'future', title: null, type: 'nominal' },
          x: { field: 'amount', title: 'held if it comes true', type: 'quantitative' },
        },
      },
      resolve: { scale: { y: 'independent' } },
    },
  }
}
