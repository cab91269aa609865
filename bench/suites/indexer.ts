import { parseArgs } from 'node:util'
import { backfill, type Backfill, countLogs, type Filled, fillChain } from '../indexer/backfill.ts'
import { runBare } from '../indexer/bare.ts'
import { startPostgres } from '../../test/helpers/postgres.ts'
import { type Bench, figure, type Row, summarize, type Target, time } from '../harness.ts'

// A rate is what more events take longer: starting the processes is not part of it. So each is measured on two chains.

const EVENTS = '120000'

export const bench: Bench = {
  name: 'indexer',
  summary: 'chain to DuckDB: backfill beside a bare getLogs loop, and how soon a block is seen',
  async run({ args, note }) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        /** Events on the longer of two chains. */
        events: { type: 'string', default: EVENTS },
      },
    })
    const most = Number(values.events)
    if (!Number.isSafeInteger(most) || most < 10_000)
      throw new Error(`--events takes a whole number from 10000, not ${values.events}`)
    note(`chains of ${most / 4} and ${most} events`)
    const short = await fillChain(most / 4)
    const long = await fillChain(most)
    try {
      const floor = summarize(
        await time(() => countLogs(long.chain), { warmup: 1, repetitions: 5 }),
      )
      const floorRate = (long.events / floor.median) * 1_000
      const rows: Row[] = [figure('bare getLogs loop that stores nothing', floorRate, 'events/s')]
      const events = long.events - short.events
      // What is asked for is asked of what people get without a server of their own.
      const report = (a: Backfill, b: Backfill, on?: string) => {
        if (b.totalMs <= a.totalMs || b.indexerMs <= a.indexerMs)
          throw new Error(
            `starting took longer than ${events} events: give more with --events, or a quieter machine`,
          )
        const rate = (events / (b.totalMs - a.totalMs)) * 1_000
        const indexer = (events / (b.indexerMs - a.indexerMs)) * 1_000
        const perSecond = (of: 'indexer' | 'mirror') => events / (b[of].cpuS - a[of].cpuS)
        const name = (what: string) => (on === undefined ? what : `${what}, indexer on ${on}`)
        const goal = (target: Target) => (on === undefined ? target : undefined)
        rows.push(
          figure(name('chain to DuckDB'), rate, 'events/s', goal({ op: '>=', value: 6_000 })),
          figure(name('floor / chain to DuckDB'), floorRate / rate, 'x'),
          figure(name('chain to indexer'), indexer, 'events/s'),
          figure(name('indexer alone'), perSecond('indexer'), 'events/CPU s'),
          figure(name('mirror alone'), perSecond('mirror'), 'events/CPU s'),
          figure(
            name('memory of the mirror'),
            b.mirror.peakMiB,
            'MiB',
            goal({ op: '<=', value: 500 }),
          ),
        )
      }
      const bare = { short: await runBare(short.chain), long: await runBare(long.chain) }
      rows.push(
        figure(
          'ponder alone, with handlers that do nothing',
          events / (bare.long.cpuS - bare.short.cpuS),
          'events/CPU s',
        ),
      )
      const latencies: number[] = []
      const slow = await backfill(short)
      report(slow, await backfill(long, { live: (ms) => latencies.push(ms) }))
      const postgres = await startPostgres()
      try {
        const on = async (filled: Filled, name: string) =>
          backfill(filled, { databaseUrl: await postgres.create(name) })
        report(await on(short, 'short'), await on(long, 'long'), 'Postgres')
      } finally {
        await postgres.remove()
      }
      const { median, p95 } = summarize(latencies)
      rows.push(
        figure('a block of 500 events seen in DuckDB, p95', p95, 'ms', { op: '<=', value: 1_000 }),
        figure('a block of 500 events seen in DuckDB, median', median, 'ms'),
      )
      return rows
    } finally {
      await short.chain.stop()
      await long.chain.stop()
    }
  },
}
