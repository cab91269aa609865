import type { Hex } from 'viem'
import { ROOT } from '../../sdk/ids.ts'
import { reorg } from '../../test/helpers/chain.ts'
import { type Note, type Row, row } from '../harness.ts'
import { inScene, reports, until } from './scene.ts'

const DEPTH = 10
const TIMES = 7

/** Blocks full of push-downs and reports are taken back: until the keeper follows the new ones and has let go of the old work. */
export function measureReorg(note: Note): Promise<Row[]> {
  note(`${TIMES} reorganisations of ${DEPTH} blocks`)
  return inScene(async ({ chain, start, load, client }) => {
    const keeper = await start()
    const took: number[] = []
    let lost: Hex | undefined
    for (let turn = 0; turn < TIMES; turn++) {
      // Each is in a block, and so is its report.
      for (let pair = 0; pair < DEPTH / 2; pair++) {
        const before = reports(keeper).length
        ;[lost] = await load.push(1)
        await until('a report', () => reports(keeper).length > before)
      }
      const begun = performance.now()
      await reorg(chain, DEPTH)
      const { hash } = await chain.publicClient.getBlock()
      for (;;) {
        const { body } = await client.call('GET', '/status')
        const { head } = body as { head: { hash: string } | null }
        if (head?.hash === hash) break
      }
      took.push(performance.now() - begun)
      if (await client.partition(ROOT, lost!))
        throw new Error(`partition ${lost} is still there, whose push-down was taken back`)
    }
    return [
      row(`reorganisation of ${DEPTH} blocks absorbed`, took, 'ms', { op: '<=', value: 1_000 }),
    ]
  })
}
