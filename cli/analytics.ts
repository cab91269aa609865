import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MultiverseError } from '../sdk/errors.ts'
import { dataPaths } from '../sdk/node/data.ts'
import { SUPERVISED } from '../sdk/node/lifecycle.ts'
import { type CommonOptions, dataFolder } from './context.ts'
import { type AnalyticsApi, createAnalyticsApi } from './services.ts'
import { isRunning, readStack } from './stack/record.ts'

const SERVE = fileURLToPath(new URL('../indexer/analytics/serve.ts', import.meta.url))

/**
 * Asks the analytics of the data folder: those that run, else, for this one call, what an earlier run has left.
 * @throws NO_STACK when there is nothing of either, and the codes of the SQL endpoint
 */
export async function withAnalytics<T>(
  options: CommonOptions,
  ask: (analytics: AnalyticsApi) => Promise<T>,
): Promise<T> {
  const dataDir = dataFolder(options)
  const stack = await readStack(dataDir)
  if (stack !== undefined && (await isRunning(stack.supervisor)))
    return ask(createAnalyticsApi(stack.urls.analytics))
  if (!existsSync(join(dataPaths(dataDir).analytics, 'multiverse.duckdb')))
    throw new MultiverseError(
      'NO_STACK',
      `no stack runs on ${dataDir}, and none has: start one with \`npm start\`, or name another with --data`,
    )
  const server = await serveFile(dataDir)
  try {
    return await ask(createAnalyticsApi(server.url))
  } finally {
    await server.stop()
  }
}

async function serveFile(dataDir: string): Promise<{ url: string; stop: () => Promise<void> }> {
  const child = spawn(process.execPath, [SERVE], {
    env: { ...process.env, MULTIVERSE_DATA: dataDir, [SUPERVISED]: '1' },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  let complaint = ''
  child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()))
  // What it is told when it has ended is of no use to it.
  child.stdin.on('error', () => {})
  const port = await new Promise<string | null>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve)
    child.once('error', reject)
    void ended.then(() => resolve(null))
  })
  if (port === null) throw failureOf(complaint)
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      child.stdin.end()
      await ended
    },
  }
}

/** What a service says when it ends: `error CODE: message`. */
function failureOf(complaint: string): MultiverseError {
  const [, code = 'NO_ANALYTICS', message = complaint.trim()] =
    /^error ([A-Z_]+): (.*)$/m.exec(complaint) ?? []
  return new MultiverseError(code, message)
}
