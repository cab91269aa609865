import { join } from 'node:path'
import { isLocalChain, networkOf, pollMsOf } from '../../sdk/networks.ts'
import { dataPaths, readDeployment } from '../../sdk/node/data.ts'
import { onStop } from '../../sdk/node/lifecycle.ts'
import { acquireLock } from '../../sdk/node/lock.ts'
import { createChainReader, requireDeployment } from '../chain.ts'
import { createLog, fail, required, requiredPort, runService } from '../service.ts'
import { type Database, openDatabase } from './database.ts'
import { type Follower, follow } from './follow.ts'
import { createApp, listen } from './http.ts'
import { createJournalReader } from './journal.ts'
import { createMetrics } from './metrics.ts'
import { createMirror } from './mirror.ts'
import { createQuery } from './query.ts'
import { createRebuild } from './rebuild.ts'
import { createSource } from './source.ts'
import { createStatus } from './status.ts'
import { createTokenReader } from './tokens.ts'

// Mirrors the indexer and the keepers' journals into DuckDB and serves SQL over it. Environment: MULTIVERSE_DATA,
// MULTIVERSE_RPC_URL, ANALYTICS_PORT, INDEXER_URL, KEEPER_URLS (comma separated, may be empty).

const LOCAL_POLL_MS = 100
const REMOTE_POLL_MS = 1_000
/** The indexer looks at the chain now and then: on one with fast blocks nobody is ever at its head. So many looks are forgiven. */
const LOOKS_BEHIND = 2

await runService(async () => {
  const log = createLog('analytics')
  const dataDir = required('MULTIVERSE_DATA')
  const port = requiredPort('ANALYTICS_PORT')
  const rpcUrl = required('MULTIVERSE_RPC_URL')
  const indexerUrl = required('INDEXER_URL')
  const keeperUrls = (process.env['KEEPER_URLS'] ?? '').split(',').filter((url) => url !== '')
  const deployment = await readDeployment(dataDir)
  const network = networkOf(deployment.chainId)
  const isLocal = isLocalChain(network.chainId)
  const folder = dataPaths(dataDir).analytics
  const closers: (() => Promise<void>)[] = []
  const ending = new AbortController()
  const close = async () => {
    ending.abort()
    for (const closer of closers.splice(0).toReversed()) await closer()
  }
  onStop(close)
  try {
    const lock = await acquireLock(join(folder, 'lock'))
    closers.push(() => lock.release())
    const chain = createChainReader(rpcUrl)
    await requireDeployment(chain, deployment)
    const database = await openDatabase(folder, deployment)
    closers.push(() => database.close())

    const status = await createStatus(deployment.chainId, database)
    const metrics = createMetrics(status.now)
    const source = createSource(indexerUrl)
    const tokens = createTokenReader(rpcUrl)
    const mirrorInto = (target: Database) =>
      createMirror({
        database: target,
        chain,
        source,
        tokens,
        requireSameChain: () => requireDeployment(chain, deployment, 0),
        toleranceS: isLocal ? 0 : Math.ceil((LOOKS_BEHIND * pollMsOf(network)) / 1_000),
        log,
      })
    const fatal = Promise.withResolvers<void>()
    let follower: Follower | undefined
    const startFollowing = () => {
      follower = follow({
        mirror: mirrorInto(database),
        readers: keeperUrls.map((url) => ({ url, reader: createJournalReader({ url, database }) })),
        pollMs: isLocal ? LOCAL_POLL_MS : REMOTE_POLL_MS,
        onTick(tick, seconds) {
          metrics.tick(tick.kind, seconds)
          status.tick(tick)
        },
        onEntries: status.readCursors,
        log,
      })
      status.follow(follower)
      follower.ended.catch(fatal.reject)
    }
    const rebuild = createRebuild({
      folder,
      deployment,
      database,
      createMirror: mirrorInto,
      async exclusively(work) {
        await follower?.stop()
        try {
          await work()
        } finally {
          if (!ending.signal.aborted) startFollowing()
        }
      },
      log,
    })
    const query = createQuery(database)
    const server = await listen(createApp({ query, status: status.now, metrics, rebuild }), port)
    closers.push(() => server.close())
    log('analytics.listening', { port: server.port, chainId: deployment.chainId })
    startFollowing()
    closers.push(
      async () => follower?.stop(),
      () => rebuild.stop(),
    )
    await fatal.promise
  } catch (error) {
    if (ending.signal.aborted) return
    const code = fail(error)
    await close()
    process.exit(code)
  }
})
