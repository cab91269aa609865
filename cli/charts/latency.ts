import { z } from 'zod'
import { type Chart, FRAME } from './chart.ts'

const row = z.tuple([z.string(), z.string(), z.number(), z.number(), z.number()])

const SQL = `
  SELECT provider_id, operation, p50_ms, p95_ms, p99_ms FROM provider_latency ORDER BY provider_id, operation`

/** The seeds' promise for a snapshot and a branch, milliseconds. */
const PROMISED_MS = 250

/** How long providers' callers waited: half of them, 95 and 99 of 100. */
export const latencyChart: Chart = async (analytics) => {
  const { rows } = await analytics.sql(SQL)
  const values = rows.flatMap((each) => {
    const [provider, operation, p50, p95, p99] = row.parse(each)
    const call = `${provider} ${operation}`
    return [
      { call, percentile: 'p50', ms: p50 },
      { call, percentile: 'p95', ms: p95 },
      { call, percentile: 'p99', ms: p99 },
    ]
  })
  return {
    kind: 'vega-lite',
    title: 'Latency of providers',
    rows: values,
    spec: {
      ...FRAME,
      title: 'Latency of providers',
      width: 560,
      height: { step: 18 },
      layer: [
        {
          data: { values },
          mark: { type: 'point', filled: true, size: 60 },
          encoding: {
            y: { field: 'call', type: 'nominal', title: null },
            x: { field: 'ms', type: 'quantitative', title: 'ms', scale: { type: 'symlog' } },
            color: { field: 'percentile', title: null },
          },
        },
        {
          data: { values: [{ promised: PROMISED_MS }] },
          mark: { type: 'rule', strokeDash: [4, 4] },
          encoding: { x: { field: 'promised', type: 'quantitative' } },
        },
      ],
    },
  }
}
