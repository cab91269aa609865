import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isLocalChain } from '../sdk/networks.ts'
import { dataPaths, readDeployment } from '../sdk/node/data.ts'
import { onStop } from '../sdk/node/lifecycle.ts'
import { acquireLock, acquireLockWithin } from '../sdk/node/lock.ts'
import { MultiverseError } from '../sdk/errors.ts'
import { type ChainReader, createChainReader, requireDeployment } from './chain.ts'
import { forgetKept } from './postgres.ts'
import { markClosed, prepareFolder, schemaName } from './prepare.ts'
import { type Relay, startRelay } from './relay.ts'
import { createLog, required, requiredPort, runService } from './service.ts'
import { watchFinality } from './watch.ts'

// Starts ponder on a deployment and ends with it. Environment: MULTIVERSE_DATA, MULTIVERSE_RPC_URL, INDEXER_PORT,
// INDEXER_DATABASE_URL (Postgres instead of PGlite), INDEXER_LOG_LEVEL (ponder's; warn when unset).

const STOP_MS = 7_000
/** How often what ponder takes as final is held against the chain. */
const WATCH_LOCAL_MS = 1_000
const WATCH_REMOTE_MS = 30_000

/**
 * V8 compiles a function of PGlite anew, optimised, once it has run for so long: ten times as long as of its own accord. What a
 * start does to a database is not worth it, and takes half a second longer with it; what is to be indexed soon is.
 */
const FLAGS = ['--wasm-tiering-budget=130000000']

await runService(async () => {
  const log = createLog('ponder')
  const dataDir = required('MULTIVERSE_DATA')
  const port = requiredPort('INDEXER_PORT')
  const deployment = await readDeployment(dataDir)
  const rpcUrl = required('MULTIVERSE_RPC_URL')
  const chain = createChainReader(rpcUrl)
  const folder = dataPaths(dataDir).ponder
  const lock = await acquireLock(join(folder, 'lock'))
  let ponder: ChildProcess | undefined
  let relay: Relay | undefined
  let isStopping = false
  onStop(async () => {
    isStopping = true
    if (ponder !== undefined) {
      await stop(ponder)
      if (ponder.exitCode === 0) await markClosed(folder)
    }
    await relay?.close()
    await lock.release()
  })
  try {
    await requireDeployment(chain, deployment)
    const schema = await schemaName(deployment)
    const isLocal = isLocalChain(deployment.chainId)
    // Ponder's process holds this one: the last launcher's may outlive it by some seconds.
    const ponderLock = join(folder, 'ponder.lock')
    const prepare = async (distrust: string | null) => {
      const url = process.env['INDEXER_DATABASE_URL']
      if (url) {
        if (isLocal) await forgetKept(url, deployment.chainId)
        return 'new'
      }
      const held = await acquireLockWithin(ponderLock, STOP_MS + 3_000)
      try {
        return await prepareFolder({ folder, schema, isLocal, distrust }, { chain, log })
      } finally {
        await held.release()
      }
    }
    relay = await startRelay(rpcUrl)
    let distrust: string | null = null
    for (;;) {
      const prepared = await prepare(distrust)
      if (isStopping) return
      log('ponder.starting', { schema, port, chainId: deployment.chainId })
      ponder = startPonder(port, {
        DATABASE_SCHEMA: schema,
        MULTIVERSE_RPC_URL: relay.url,
        PONDER_LOCK: ponderLock,
      })
      const contradicted = await untilEnd(ponder, `http://127.0.0.1:${port}`, chain, isLocal)
      if (isStopping) return
      if (contradicted !== null) {
        log('ponder.contradicted', { code: 'REORG_PAST_FINALITY', reason: contradicted })
        await requireDeployment(chain, deployment)
        await stop(ponder)
        if (process.env['INDEXER_DATABASE_URL'])
          throw new MultiverseError(
            'REORG_PAST_FINALITY',
            `${contradicted}: drop the schema ${schema} and start again`,
          )
        distrust = contradicted
        continue
      }
      const { exitCode: code, signalCode: signal } = ponder
      log('ponder.ended', { code, signal })
      if (code !== 1 || prepared === 'new') {
        // Ponder's own codes agree with ours, and an end that nobody asked for is no success.
        await lock.release()
        process.exit(code || 1)
      }
      // What it went on with may be what it failed on, and is only a mirror.
      distrust = 'ponder failed on it'
    }
  } catch (error) {
    if (!isStopping) await lock.release()
    throw error
  }
})

function here(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url))
}

function startPonder(port: number, environment: Record<string, string>): ChildProcess {
  const { PORT: _, ...inherited } = process.env
  const program = fileURLToPath(new URL('bin/ponder.js', import.meta.resolve('ponder')))
  const level = process.env['INDEXER_LOG_LEVEL'] ?? 'warn'
  const guard = ['--import', new URL('guard.ts', import.meta.url).href]
  const options = ['--root', here('.'), '--log-format', 'json', '--log-level', level]
  const start = ['start', '--port', `${port}`, '--hostname', '127.0.0.1']
  return spawn(process.execPath, [...FLAGS, ...guard, program, ...options, ...start], {
    cwd: here('.'),
    env: { ...inherited, ...environment, PONDER_TELEMETRY_DISABLED: 'true' },
    stdio: ['pipe', 'inherit', 'inherit'],
  })
}

/** Waits until ponder has ended (null), or until the chain contradicts what it takes as final: then says how. */
async function untilEnd(
  ponder: ChildProcess,
  url: string,
  chain: ChainReader,
  isLocal: boolean,
): Promise<string | null> {
  const watching = new AbortController()
  const exited = once(ponder, 'exit').then(() => null)
  const everyMs = isLocal ? WATCH_LOCAL_MS : WATCH_REMOTE_MS
  const watched = watchFinality(url, chain, { everyMs, signal: watching.signal })
  try {
    return await Promise.race([exited, watched])
  } finally {
    watching.abort()
  }
}

async function stop(ponder: ChildProcess): Promise<void> {
  if (ponder.exitCode !== null || ponder.signalCode !== null) return
  const exited = once(ponder, 'exit')
  ponder.kill('SIGTERM')
  const late = setTimeout(() => ponder.kill('SIGKILL'), STOP_MS)
  await exited
  clearTimeout(late)
}
