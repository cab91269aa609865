import type { StackRecord } from './record.ts'
import type { ProcessSpec } from './supervisor.ts'

/**
 * How Node runs the analytics. Of its threads, some are left to the mirror when every query there may be is running; and V8, which
 * left alone holds on to a hundred megabytes of what starting left behind, begins to collect early, to whatever size it then grows.
 */
export const ANALYTICS_NODE = {
  flags: ['--max-semi-space-size=2', '--initial-old-space-size=32'],
  env: { UV_THREADPOOL_SIZE: '8' },
}

/** Chain and contracts are the local stack's own; the others run on any chain. */
export function chainSpec(dataDir: string, { urls }: StackRecord): ProcessSpec {
  return {
    name: 'chain',
    entry: 'cli/stack/chain.ts',
    env: { MULTIVERSE_DATA: dataDir, CHAIN_PORT: port(urls.rpc) },
    restarts: 0,
  }
}

/** The processes that mirror the chain. `hasKeeper`: whether there is a keeper whose journal to read. */
export function indexerSpecs(
  dataDir: string,
  { urls }: StackRecord,
  hasKeeper: boolean,
): ProcessSpec[] {
  const common = { MULTIVERSE_DATA: dataDir, MULTIVERSE_RPC_URL: urls.rpc }
  return [
    {
      name: 'indexer',
      entry: 'indexer/main.ts',
      env: { ...common, INDEXER_PORT: port(urls.graphql) },
      restarts: 0,
    },
    {
      name: 'analytics',
      entry: 'indexer/analytics/main.ts',
      flags: ANALYTICS_NODE.flags,
      env: {
        ...common,
        ...ANALYTICS_NODE.env,
        ANALYTICS_PORT: port(urls.analytics),
        INDEXER_URL: new URL(urls.graphql).origin,
        KEEPER_URLS: hasKeeper ? urls.keeper : '',
      },
      restarts: 0,
    },
  ]
}

/** The keeper, with the variables that say with which key it signs, and its other settings. */
export function keeperSpec(
  dataDir: string,
  { urls }: StackRecord,
  settings: Record<string, string>,
): ProcessSpec {
  return {
    name: 'keeper',
    entry: 'keeper/main.ts',
    env: {
      MULTIVERSE_DATA: dataDir,
      MULTIVERSE_RPC_URL: urls.rpc,
      KEEPER_PORT: port(urls.keeper),
      ...settings,
    },
    restarts: 5,
  }
}

function port(url: string): string {
  return new URL(url).port
}
