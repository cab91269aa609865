import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMultiverseError, oneLine } from '../../sdk/errors.ts'
import { isLocalChain, networkOf, pollMsOf } from '../../sdk/networks.ts'
import { dataPaths, readDeployment } from '../../sdk/node/data.ts'
import { onStop } from '../../sdk/node/lifecycle.ts'
import { acquireLock } from '../../sdk/node/lock.ts'
import { createChainReader, requireDeployment } from '../chain.ts'
import { createLog, fail, required, requiredPort, runService } from '../service.ts'
import { openDatabase } from './database.ts'
import { createApp, listen, type Status } from './http.ts'
import { type Cursor, createJournalReader, readCursors } from './journal.ts'
import { createMetrics } from './metrics.ts'
import { createMirror } from './mirror.ts'
import { createQuery } from './query.ts'
import { createSource } from './source.ts'
import { createTokenReader } from './tokens.ts'

// Mirrors the indexer and the keepers' journals into DuckDB and serves SQL over it. Environment: MULTIVERSE_DATA,
// MULTIVERSE_RPC_URL, ANALYTICS_PORT, INDEXER_URL, KEEPER_URLS (comma separated, may be empty).

const LOCAL_POLL_MS = 100
const REMOTE_POLL_MS = 1_000
const RETRY_MS = 500
/** A mirror that was last level with the chain longer ago than this is not ready. */
const STALE_MS = 5_000
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
  const pollMs = isLocal ? LOCAL_POLL_MS : REMOTE_POLL_MS
  const folder = dataPaths(dataDir).analytics
  const stopping = new AbortController()
  const closers: (() => Promise<void>)[] = []
  const close = async () => {
    stopping.abort()
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

    const cursors = new Map<string, Cursor>()
    const noteCursors = async () => {
      for (const cursor of await readCursors(database)) cursors.set(cursor.keeperId, cursor)
    }
    await noteCursors()
    const status: Status = {
      chainId: deployment.chainId,
      block: null,
      journals: [],
      ready: false,
      reason: 'starting',
    }
    let levelAt = 0
    const statusNow = () => {
      const ready = Date.now() - levelAt < STALE_MS
      const journals = [...cursors.values()]
      return { ...status, journals, ready, reason: ready ? null : status.reason }
    }
    const metrics = createMetrics(statusNow)
    const server = await listen(
      createApp({ query: createQuery(database), status: statusNow, metrics }),
      port,
    )
    closers.push(() => server.close())
    log('analytics.listening', { port: server.port, chainId: deployment.chainId })

    const mirror = createMirror({
      database,
      chain,
      source: createSource(indexerUrl),
      tokens: createTokenReader(rpcUrl),
      requireSameChain: () => requireDeployment(chain, deployment, 0),
      toleranceS: isLocal ? 0 : Math.ceil((LOOKS_BEHIND * pollMsOf(network)) / 1_000),
      log,
    })
    const mirroring = async () => {
      const from = performance.now()
      const tick = await mirror.tick()
      metrics.tick(tick.kind, (performance.now() - from) / 1_000)
      const { block } = tick
      status.block = block === null ? null : { number: Number(block.number), hash: block.hash }
      if (tick.kind === 'current') levelAt = Date.now()
      else status.reason = tick.reason
      return tick.kind === 'current' ? pollMs : pollMs / 4
    }
    const loops = [
      repeat(mirroring, stopping.signal, (code, message) => {
        status.reason = message
        log('mirror.failed', { code, message })
      }),
      ...keeperUrls.map((url) => {
        const reader = createJournalReader({ url, database })
        const reading = async () => {
          if ((await reader.poll()) > 0) await noteCursors()
          return pollMs
        }
        return repeat(reading, stopping.signal, (code, message) =>
          log('journal.failed', { code, message, url }),
        )
      }),
    ]
    closers.push(async () => {
      stopping.abort()
      await Promise.allSettled(loops)
    })
    await Promise.all(loops)
  } catch (error) {
    if (stopping.signal.aborted) return
    const code = fail(error)
    await close()
    process.exit(code)
  }
})

/**
 * Does `work` again and again until told to stop; it gives the milliseconds to wait. What may pass is told once for each
 * kind of failure and tried again; a chain that is another one is thrown.
 */
async function repeat(
  work: () => Promise<number>,
  signal: AbortSignal,
  onFailure: (code: string, message: string) => void,
): Promise<void> {
  let lastCode: string | null = null
  while (!signal.aborted) {
    let pauseMs = RETRY_MS
    try {
      pauseMs = await work()
      lastCode = null
    } catch (error) {
      if (isMultiverseError(error, 'WRONG_CHAIN')) throw error
      const code = isMultiverseError(error) ? error.code : 'INTERNAL'
      if (code !== lastCode) onFailure(code, oneLine(error))
      lastCode = code
    }
    await sleep(pauseMs, undefined, { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  }
}
