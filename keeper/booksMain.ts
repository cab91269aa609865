import { isMultiverseError, MultiverseError, oneLine } from '../sdk/errors.ts'
import { dataPaths, readDeployment } from '../sdk/node/data.ts'
import { claimKeeperSocket } from '../sdk/node/keeperSocket.ts'
import { onStop } from '../sdk/node/lifecycle.ts'
import { createBooks, openStores } from './books.ts'
import { KEEPER_EXIT_BY_CODE } from './exits.ts'
import { controlApp, type Service, serveSocket } from './http.ts'
import { createLog } from './log.ts'
import { openFolder, openServer } from './store/database.ts'
import { openIdentity } from './store/identity.ts'
import { migrate } from './store/migrations.ts'

// A keeper without chain, key and worlds: it opens the books and serves what they alone can tell, for as long as whoever
// started it holds its standard input. The command starts it when no keeper runs.

const dataDir = process.env['MULTIVERSE_DATA'] ?? ''
const databaseUrl = process.env['KEEPER_DATABASE_URL'] || null

try {
  const stop = await serveBooks()
  onStop(stop)
  process.send?.({ ready: true })
} catch (error) {
  const code = isMultiverseError(error) ? error.code : 'UNEXPECTED'
  process.stderr.write(`error ${code}: ${oneLine(error)}\n`)
  process.exit(KEEPER_EXIT_BY_CODE[code] ?? 1)
}

async function serveBooks(): Promise<() => Promise<void>> {
  const log = createLog('silent')
  const deployment = await readDeployment(dataDir)
  const db =
    databaseUrl === null
      ? await openFolder(dataPaths(dataDir).keeper, log)
      : await openServer(databaseUrl, log)
  await migrate(db)
  const identity = await openIdentity(db, deployment)
  const stores = await openStores(db, identity, log)
  const claimed = await claimKeeperSocket(dataDir)
  const books = createBooks(db, identity, stores, log)
  const status = async () => ({ ...(await books.status()), isRunning: false })
  const service = { ...booksOnly(), ...books, status }
  const control = await serveSocket(controlApp(service, log), claimed.path)
  return async () => {
    await control.close()
    await claimed.release()
    await stores.journal.flush()
    await db.close()
  }
}

async function absent(): Promise<never> {
  throw new MultiverseError('NO_KEEPER', `no keeper runs on ${dataDir}: only its books are open`)
}

/** All that needs a keeper that runs. */
function booksOnly(): Service {
  return {
    notReady: async () => 'no keeper runs',
    metrics: absent,
    journal: absent,
    verdicts: absent,
    takeVerdict: absent,
    duties: absent,
    worlds: absent,
    partitions: absent,
    partition: absent,
    answer: absent,
    reconcile: absent,
    status: absent,
    jobs: absent,
    job: absent,
    retry: absent,
    drop: absent,
    txs: absent,
  }
}
