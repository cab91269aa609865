import { createLog } from '../../keeper/log.ts'
import { openFolder } from '../../keeper/store/database.ts'
import { ROOT } from '../../sdk/ids.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { isState } from '../../test/keeper/world.ts'
import { figure, type Note, type Row, row } from '../harness.ts'
import { inScene } from './scene.ts'

const STARTS = 5
/** Asked, pushed into and answered so many at a time. */
const WAVE = 240

/** A keeper that is started where `count` partitions were settled: with its books, and the first time without. */
export function measureCold(count: number, note: Note): Promise<Row[]> {
  return inScene(async ({ load, start, stop, client, dataDir }) => {
    await start()
    const [question] = await load.push(1)
    await client.until(ROOT, question!, isState('reported'))
    await load.answer([question!])
    await client.until(ROOT, question!, isState('resolved'))
    await stop()
    const alone = await starts(start, stop)
    note(`${count} partitions settled on the chain`)
    for (let done = 0; done < count; done += WAVE)
      await load.answer(await load.push(Math.min(WAVE, count - done)))

    note('started where its books know nothing of them')
    const first = await ready(start)
    await stop()
    await fillBooks(dataDir)
    note(`started ${STARTS} times with its books`)
    const again = await starts(start, stop)
    const what = `${count.toLocaleString('en-US')} settled partitions`
    return [
      row(`cold start to ready, ${what}`, again, 'ms', { op: '<=', value: 3_000 }),
      row('the same with one', alone, 'ms'),
      figure('the same when all of them are new to it', first, 'ms'),
    ]
  })
}

async function starts(start: () => Promise<unknown>, stop: () => Promise<void>) {
  const took: number[] = []
  for (let turn = 0; turn < STARTS; turn++) {
    took.push(await ready(start))
    await stop()
  }
  return took
}

async function ready(start: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await start()
  return performance.now() - begun
}

/** Gives every settled partition the steps and the journal of the one that was worked on. */
async function fillBooks(dataDir: string): Promise<void> {
  const db = await openFolder(dataPaths(dataDir).keeper, createLog('silent'))
  try {
    await db.transaction(async ({ query }) => {
      await query(
        `insert into keeper.steps (partition, name, state, attempt, output)
        select p.key, s.name, s.state, s.attempt, s.output from keeper.partitions p, keeper.steps s
        on conflict do nothing`,
      )
      await query(
        `insert into keeper.journal (seq, at, event)
        select h.last + row_number() over (), j.at, j.event
        from keeper.journal_head h, keeper.partitions p, keeper.journal j`,
      )
      await query(`update keeper.journal_head set last = (select max(seq) from keeper.journal)`)
    })
  } finally {
    await db.close()
  }
}
