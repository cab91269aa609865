import { performance } from 'node:perf_hooks'
import { join } from 'node:path'
import { type AnalyticsApi, createAnalyticsApi } from '../../cli/services.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { type LocalChain, reorg, startChain } from '../../test/helpers/chain.ts'
import {
  createDataFolder,
  type Folder,
  type Service,
  startAnalytics,
  startPonder,
  until,
} from '../../test/indexer/services.ts'
import { BUSY_ARGS, createBusyChain } from '../indexer/busyChain.ts'
import { level } from '../indexer/backfill.ts'
import { usageOf } from '../indexer/machine.ts'
import { type Anchor, buildWarehouse, type Size } from './warehouse.ts'

// A chain whose past was drawn and whose present is real: the warehouse ends at a block that the chain has, and the mirror goes on.

/** Seconds of the chain between blocks of the drawn past; 500 events a block. */
const INTERVAL = 600
const PER_BLOCK = 500
/** Deeper than what the indexer takes as final. */
const SETTLED = 32
const LIVE_BLOCKS = 40
export const REORG_DEPTH = 28
const WARMUP = 3

export type Stage = {
  chain: LocalChain
  /** A data folder with a drawn warehouse. */
  warehouse: (size: Size) => Promise<Folder>
  stop: () => Promise<void>
}

/** Starts a chain whose first block is so high that all drawn ones are below it. */
export async function setStage(events: number): Promise<Stage> {
  const genesis = Math.ceil(events / PER_BLOCK)
  const chain = await startChain({
    args: [...BUSY_ARGS, '--timestamp', '1767225600', '--number', `${genesis}`],
  })
  const folders: Folder[] = []
  const { number, hash, timestamp } = await chain.publicClient.getBlock()
  const anchor: Anchor = { number, hash, timestamp, interval: INTERVAL }
  await chain.testClient.mine({ blocks: SETTLED })
  return {
    chain,
    async warehouse(size) {
      const folder = await createDataFolder(chain.deployment)
      folders.push(folder)
      await buildWarehouse(folder.path, chain.deployment, size, anchor)
      return folder
    },
    async stop() {
      await chain.stop()
      for (const folder of folders) await folder.remove()
    },
  }
}

/** The analytics' file of a data folder. */
export const fileOf = ({ path }: Folder) => join(dataPaths(path).analytics, 'multiverse.duckdb')

/** The real process on a warehouse, answering. With nothing to mirror when no indexer is given. */
export async function openAnalytics(
  { path }: Folder,
  chain: LocalChain,
  indexerUrl = 'http://127.0.0.1:9',
): Promise<{ service: Service; api: AnalyticsApi }> {
  const service = await startAnalytics(path, { rpcUrl: chain.url, indexerUrl })
  const api = createAnalyticsApi(service.url)
  await Promise.race([
    until('the analytics answer', () =>
      api.sql('SELECT 1').then(
        () => true,
        () => false,
      ),
    ),
    service.ended.then(() => {
      throw new Error(service.output())
    }),
  ])
  return { service, api }
}

/** `reorgMs`: until the last blocks are taken back and as many empty ones are mirrored in their place. */
export type Live = { latencies: number[]; reorgMs: number; peakMiB: number }

/**
 * Mirrors new blocks of 500 events on top of a warehouse, and has the chain take some of them back: how soon each is seen, and the most
 * memory it took.
 */
export async function mirrorOn(folder: Folder, chain: LocalChain): Promise<Live> {
  const elsewhere = await createDataFolder(chain.deployment)
  const services: Service[] = []
  try {
    const ponder = await startPonder(elsewhere.path, chain.url)
    services.push(ponder)
    await ponder.ready()
    const { service } = await openAnalytics(folder, chain, ponder.url)
    services.push(service)
    await level(service, chain)
    const busy = await createBusyChain(chain)
    const latencies: number[] = []
    for (let block = 0; block < LIVE_BLOCKS + WARMUP; block++) {
      await busy.mine(PER_BLOCK)
      const mined = performance.now()
      await level(service, chain)
      if (block >= WARMUP) latencies.push(performance.now() - mined)
    }
    await reorg(chain, REORG_DEPTH)
    const reorged = performance.now()
    await level(service, chain)
    const reorgMs = performance.now() - reorged
    const { peakMiB } = await usageOf(service.process.pid!)
    return { latencies, reorgMs, peakMiB }
  } finally {
    for (const service of services.toReversed()) await service.stop()
    await elsewhere.remove()
  }
}
