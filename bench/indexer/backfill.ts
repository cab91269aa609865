import { performance } from 'node:perf_hooks'
import { createClient, http } from 'viem'
import { getLogs } from 'viem/actions'
import { startChain, type LocalChain } from '../../test/helpers/chain.ts'
import {
  createDataFolder,
  type Service,
  startAnalytics,
  startPonder,
  until,
} from '../../test/indexer/services.ts'
import { BUSY_ARGS, type BusyChain, createBusyChain } from './busyChain.ts'
import { type Usage, usageOf } from './machine.ts'

// From logs on a chain to rows in DuckDB, through the processes that do it.

const PER_BLOCK = 500
/** viem takes answers of 10 MB at most. */
const BLOCKS_PER_REQUEST = 10
const PATIENCE_MS = 1_200_000

export type Filled = { chain: LocalChain; busy: BusyChain; events: number }

/** A chain with about so many events, and empty blocks on top, so that all of them are final. */
export async function fillChain(events: number): Promise<Filled> {
  const chain = await startChain({ args: BUSY_ARGS })
  const busy = await createBusyChain(chain)
  let made = 0
  while (made < events) made += await busy.mine(PER_BLOCK)
  await chain.testClient.mine({ blocks: 31 })
  return { chain, busy, events: await countLogs(chain) }
}

/** The floor: every log asked for with viem, in as few requests as it takes, and dropped. Gives the number of logs. */
export async function countLogs({ url, deployment, publicClient }: LocalChain): Promise<number> {
  const client = createClient({ transport: http(url) })
  const head = await publicClient.getBlockNumber()
  let count = 0
  for (let from = 0n; from <= head; from += BigInt(BLOCKS_PER_REQUEST)) {
    const toBlock = from + BigInt(BLOCKS_PER_REQUEST) - 1n
    const logs = await getLogs(client, {
      address: deployment.addresses.multiverse,
      fromBlock: from,
      toBlock: toBlock < head ? toBlock : head,
    })
    count += logs.length
  }
  return count
}

export type Backfill = {
  /** Milliseconds from the start of both processes until the indexer, and DuckDB, were level with the chain. */
  indexerMs: number
  totalMs: number
  indexer: Usage
  mirror: Usage
}

/** Starts the indexer, on PGlite unless a Postgres is given, and the analytics on nothing, and waits until all is in DuckDB. */
export async function backfill(
  { chain, busy }: Filled,
  { live, databaseUrl }: { live?: (latencyMs: number) => void; databaseUrl?: string } = {},
): Promise<Backfill> {
  const folder = await createDataFolder(chain.deployment)
  const services: Service[] = []
  try {
    const from = performance.now()
    const ponder = await startPonder(
      folder.path,
      chain.url,
      databaseUrl === undefined ? {} : { databaseUrl },
    )
    services.push(ponder)
    const analytics = await startAnalytics(folder.path, {
      rpcUrl: chain.url,
      indexerUrl: ponder.url,
    })
    services.push(analytics)
    const [indexerMs] = await Promise.all([
      ponder.ready().then(() => performance.now() - from),
      level(analytics, chain),
    ])
    const totalMs = performance.now() - from
    const indexer = await usageOf(ponder.process.pid!)
    const mirror = await usageOf(analytics.process.pid!)
    if (live !== undefined)
      for (let block = 0; block < LIVE_BLOCKS + 3; block++) {
        await busy.mine(PER_BLOCK)
        const mined = performance.now()
        await level(analytics, chain)
        // The first ones meet cold code.
        if (block >= 3) live(performance.now() - mined)
      }
    return { indexerMs, totalMs, indexer, mirror }
  } finally {
    for (const service of services.toReversed()) await service.stop()
    await folder.remove()
  }
}

const LIVE_BLOCKS = 40

/** Waits until the analytics serve the chain's head. */
export async function level({ url }: Service, chain: LocalChain): Promise<void> {
  const { hash } = await chain.publicClient.getBlock()
  await until(
    'the analytics are level with the chain',
    async () => {
      const response = await fetch(`${url}/status`).catch(() => null)
      const status = (await response?.json()) as { block: { hash: string } | null } | undefined
      return status?.block?.hash === hash
    },
    PATIENCE_MS,
  )
}
