import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { MultiverseError } from '../../sdk/errors.ts'
import { readDeployment } from '../../sdk/node/data.ts'
import { keeperSocketPath } from '../../sdk/node/keeperSocket.ts'
import { ingest } from '../analytics.ts'
import { serveOnce } from '../children.ts'
import { type CommonOptions, dataFolder } from '../context.ts'
import { createAnalyticsApi } from '../services.ts'
import { isRunning, readStack, type StackRecord } from '../stack/record.ts'
import { createRuntimeApi, type RuntimeApi } from './api.ts'

const KEEPER = fileURLToPath(new URL('../../keeper/oneShot.ts', import.meta.url))
/** How long the analytics may take to read what a keeper has written. */
const READ_MS = 30_000
/** Beyond any journal's end. */
const NOWHERE = 999_999_999_999_999

const headSchema = z.object({ keeperId: z.string(), epoch: z.int(), last: z.int() })

/**
 * Has the keeper of the data folder do something: the one that runs, else one that is started for this call. When it is done
 * the analytics know of it.
 * @throws NO_DEPLOYMENT when there never was a stack, NO_KEEPER, LOCKED, and the keeper's codes
 */
export async function withRuntime<T>(
  options: CommonOptions,
  ask: (runtime: RuntimeApi) => Promise<T>,
): Promise<T> {
  const dataDir = dataFolder(options)
  const runtime = createRuntimeApi(() => keeperSocketPath(dataDir))
  const stack = await readStack(dataDir)
  if (stack !== undefined && (await isRunning(stack.supervisor))) {
    const told = await ask(runtime)
    await read(stack)
    return told
  }
  await readDeployment(dataDir)
  const env = { MULTIVERSE_DATA: dataDir }
  const keeper = await serveOnce(KEEPER, env, 'NO_KEEPER')
  try {
    try {
      return await ask(runtime)
    } finally {
      await ingest(dataDir, keeper.url)
    }
  } finally {
    await keeper.stop()
  }
}

/** Waits until the running analytics have read everything that the keeper's journal has by now. */
async function read({ urls }: StackRecord): Promise<void> {
  const analytics = createAnalyticsApi(urls.analytics)
  const response = await fetch(`${urls.keeper}/journal?after=${NOWHERE}&limit=1`)
  const { keeperId, epoch, last } = headSchema.parse(await response.json())
  const deadline = Date.now() + READ_MS
  for (;;) {
    const { journals } = await analytics.status()
    const cursor = journals.find((each) => each.keeperId === keeperId)
    if (cursor !== undefined && cursor.epoch === epoch && cursor.seq >= last) return
    if (Date.now() > deadline)
      throw new MultiverseError(
        'NOT_MIRRORED',
        `it is done, and DuckDB has read ${cursor?.seq ?? 0} of the ${last} entries that tell of it`,
      )
    await sleep(20)
  }
}
