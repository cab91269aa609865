import { fileURLToPath } from 'node:url'
import { figure, type Note, type Row, summarize } from '../harness.ts'
import { used } from './processors.ts'
import { inScene, reports, until } from './scene.ts'

const BOOKLESS = fileURLToPath(new URL('./bookless/main.ts', import.meta.url))
/** Pushed into at once, so that every part has something to do until the last of them. */
const WAVE = 60
const WARMUP = 2
const WAVES = 5
const MOST = 1.5

type Borne = { ms: number; keeperMs: number }

/**
 * The same load against a keeper with its books and against one whose job store is switched off: waves of partitions, each from its
 * first push-down to its last report.
 */
export async function measureDurability(note: Note): Promise<Row[]> {
  note(`${WAVES} waves of ${WAVE} partitions without a job store`)
  const without = await waves(BOOKLESS)
  note('the same with it')
  const kept = await waves()
  return [
    figure(`a wave of ${WAVE} partitions with its books`, ms(kept), 'ms'),
    figure('the same with the job store switched off', ms(without), 'ms'),
    figure('price of durability, time', ms(kept) / ms(without), '×', { op: '<=', value: MOST }),
    figure("a partition's processor time in the keeper, with its books", keeperMs(kept), 'ms'),
    figure('the same with the job store switched off', keeperMs(without), 'ms'),
    figure('price of durability, processor time', keeperMs(kept) / keeperMs(without), '×'),
  ]
}

const ms = (waves: readonly Borne[]) => summarize(waves.map((wave) => wave.ms)).median
const keeperMs = (waves: readonly Borne[]) => summarize(waves.map((wave) => wave.keeperMs)).median

function waves(main?: string): Promise<Borne[]> {
  return inScene(async ({ chain, start, load }) => {
    const keeper = await start({}, main)
    const took: Borne[] = []
    for (let wave = 0; wave < WARMUP + WAVES; wave++) {
      const before = await used(keeper.pid, chain.pid)
      const begun = performance.now()
      const questions = await load.push(WAVE)
      await until('the reports', () => reports(keeper).length === WAVE * (wave + 1), 300_000)
      const ms = performance.now() - begun
      const after = await used(keeper.pid, chain.pid)
      const spent = after.keeper + after.runtime - before.keeper - before.runtime
      took.push({ ms, keeperMs: spent / WAVE })
      await load.answer(questions)
      await until('the ends', () => ended(keeper.lines) === WAVE * (wave + 1), 300_000)
    }
    return took.slice(WARMUP)
  })
}

function ended(lines: readonly { msg: string }[]): number {
  return lines.filter(({ msg }) => msg === 'partition.resolved').length
}
