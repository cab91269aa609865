import { figure, type Note, type Row, summarize } from '../harness.ts'
import { perPartition, used } from './processors.ts'
import { inScene, reports, residentMib, until } from './scene.ts'

/** Partitions a second that the keeper has to bear. */
const WANTED = 20
const WAVES_PER_S = 4
/** Questions are answered so long after their report, milliseconds: worlds do not pile up for want of an answer. */
const ANSWERED_AFTER_MS = 5_000
/** A block for every transaction would be a dozen a second, and anvil hashes all of its state for each: it would be that it tells. */
const CHAIN = { args: ['--block-time', '0.5'] }
/** A partition is under way until the block of its report. */
const KEEPER = { KEEPER_CONCURRENCY: '32' }
/** Work that may be under way at any moment, seconds' worth of it. */
const MAX_LAG_S = 2

/** A steady stream of partitions, three worlds each, so many a second for `seconds`: throughput, lag and memory. */
export function measureSustained(seconds: number, rate: number, note: Note): Promise<Row[]> {
  return inScene(async ({ chain, start, load }) => {
    const keeper = await start(KEEPER)
    await load.push(WAVES_PER_S)
    await until('the first reports', () => reports(keeper).length === WAVES_PER_S)

    const lags: number[] = []
    const memory: number[] = []
    const open: { question: `0x${string}`; at: number }[] = []
    let pushed = WAVES_PER_S
    const before = await used(keeper.pid, chain.pid)
    let last = { reported: reports(keeper).length, used: before }
    const begun = performance.now()
    const elapsed = () => (performance.now() - begun) / 1_000
    for (let wave = 0; elapsed() < seconds; wave++) {
      // A wave takes as long as its block: whatever is due by then is in the next.
      const due = Math.max(1, Math.round(elapsed() * rate) - (pushed - WAVES_PER_S))
      const questions = await load.push(due)
      pushed += due
      open.push(...questions.map((question) => ({ question, at: performance.now() })))
      const old = open.filter(({ at }) => performance.now() - at > ANSWERED_AFTER_MS)
      if (wave % 2 === 0 && old.length > 0) {
        await load.answer(old.map(({ question }) => question))
        open.splice(0, old.length)
        lags.push(pushed - reports(keeper).length)
        memory.push((await residentMib(keeper.pid)) ?? 0)
        if (lags.length % 15 === 0) {
          const now = { reported: reports(keeper).length, used: await used(keeper.pid, chain.pid) }
          const each = (part: 'keeper' | 'anvil') =>
            `${((now.used[part] - last.used[part]) / (now.reported - last.reported)).toFixed(0)} ms`
          note(
            `${elapsed().toFixed(0)} s: ${now.reported} reported, ${lags.at(-1)} under way, ${memory.at(-1)!.toFixed(0)} MiB, ` +
              `of the processor each keeper ${each('keeper')}, anvil ${each('anvil')}`,
          )
          last = now
        }
      }
      const next = begun + ((wave + 1) * 1_000) / WAVES_PER_S
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - performance.now())))
    }
    const span = elapsed()
    const done = reports(keeper).length - WAVES_PER_S
    await until('the last reports', () => reports(keeper).length === pushed, 600_000)
    const after = await used(keeper.pid, chain.pid)

    const took = reports(keeper).map(({ blockToReportMs }) => blockToReportMs)
    // The collector lets memory rise and fall by turns: the peaks of two stretches say whether it grows.
    const stretch = Math.ceil(memory.length / 5)
    const middle = Math.floor((memory.length - stretch) / 2)
    const halfway = Math.max(...memory.slice(middle, middle + stretch))
    const end = Math.max(...memory.slice(-stretch))
    return [
      figure(`reported a second, over ${span.toFixed(0)} s`, done / span, 'partitions/s', {
        op: '>=',
        value: WANTED,
      }),
      figure('block to mined report meanwhile, median', summarize(took).median, 'ms'),
      figure('the same, 95th percentile', summarize(took).p95, 'ms'),
      figure('under way at the end', lags.at(-1) ?? 0, 'partitions', {
        op: '<=',
        value: MAX_LAG_S * rate,
      }),
      figure('memory of the keeper at its most', Math.max(...memory), 'MiB'),
      figure('its most in the last fifth of the time / in the middle fifth', end / halfway, '×', {
        op: '<=',
        value: 1.1,
      }),
      ...perPartition(before, after, pushed - WAVES_PER_S),
    ]
  }, CHAIN)
}
