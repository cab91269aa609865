/** The charts that there are. */
export const CHART_KINDS = ['wev', 'probability', 'exposure', 'latency', 'tree'] as const
export type ChartKind = (typeof CHART_KINDS)[number]
