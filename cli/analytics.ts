import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MultiverseError } from '../sdk/errors.ts'
import { dataPaths } from '../sdk/node/data.ts'
import { serveOnce } from './children.ts'
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
  const server = await serveOnce(SERVE, { MULTIVERSE_DATA: dataDir }, 'NO_ANALYTICS')
  try {
    return await ask(createAnalyticsApi(server.url))
  } finally {
    await server.stop()
  }
}

/** Has what a journal says written into the analytics of a data folder that nothing else has open. */
export async function ingest(dataDir: string, journalUrl: string): Promise<void> {
  const env = { MULTIVERSE_DATA: dataDir, KEEPER_URLS: journalUrl }
  await (await serveOnce(SERVE, env, 'NO_ANALYTICS')).stop()
}
