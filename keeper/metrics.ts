import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { JournalEvent } from '../sdk/journal.ts'
import { formatEther } from 'viem'

type Call = Extract<JournalEvent, { kind: 'provider.invoked' }>

/** Figures of the keeper for Prometheus. */
export type Metrics = {
  /** Starts a step's clock; the function given stops it. */
  step(name: string): () => void
  /** A partition was reported so many milliseconds after its push-down's block was seen. */
  reported(blockToReportMs: number): void
  /** A new world was there after its partition waited so many milliseconds for it; a warm one had been made before. */
  created(provider: string, start: 'cold' | 'warm', ms: number): void
  transaction(state: string): void
  /** A provider was called: one row of the journal. */
  invoked(call: Pick<Call, 'providerId' | 'operation' | 'latencyMs' | 'costUnits' | 'error'>): void
  /** A comparison of chain, books and worlds found so much of something. */
  reconciled(what: string, count: number): void
  /** A partition is none that this keeper serves, by the code that says why. */
  declined(code: string): void
  /** All figures in Prometheus' text format. */
  text(): Promise<string>
  contentType: string
}

/** What is asked when the figures are read. */
export type MetricSources = {
  headBlock(): number | null
  headTime(): number | null
  partitions(): Promise<{ state: string; count: number }[]>
  jobs(): Promise<{ queue: string; state: string; count: number }[]>
  liveWorlds(): number
  /** Null before the endpoint has said anything. */
  lag(): number | null
  deadLetters(): Promise<number>
  /** Partitions that another keeper reported too. */
  doubled(): Promise<number>
  transactions(): Promise<{ state: string; count: number }[]>
  /** What keeps transactions waiting, and the account's balance in wei. */
  account(): { waiting: object; balance: bigint | null }
}

export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
  const steps = new Histogram({
    name: 'keeper_step_seconds',
    help: 'Time that a step of a partition took.',
    labelNames: ['step'],
    buckets: seconds,
    registers,
  })
  const reports = new Histogram({
    name: 'keeper_block_to_report_seconds',
    help: 'From the first sight of the block of a push-down to the mined report.',
    buckets: seconds,
    registers,
  })
  const creations = new Histogram({
    name: 'keeper_world_create_seconds',
    help: 'What a partition waited for a new world; warm ones had been made before.',
    labelNames: ['provider', 'start'],
    buckets: seconds,
    registers,
  })
  const transactions = new Counter({
    name: 'keeper_transactions_total',
    help: 'Transactions by how they ended.',
    labelNames: ['state'],
    registers,
  })
  const calls = new Histogram({
    name: 'keeper_provider_seconds',
    help: 'What calls of providers took.',
    labelNames: ['provider', 'operation'],
    buckets: seconds,
    registers,
  })
  const costs = new Counter({
    name: 'keeper_provider_cost_total',
    help: 'What calls of providers cost, core-seconds.',
    labelNames: ['provider'],
    registers,
  })
  const faults = new Counter({
    name: 'keeper_provider_errors_total',
    help: 'Calls of providers that failed, by code.',
    labelNames: ['provider', 'code'],
    registers,
  })
  const reconciled = new Counter({
    name: 'keeper_reconciled_total',
    help: 'What comparisons of chain, books and worlds found and put right.',
    labelNames: ['what'],
    registers,
  })
  const declined = new Counter({
    name: 'keeper_declined_total',
    help: 'Partitions that are not served, by why.',
    labelNames: ['code'],
    registers,
  })
  const gauge = (
    name: string,
    help: string,
    labelNames: string[],
    collect: (gauge: Gauge) => void | Promise<void>,
  ) =>
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      async collect() {
        this.reset()
        await collect(this)
      },
    })
  gauge('keeper_head_block', 'Newest block taken in.', [], (all) => {
    all.set(sources.headBlock() ?? -1)
  })
  gauge('keeper_head_age_seconds', 'Age of the newest block taken in.', [], (all) => {
    const time = sources.headTime()
    all.set(time === null ? -1 : Date.now() / 1_000 - time)
  })
  gauge('keeper_lag_blocks', 'Blocks that the endpoint has and are not taken in.', [], (all) => {
    all.set(sources.lag() ?? -1)
  })
  gauge('keeper_dead_letters', 'Jobs that were given up on.', [], async (all) => {
    all.set(await sources.deadLetters())
  })
  gauge('keeper_doubled_partitions', 'Branched here, reported by another too.', [], async (all) => {
    all.set(await sources.doubled())
  })
  gauge('keeper_live_worlds', 'Worlds that live in this process.', [], (all) => {
    all.set(sources.liveWorlds())
  })
  gauge('keeper_transactions', 'Transactions by state.', ['state'], async (all) => {
    for (const { state, count } of await sources.transactions()) all.set({ state }, count)
  })
  gauge('keeper_transactions_waiting', 'Why transactions wait.', ['reason'], (all) => {
    for (const reason of Object.keys(sources.account().waiting)) all.set({ reason }, 1)
  })
  gauge('keeper_balance_ether', "What the keeper's account has.", [], (all) => {
    const { balance } = sources.account()
    all.set(balance === null ? -1 : Number(formatEther(balance)))
  })
  gauge('keeper_partitions', 'Partitions by state.', ['state'], async (all) => {
    for (const { state, count } of await sources.partitions()) all.set({ state }, count)
  })
  gauge('keeper_jobs', 'Jobs by queue and state.', ['queue', 'state'], async (all) => {
    for (const { queue, state, count } of await sources.jobs()) all.set({ queue, state }, count)
  })
  return {
    step: (step) => steps.startTimer({ step }),
    reported: (blockToReportMs) => reports.observe(blockToReportMs / 1_000),
    created: (provider, start, ms) => creations.observe({ provider, start }, ms / 1_000),
    transaction: (state) => transactions.inc({ state }),
    invoked: ({ providerId: provider, operation, latencyMs, costUnits, error }) => {
      calls.observe({ provider, operation }, latencyMs / 1_000)
      costs.inc({ provider }, costUnits)
      if (error !== null) faults.inc({ provider, code: error.code })
    },
    reconciled: (what, count) => reconciled.inc({ what }, count),
    declined: (code) => declined.inc({ code }),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  }
}
