import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Status } from './status.ts'

/** Figures of the analytics for Prometheus. */
export type Metrics = {
  /** A query ended: with a code, or `ok`. */
  query(outcome: string, seconds: number): void
  /** A look at the indexer ended: level with it, or waiting for something. */
  tick(kind: string, seconds: number): void
  /** All figures in Prometheus' text format. */
  text(): Promise<string>
  contentType: string
}

const SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export function createMetrics(status: () => Status): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const queries = new Counter({
    name: 'analytics_queries_total',
    help: 'Queries by how they ended.',
    labelNames: ['outcome'],
    registers,
  })
  const durations = new Histogram({
    name: 'analytics_query_seconds',
    help: 'Time that a query took.',
    buckets: SECONDS,
    registers,
  })
  const ticks = new Histogram({
    name: 'analytics_tick_seconds',
    help: 'Time that one look at the indexer took.',
    labelNames: ['kind'],
    buckets: SECONDS,
    registers,
  })
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  gauge(
    'analytics_block',
    'Block up to which everything is mirrored.',
    () => status().block?.number ?? -1,
  )
  gauge('analytics_ready', 'Whether the mirror is level with the chain.', () =>
    status().ready ? 1 : 0,
  )
  gauge('analytics_journal_entries', "Entries read of all keepers' journals.", () =>
    status().journals.reduce((sum, { seq }) => sum + seq, 0),
  )
  return {
    query(outcome, seconds) {
      queries.inc({ outcome })
      durations.observe(seconds)
    },
    tick: (kind, seconds) => ticks.observe({ kind }, seconds),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  }
}
