import { listProviders } from '../providers/registry.ts'
import type { MultiverseError } from '../sdk/errors.ts'
import { dataPaths } from '../sdk/node/data.ts'
import type { Config } from './config.ts'
import type { Log } from './log.ts'
import { type Backends, openBackends } from './providers.ts'
import { type Database, openFolder, openServer } from './store/database.ts'

/** What stands ready before anything can be done. */
export type Opened = {
  db: Database
  backends: Backends
  listed: Awaited<ReturnType<typeof listProviders>>
}

/**
 * Opens the database and the providers side by side, since the database takes longest. `onOpened` is told how to close each.
 * @throws LOCKED, DATABASE_FAILED, DISK_FULL, and what the providers throw
 */
export async function openAll(
  config: Config,
  options: {
    open?: typeof openBackends | undefined
    env?: Readonly<Record<string, string | undefined>> | undefined
    /** The database can do nothing any more. */
    onFatal: (error: MultiverseError) => void
    log: Log
  },
  onOpened: (close: () => Promise<unknown>) => void,
): Promise<Opened> {
  const paths = dataPaths(config.dataDir)
  const [opening, providing, listing] = await Promise.allSettled([
    config.databaseUrl === null
      ? openFolder(paths.keeper, options.log, options.onFatal)
      : openServer(config.databaseUrl, options.log),
    (options.open ?? openBackends)({
      ids: config.providers,
      folder: paths.worlds,
      chainUrl: config.rpcUrls[0]!,
      cpuShare: config.worldCpuPercent / 100,
      verifiers: config.verifiers,
      limits: { timeMs: config.worldTimeMs, memoryBytes: config.worldMemoryMb * 2 ** 20 },
    }),
    listProviders(options.env ?? {}, undefined, 'glance'),
  ])
  if (opening.status === 'fulfilled') onOpened(() => opening.value.close())
  if (providing.status === 'fulfilled') onOpened(() => providing.value.shutdown())
  if (opening.status === 'rejected') throw opening.reason
  if (providing.status === 'rejected') throw providing.reason
  if (listing.status === 'rejected') throw listing.reason
  return { db: opening.value, backends: providing.value, listed: listing.value }
}
