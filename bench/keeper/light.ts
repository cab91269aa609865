import type { Note } from '../harness.ts'
import { type Row, row } from '../harness.ts'
import { inScene, reports, until } from './scene.ts'

const PARTITIONS = 30
const WARMUP = 3
const CONFIRMATIONS = 3

/** One partition at a time: from the block of its push-down to its mined report. */
export async function measureLight(note: Note): Promise<Row[]> {
  note(`${PARTITIONS} partitions, one after the other`)
  const atOnce = await inScene(async ({ start, load }) => {
    const keeper = await start({ KEEPER_CONFIRMATIONS: '0' })
    const took: number[] = []
    for (let turn = 0; turn < WARMUP + PARTITIONS; turn++) {
      await load.push(1)
      await until('a report', () => reports(keeper).length > turn)
      took.push(reports(keeper)[turn]!.blockToReportMs)
    }
    return took.slice(WARMUP)
  })
  note(`the same with ${CONFIRMATIONS} confirmations`)
  const confirmed = await inScene(async ({ chain, start, load }) => {
    const keeper = await start({ KEEPER_CONFIRMATIONS: `${CONFIRMATIONS}` })
    const mined = () => keeper.lines.filter(({ msg }) => msg === 'tx.mined').length
    const took: number[] = []
    for (let turn = 0; turn < WARMUP + PARTITIONS; turn++) {
      await load.push(1)
      const begun = performance.now()
      await chain.testClient.mine({ blocks: CONFIRMATIONS })
      await until('a report', () => mined() > turn)
      took.push(performance.now() - begun)
      await chain.testClient.mine({ blocks: CONFIRMATIONS })
    }
    return took.slice(WARMUP)
  })
  return [
    row('block of a push-down to mined report, no confirmations', atOnce, 'ms', {
      op: '<=',
      value: 500,
    }),
    row(`the same from its block until ${CONFIRMATIONS} are on top`, confirmed, 'ms'),
  ]
}
