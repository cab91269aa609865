import { createClient, http } from 'viem'
import { deploy } from '../../deploy/deploy.ts'
import type { Deployment } from '../../sdk/deployment.ts'
import { LOCAL_CHAIN_ID } from '../../sdk/networks.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { localAccount, localPrivateKey } from '../wallets.ts'
import { clearFolder, openFolder } from './folder.ts'
import type { Ports, Service } from './ports.ts'
import {
  describeProcess,
  readStack,
  reap,
  removeStack,
  type StackRecord,
  writeStack,
} from './record.ts'
import { createSupervisor, type ProcessSpec, type Supervisor } from './supervisor.ts'

/** A running laptop multiverse. */
export type Stack = {
  dataDir: string
  record: StackRecord
  deployment: Deployment
  /** How long the deployment took, milliseconds. */
  deployMs: number
  supervisor: Supervisor
  /** Resolves when the keeper serves. */
  keeperReady: Promise<void>
  /** Resolves when everything serves current data. */
  ready: Promise<void>
  /** Aborted when the user wants to end, or the stack is being stopped. */
  signal: AbortSignal
  /** Ends every process and gives the data folder free. Idempotent. */
  stop: () => Promise<void>
}

export type StackOptions = {
  dataDir: string
  ports: () => Promise<Ports>
  fresh: boolean
  /** What the keeper runs worlds in: its KEEPER_PROVIDERS; by default its own default. */
  providers?: string
  /** One line for people about what is happening. */
  say: (line: string) => void
  /** Aborted when it is no longer wanted, also while it is being started. */
  signal: AbortSignal
}

/** Everything is up in seconds, but on a machine with other things to do; what dies meanwhile is noticed at once. */
const READY_MS = 180_000

/**
 * Starts chain, contracts, keeper, indexer and analytics on a data folder and goes on where an earlier run stopped.
 * Returns once the contracts stand; `keeperReady` and `ready` tell about the rest.
 * @throws PORT_TAKEN, LOCKED, NOT_A_DATA_FOLDER, OTHER_CHAIN, DATA_TOO_NEW, CHILD_DIED, NOT_READY and what `deploy` throws
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { dataDir, say } = options
  const ending = new AbortController()
  const signal = AbortSignal.any([options.signal, ending.signal])
  const lock = await openFolder(dataDir)
  let supervisor: Supervisor | undefined
  const stop = async () => {
    ending.abort()
    try {
      await supervisor?.stop(['keeper', 'analytics', 'indexer'])
      // Last, as the others may have something to finish on it.
      await supervisor?.stop(['chain'])
      await removeStack(dataDir)
    } finally {
      await lock.release()
    }
  }
  try {
    // Before anything is removed: what an earlier run left must not go on in files that are gone.
    for (const { name, pid } of await reap((await readStack(dataDir))?.processes ?? []))
      say(`ended ${name} (process ${pid}), left by an earlier run`)
    if (options.fresh) await clearFolder(dataDir)
    const record = await beginRecord(await options.ports())
    const { urls } = record
    await writeStack(dataDir, record)
    supervisor = createSupervisor({
      logsDir: dataPaths(dataDir).logs,
      signal,
      onChange: inOrder((processes) => {
        record.processes = processes
        return writeStack(dataDir, record)
      }),
      say,
    })
    const { until } = supervisor
    const specs = processSpecs(dataDir, record, options.providers)
    await supervisor.start(specs.chain)
    await until('the chain is', () => answers(urls.rpc), READY_MS)
    const begun = performance.now()
    const deployment = await deploy({
      client: rpcClient(urls.rpc),
      account: localAccount('deployer'),
      dataDir,
      withToken: true,
    })
    const deployMs = performance.now() - begun
    for (const spec of [specs.indexer, specs.keeper, specs.analytics]) await supervisor.start(spec)
    const keeperReady = until('the keeper is', () => isReady(urls.keeper), READY_MS)
    const ready = Promise.all([
      keeperReady,
      until('the indexer is', () => isReady(new URL(urls.graphql).origin), READY_MS),
      until('the analytics are', () => isReady(urls.analytics), READY_MS),
    ]).then(() => {})
    // Whoever waits for one of them only must not find the other's failure unhandled.
    for (const promise of [keeperReady, ready]) promise.catch(() => {})
    return { dataDir, record, deployment, deployMs, supervisor, keeperReady, ready, signal, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function beginRecord(ports: Ports): Promise<StackRecord> {
  const at = (service: Service) => `http://127.0.0.1:${ports[service]}`
  return {
    version: 1,
    supervisor: await describeProcess('supervisor', process.pid),
    chainId: LOCAL_CHAIN_ID,
    keeper: localAccount('keeper').address,
    urls: {
      rpc: at('chain'),
      graphql: `${at('indexer')}/graphql`,
      analytics: at('analytics'),
      keeper: at('keeper'),
    },
    processes: [],
  }
}

function processSpecs(
  dataDir: string,
  { urls }: StackRecord,
  providers: string | undefined,
): Record<Service, ProcessSpec> {
  const common = { MULTIVERSE_DATA: dataDir, MULTIVERSE_RPC_URL: urls.rpc }
  return {
    chain: {
      name: 'chain',
      entry: 'cli/stack/chain.ts',
      env: { MULTIVERSE_DATA: dataDir, CHAIN_PORT: port(urls.rpc) },
      restarts: 0,
    },
    indexer: {
      name: 'indexer',
      entry: 'indexer/main.ts',
      env: { ...common, INDEXER_PORT: port(urls.graphql) },
      restarts: 0,
    },
    analytics: {
      name: 'analytics',
      entry: 'indexer/analytics/main.ts',
      env: {
        ...common,
        ANALYTICS_PORT: port(urls.analytics),
        INDEXER_URL: new URL(urls.graphql).origin,
        KEEPER_URLS: urls.keeper,
      },
      restarts: 0,
    },
    keeper: {
      name: 'keeper',
      entry: 'keeper/main.ts',
      env: {
        ...common,
        KEEPER_PORT: port(urls.keeper),
        KEEPER_PRIVATE_KEY: localPrivateKey('keeper'),
        ...(providers === undefined ? {} : { KEEPER_PROVIDERS: providers }),
      },
      restarts: 5,
    },
  }
}

function port(url: string): string {
  return new URL(url).port
}

function rpcClient(url: string, retryCount = 3) {
  return createClient({ transport: http(url, { retryCount }), cacheTime: 0 })
}

async function answers(rpcUrl: string): Promise<boolean> {
  try {
    await rpcClient(rpcUrl, 0).request({ method: 'eth_chainId' })
    return true
  } catch {
    return false
  }
}

async function isReady(url: string): Promise<boolean> {
  try {
    const { ok } = await fetch(`${url}/ready`)
    return ok
  } catch {
    return false
  }
}

/** Runs calls of `work` one after another. */
function inOrder<T>(work: (value: T) => Promise<void>): (value: T) => Promise<void> {
  let last: Promise<void> = Promise.resolve()
  return (value) => {
    const result = last.then(() => work(value))
    last = result.catch(() => {})
    return result
  }
}
