import { listProviders } from '../providers/registry.ts'
import { isMultiverseError, oneLine } from '../sdk/errors.ts'
import { dataPaths, readDeployment } from '../sdk/node/data.ts'
import { claimKeeperSocket } from '../sdk/node/keeperSocket.ts'
import { onStop } from '../sdk/node/lifecycle.ts'
import { settings } from './config.ts'
import { baseApp, serveJournal, servePort, serveSocket } from './http.ts'
import { createNames } from './jobs/key.ts'
import { createVerseIndex } from './jobs/verses.ts'
import { createLog, errorFields } from './log.ts'
import { employ, openBackends } from './providers.ts'
import { runtimeApp } from './runtime/http.ts'
import { createRuntime } from './runtime/runtime.ts'
import { openFolder, openServer } from './store/database.ts'
import { openIdentity } from './store/identity.ts'
import { createJournal } from './store/journal.ts'
import { migrate } from './store/migrations.ts'

// A keeper for one call: it hosts worlds and writes the journal of a data folder on which no keeper runs, and knows no chain.
// Settings are the keeper's own. The port of its journal, a free one, goes to standard output as one line; it ends with the
// process that started it.

/** Longer than it takes to snapshot the worlds that were made by hand. */
const STOP_MS = 20_000

const own = settings.pick({
  MULTIVERSE_DATA: true,
  KEEPER_DATABASE_URL: true,
  KEEPER_PROVIDERS: true,
  KEEPER_WORLD_TIME_MS: true,
  KEEPER_WORLD_MEMORY_MB: true,
})

/** What was opened, to be closed in the reverse order. */
const open: (() => Promise<unknown>)[] = []
async function close(): Promise<void> {
  for (const each of open.splice(0).toReversed()) await each()
}

try {
  onStop(close, STOP_MS)
  const port = await start()
  process.stdout.write(`${port}\n`)
} catch (error) {
  const code = isMultiverseError(error) ? error.code : 'UNEXPECTED'
  process.stderr.write(`error ${code}: ${oneLine(error)}\n`)
  await close()
  process.exit(1)
}

async function start(): Promise<number> {
  const config = own.parse(Object.fromEntries(Object.entries(process.env).filter(([, set]) => set)))
  const log = createLog('error')
  const paths = dataPaths(config.MULTIVERSE_DATA)
  const deployment = await readDeployment(config.MULTIVERSE_DATA)
  const db = await (config.KEEPER_DATABASE_URL === undefined
    ? openFolder(paths.keeper, log)
    : openServer(config.KEEPER_DATABASE_URL, log))
  open.push(() => db.close())
  await migrate(db)
  const identity = await openIdentity(db, deployment)
  const journal = createJournal(db, identity, (error) =>
    log.error(errorFields(error), 'journal.failed'),
  )
  open.push(() => journal.flush())
  const backends = await openBackends({
    ids: config.KEEPER_PROVIDERS,
    folder: paths.worlds,
    limits: {
      timeMs: config.KEEPER_WORLD_TIME_MS,
      memoryBytes: config.KEEPER_WORLD_MEMORY_MB * 2 ** 20,
    },
  })
  open.push(() => backends.shutdown())
  const verses = createVerseIndex()
  const providers = await employ(backends, {
    write: journal.defer,
    known: await listProviders(process.env, undefined, 'glance'),
    verses,
    warmWorlds: 0,
    onCreated: () => {},
    onError: (error) => log.warn(errorFields(error), 'world.unready'),
  })
  for (const event of providers.introductions) journal.defer(event)
  const runtime = createRuntime({
    providers,
    verses,
    journal,
    names: createNames(identity.keeperId),
    folder: paths.worlds,
    env: process.env,
  })
  open.push(() => runtime.stop())
  const socket = await claimKeeperSocket(config.MULTIVERSE_DATA)
  open.push(socket.release)
  const control = baseApp(log)
  // What becomes of its worlds is in the journal before the answer: there is nobody to read it later.
  control.use(async (_, next) => {
    await next()
    await runtime.park()
  })
  control.route('/runtime', runtimeApp(runtime, log))
  const controlled = await serveSocket(control, socket.path)
  open.push(controlled.close)
  const app = baseApp(log)
  serveJournal(app, { journal: (after, limit) => journal.page(after, limit) })
  const served = await servePort(app, 0)
  open.push(served.close)
  return served.port!
}
