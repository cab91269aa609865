import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { dataPaths, readDeployment } from '../sdk/node/data.ts'
import { onStop } from '../sdk/node/lifecycle.ts'
import { acquireLock } from '../sdk/node/lock.ts'
import { createChainReader, requireDeployment } from './chain.ts'
import { prepareFolder, schemaName } from './prepare.ts'
import { createLog, required, requiredPort, runService } from './service.ts'

// Starts ponder on a deployment and ends with it. Environment: MULTIVERSE_DATA, MULTIVERSE_RPC_URL, INDEXER_PORT,
// INDEXER_DATABASE_URL (Postgres instead of PGlite), INDEXER_LOG_LEVEL (ponder's; warn when unset).

const STOP_MS = 7_000

await runService(async () => {
  const log = createLog('ponder')
  const dataDir = required('MULTIVERSE_DATA')
  const port = requiredPort('INDEXER_PORT')
  const deployment = await readDeployment(dataDir)
  const chain = createChainReader(required('MULTIVERSE_RPC_URL'))
  const folder = dataPaths(dataDir).ponder
  const lock = await acquireLock(join(folder, 'lock'))
  let ponder: ChildProcess | undefined
  let isStopping = false
  onStop(async () => {
    isStopping = true
    if (ponder !== undefined) await stop(ponder)
    await lock.release()
  })
  try {
    await requireDeployment(chain, deployment)
    const schema = await schemaName(deployment)
    if (!process.env['INDEXER_DATABASE_URL'])
      await prepareFolder(
        { folder, schema, isLocal: deployment.chainId === 31_337 },
        { chain, log },
      )
    if (isStopping) return
    log('ponder.starting', { schema, port, chainId: deployment.chainId })
    ponder = startPonder(schema, port)
    const [code, signal] = (await once(ponder, 'exit')) as [number | null, string | null]
    if (isStopping) return
    log('ponder.ended', { code, signal })
    // Ponder's own codes agree with ours, and an end that nobody asked for is no success.
    await lock.release()
    process.exit(code || 1)
  } catch (error) {
    if (!isStopping) await lock.release()
    throw error
  }
})

function here(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url))
}

function startPonder(schema: string, port: number): ChildProcess {
  const { PORT: _, ...environment } = process.env
  const program = fileURLToPath(new URL('bin/ponder.js', import.meta.resolve('ponder')))
  const level = process.env['INDEXER_LOG_LEVEL'] ?? 'warn'
  const guard = ['--import', new URL('guard.ts', import.meta.url).href]
  const options = ['--root', here('.'), '--log-format', 'json', '--log-level', level]
  const start = ['start', '--schema', schema, '--port', `${port}`, '--hostname', '127.0.0.1']
  return spawn(process.execPath, [...guard, program, ...options, ...start], {
    cwd: here('.'),
    env: { ...environment, PONDER_TELEMETRY_DISABLED: 'true' },
    stdio: ['pipe', 'inherit', 'inherit'],
  })
}

async function stop(ponder: ChildProcess): Promise<void> {
  if (ponder.exitCode !== null || ponder.signalCode !== null) return
  const exited = once(ponder, 'exit')
  ponder.kill('SIGTERM')
  const late = setTimeout(() => ponder.kill('SIGKILL'), STOP_MS)
  await exited
  clearTimeout(late)
}
