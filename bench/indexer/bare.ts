import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { freePorts } from '../../cli/stack/ports.ts'
import { createPgliteFolder } from '../../indexer/pglite.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { createDataFolder, until } from '../../test/indexer/services.ts'
import type { LocalChain } from '../../test/helpers/chain.ts'
import { type Usage, usageOf } from './machine.ts'

// Ponder with handlers that do nothing, over the same chain and the same kind of database: what no indexer built on it can beat.

const ROOT = fileURLToPath(new URL('floor/', import.meta.url))
const PATIENCE_MS = 1_200_000

export type Bare = Usage & { ms: number }

/** Has it read the whole chain, from nothing. */
export async function runBare(chain: LocalChain): Promise<Bare> {
  const folder = await createDataFolder(chain.deployment)
  let ponder: ChildProcess | undefined
  try {
    const { ponder: place } = dataPaths(folder.path)
    await mkdir(place, { recursive: true })
    await createPgliteFolder(join(place, 'pglite'))
    const from = performance.now()
    const { indexer: port } = await freePorts()
    ponder = start(folder.path, chain.url, port)
    await until(
      'ponder has read all',
      async () => {
        if (ponder?.exitCode !== null) throw new Error(`ponder ended with ${ponder?.exitCode}`)
        const answer = await fetch(`http://127.0.0.1:${port}/ready`).catch(() => null)
        return answer?.ok === true
      },
      PATIENCE_MS,
    )
    return { ms: performance.now() - from, ...(await usageOf(ponder.pid!)) }
  } finally {
    if (ponder !== undefined && ponder.exitCode === null) {
      const ended = once(ponder, 'exit')
      ponder.kill('SIGTERM')
      await ended
    }
    await folder.remove()
  }
}

function start(dataDir: string, rpcUrl: string, port: number): ChildProcess {
  const { PORT: _, INDEXER_DATABASE_URL: __, ...inherited } = process.env
  const program = fileURLToPath(new URL('bin/ponder.js', import.meta.resolve('ponder')))
  return spawn(
    process.execPath,
    [
      program,
      '--root',
      ROOT,
      '--log-format',
      'json',
      '--log-level',
      'info',
      'start',
      '--port',
      `${port}`,
    ],
    {
      cwd: ROOT,
      env: {
        ...inherited,
        MULTIVERSE_DATA: dataDir,
        MULTIVERSE_RPC_URL: rpcUrl,
        DATABASE_SCHEMA: 'floor',
        PONDER_TELEMETRY_DISABLED: 'true',
      },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  )
}
