import { join } from 'node:path'
import { dataPaths, readDeployment } from '../../sdk/node/data.ts'
import { onStop } from '../../sdk/node/lifecycle.ts'
import { acquireLockWithin } from '../../sdk/node/lock.ts'
import { fail, required, runService } from '../service.ts'
import { openDatabase } from './database.ts'
import { createApp, listen } from './http.ts'
import { createJournalReader, readCursors } from './journal.ts'
import { createQuery } from './query.ts'
import type { Status } from './status.ts'

// Serves what an earlier run mirrored, while nothing runs that could add to it. Environment: MULTIVERSE_DATA, KEEPER_URLS
// (comma separated, may be empty): journals that are read to their end before. The port, a free one, goes to standard output
// as one line; it ends with the process that started it.

/** Another call may be served meanwhile. */
const PATIENCE_MS = 10_000

await runService(async () => {
  const dataDir = required('MULTIVERSE_DATA')
  const deployment = await readDeployment(dataDir)
  const folder = dataPaths(dataDir).analytics
  const lock = await acquireLockWithin(join(folder, 'lock'), PATIENCE_MS)
  const closers: (() => Promise<void>)[] = [() => lock.release()]
  const close = async () => {
    for (const closer of closers.splice(0).toReversed()) await closer()
  }
  onStop(close)
  try {
    const database = await openDatabase(folder, deployment)
    closers.push(() => database.close())
    const urls = (process.env['KEEPER_URLS'] ?? '').split(',').filter((url) => url !== '')
    for (const url of urls) await createJournalReader({ url, database }).poll()
    const journals = await readCursors(database)
    const [head] = await database.write((tx) =>
      tx.rows<{ number: string | null; hash: string | null }>(
        'SELECT head_number AS number, head_hash AS hash FROM mirror',
      ),
    )
    const block =
      head === undefined || head.number === null || head.hash === null
        ? null
        : { number: Number(head.number), hash: head.hash }
    const status: Status = {
      chainId: deployment.chainId,
      block,
      journals,
      problems: [],
      ready: false,
      reason: 'nothing follows the chain',
    }
    const server = await listen(
      createApp({ query: createQuery(database), status: () => status }),
      0,
    )
    closers.push(() => server.close())
    process.stdout.write(`${server.port}\n`)
  } catch (error) {
    const code = fail(error)
    await close()
    process.exit(code)
  }
})
