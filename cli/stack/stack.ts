import { createClient, http } from 'viem'
import { deploy } from '../../deploy/deploy.ts'
import type { Deployment } from '../../sdk/deployment.ts'
import { LOCAL_CHAIN_ID } from '../../sdk/networks.ts'
import { localAccount, localPrivateKey } from '../wallets.ts'
import type { StackRecord } from './record.ts'
import { isReady, openSession, READY_MS, type Session, type SessionOptions } from './session.ts'
import { chainSpec, indexerSpecs, keeperSpec } from './specs.ts'

/** A running laptop multiverse. */
export type Stack = Session & {
  dataDir: string
  record: StackRecord
  deployment: Deployment
  /** How long the deployment took, milliseconds. */
  deployMs: number
  /** Resolves when the keeper serves. */
  keeperReady: Promise<void>
  /** Resolves when everything serves current data. */
  ready: Promise<void>
}

export type StackOptions = SessionOptions & {
  /** What the keeper runs worlds in: its KEEPER_PROVIDERS; by default its own default. */
  providers?: string
}

/**
 * Starts chain, contracts, keeper, indexer and analytics on a data folder and goes on where an earlier run stopped.
 * Returns once the contracts stand; `keeperReady` and `ready` tell about the rest.
 * @throws PORT_TAKEN, LOCKED, NOT_A_DATA_FOLDER, OTHER_CHAIN, DATA_TOO_NEW, CHILD_DIED, NOT_READY and what `deploy` throws
 */
export function startStack(options: StackOptions): Promise<Stack> {
  const { dataDir, providers } = options
  const keeper = localAccount('keeper').address
  const subject = { chainId: LOCAL_CHAIN_ID, keeper, rpcUrl: null }
  return openSession(options, subject, async (session) => {
    const { record, supervisor } = session
    const { urls } = record
    const { until } = supervisor
    await supervisor.start(chainSpec(dataDir, record))
    await until('the chain is', () => answers(urls.rpc), READY_MS)
    const begun = performance.now()
    const deployment = await deploy({
      client: rpcClient(urls.rpc),
      account: localAccount('deployer'),
      dataDir,
      withToken: true,
    })
    const deployMs = performance.now() - begun
    const [indexer, analytics] = indexerSpecs(dataDir, record, true)
    const settings = {
      KEEPER_PRIVATE_KEY: localPrivateKey('keeper'),
      ...(providers === undefined ? {} : { KEEPER_PROVIDERS: providers }),
    }
    for (const spec of [indexer!, keeperSpec(dataDir, record, settings), analytics!])
      await supervisor.start(spec)
    const keeperReady = until('the keeper is', () => isReady(urls.keeper), READY_MS)
    const ready = Promise.all([
      keeperReady,
      until('the indexer is', () => isReady(new URL(urls.graphql).origin), READY_MS),
      until('the analytics are', () => isReady(urls.analytics), READY_MS),
    ]).then(() => {})
    // Whoever waits for one of them only must not find the other's failure unhandled.
    for (const promise of [keeperReady, ready]) promise.catch(() => {})
    return { ...session, dataDir, deployment, deployMs, keeperReady, ready }
  })
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
