import type { Spec } from 'vega'
import type { TopLevelSpec } from 'vega-lite'
import type { AnalyticsApi } from '../services.ts'

/** What a chart can be narrowed to. */
export type ChartScope = {
  /** Lower-case hex; undefined for all. */
  owner?: string | undefined
  /** Lower-case hex; undefined for all. */
  question?: string | undefined
}

/** A picture before it is drawn, and the rows that it shows, each as one mark or one group of marks. */
export type Drawing = { title: string; rows: readonly object[] } & (
  | { kind: 'vega'; spec: Spec }
  | { kind: 'vega-lite'; spec: TopLevelSpec }
)

/** Reads what a chart shows from the analytics and lays it out. */
export type Chart = (analytics: Pick<AnalyticsApi, 'sql'>, scope: ChartScope) => Promise<Drawing>

/** Colours that are told apart on paper too; the first three are the trits', -1, 0 and +1. */
const COLOURS = ['#2626D8', '#26A826', '#D82626', '#8C6D1F', '#7A3E9D', '#3E7A8C']

/** What all Vega-Lite charts have in common. */
export const FRAME = {
  $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
  background: 'white',
  config: { range: { category: COLOURS }, axis: { labelLimit: 280 } },
} as const
