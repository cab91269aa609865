import type { Hex } from 'viem'
import { checkMirror } from '../../cli/check/check.ts'
import type { Key } from '../../cli/check/holders.ts'
import { type AnalyticsApi, createAnalyticsApi } from '../../cli/services.ts'
import type { CheckOutput, SqlOutput } from '../../sdk/output.ts'
import { describeProcess, writeStack } from '../../cli/stack/record.ts'
import { inProcess, type Ran } from '../cli/harness.ts'
import { type ChainOptions, type LocalChain, reorg, startChain } from '../helpers/chain.ts'
import {
  createDataFolder,
  type Folder,
  type Service,
  startAnalytics,
  startPonder,
  until,
} from './services.ts'

// A chain, ponder and analytics as processes, on a data folder of their own; both services can be ended and begun again on
// the ports they had.

export type Stage = {
  chain: LocalChain
  folder: Folder
  ponder: Service
  analytics: Service
  api: AnalyticsApi
  startPonder(): Promise<void>
  startAnalytics(options?: { indexerUrl?: string }): Promise<void>
  /** Waits until the analytics are where the chain is. */
  level(): Promise<void>
  query(sql: string, params?: string[]): Promise<SqlOutput['rows']>
  /** What `analytics check` finds, of these keys besides. */
  check(also?: readonly Key[]): Promise<CheckOutput>
  /** Runs the command on the data folder, as on that of a stack that runs; it prints JSON. */
  command(...args: string[]): Promise<Ran>
  /** Mines until all that has happened is final for the indexer, and the mirror knows. */
  settle(): Promise<void>
  /** The last blocks are replaced by empty ones. */
  reorg(depth: number): Promise<void>
  close(): Promise<void>
}

/** Starts all three; they may not be ready yet. */
export async function createStage(
  chainOptions: ChainOptions = {},
  keeperUrls: string[] = [],
): Promise<Stage> {
  const chain = await startChain(chainOptions)
  const folder = await createDataFolder(chain.deployment)
  const ponder = await startPonder(folder.path, chain.url)
  const services = { rpcUrl: chain.url, indexerUrl: ponder.url, keeperUrls }
  const analytics = await startAnalytics(folder.path, services)
  await writeStack(folder.path, {
    version: 1,
    supervisor: await describeProcess('supervisor', process.pid),
    chainId: chain.deployment.chainId,
    keeper: null,
    urls: {
      rpc: chain.url,
      graphql: `${ponder.url}/graphql`,
      analytics: analytics.url,
      keeper: 'http://127.0.0.1:1',
    },
    processes: [],
  })
  const stage: Stage = {
    chain,
    folder,
    ponder,
    analytics,
    api: createAnalyticsApi(analytics.url),
    async startPonder() {
      stage.ponder = await startPonder(folder.path, chain.url, { port: portOf(ponder) })
    },
    async startAnalytics(options = {}) {
      const all = { ...services, ...options }
      stage.analytics = await startAnalytics(folder.path, all, portOf(analytics))
    },
    async level() {
      const { hash, number } = await chain.publicClient.getBlock()
      let found: Awaited<ReturnType<AnalyticsApi['status']>> | null = null
      const isLevel = async () => {
        found = await stage.api.status().catch(() => null)
        return found?.block?.hash === (hash satisfies Hex)
      }
      await until('level', isLevel).catch((cause: unknown) => {
        const logs = [stage.analytics, stage.ponder].map((service) =>
          service.output().slice(-1_500),
        )
        const at = JSON.stringify(found)
        throw new Error(`not level with block ${number}: ${at}\n${logs.join('\n')}`, { cause })
      })
    },
    query: async (sql, params) => (await stage.api.sql(sql, params)).rows,
    async check(also = []) {
      await stage.level()
      return checkMirror({
        analytics: stage.api,
        graphqlUrl: `${stage.ponder.url}/graphql`,
        client: chain.publicClient,
        multiverse: chain.deployment.addresses.multiverse,
        patienceMs: 240_000,
        also,
      })
    },
    command: (...args) => inProcess([...args, '--json', '--data', folder.path]),
    async settle() {
      const head = await chain.publicClient.getBlockNumber()
      await chain.testClient.mine({ blocks: 65 })
      await until('it is settled', async () => {
        const [row] = await stage.query('SELECT settled::INT FROM mirror')
        if (Number(row![0]) >= Number(head)) return true
        // What is final is told with the next block.
        await chain.testClient.mine({ blocks: 1 })
        await stage.level()
        return false
      })
    },
    reorg: (depth) => reorg(chain, depth),
    async close() {
      await stage.analytics.stop()
      await stage.ponder.stop()
      await chain.stop()
      await folder.remove()
    },
  }
  return stage
}

function portOf({ url }: Service): number {
  return Number(new URL(url).port)
}
