import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { serveOnce } from '../../cli/children.ts'
import { describeProcess, writeStack } from '../../cli/stack/record.ts'
import { type Database, openDatabase } from '../../indexer/analytics/database.ts'
import { createApp, listen } from '../../indexer/analytics/http.ts'
import { createJournalReader, readCursors } from '../../indexer/analytics/journal.ts'
import { createQuery, type QueryResult } from '../../indexer/analytics/query.ts'
import { isMultiverseError } from '../../sdk/errors.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { NOWHERE } from '../indexer/rows.ts'

// A stack without a chain, for the commands that need none: a keeper for one call that serves many, and the analytics in this
// process. To the command it looks like one that runs.

const KEEPER = fileURLToPath(new URL('../../keeper/oneShot.ts', import.meta.url))
const POLL_MS = 25

export type House = {
  dataDir: string
  database: Database
  sql: (sql: string) => Promise<QueryResult['rows']>
  close: () => Promise<void>
}

export async function openHouse(): Promise<House> {
  const dataDir = await mkdtemp(join(tmpdir(), 'multiverse-seeds-'))
  const paths = dataPaths(dataDir)
  await writeFile(paths.deployment, JSON.stringify(NOWHERE))
  const keeper = await serveOnce(KEEPER, { MULTIVERSE_DATA: dataDir }, 'NO_KEEPER')
  const database = await openDatabase(paths.analytics, NOWHERE)
  const status = {
    chainId: NOWHERE.chainId,
    block: null,
    journals: await readCursors(database),
    ready: true,
    reason: null,
    problems: [],
  }
  const query = createQuery(database)
  const server = await listen(createApp({ query, status: () => status }), 0)
  const reader = createJournalReader({ url: keeper.url, database })
  const closing = new AbortController()
  const reading = (async () => {
    while (!closing.signal.aborted) {
      // On a busy machine a keeper that computes may not answer in time: it is asked again, as the mirror does.
      const read = await reader.poll().catch((error: unknown) => {
        if (isMultiverseError(error, 'KEEPER_UNREACHABLE')) return 0
        throw error
      })
      if (read > 0) status.journals = await readCursors(database)
      await sleep(POLL_MS)
    }
  })()
  // The keeper's first entries introduce every provider.
  while (status.journals.length === 0) await sleep(POLL_MS)
  const nowhere = 'http://127.0.0.1:1'
  await writeStack(dataDir, {
    version: 1,
    supervisor: await describeProcess('supervisor', process.pid),
    chainId: NOWHERE.chainId,
    keeper: null,
    urls: {
      rpc: nowhere,
      graphql: nowhere,
      analytics: `http://127.0.0.1:${server.port}`,
      keeper: keeper.url,
    },
    processes: [],
  })
  return {
    dataDir,
    database,
    sql: async (sql) => (await query(sql)).rows,
    async close() {
      closing.abort()
      await reading
      await keeper.stop()
      await server.close()
      await database.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
