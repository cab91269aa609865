import type { Address } from 'viem'
import type { Deployment } from '../../sdk/deployment.ts'
import { isReady, openSession, READY_MS, type Session, type SessionOptions } from './session.ts'
import { indexerSpecs, keeperSpec } from './specs.ts'

/** What can run on a chain that is not ours. */
export const REMOTE_SERVICES = ['keeper', 'indexer'] as const
export type RemoteService = (typeof REMOTE_SERVICES)[number]

/** A keeper, an indexer with its analytics, or both, on a chain elsewhere. */
export type RemoteStack = Session & {
  /** Resolves when everything serves current data. */
  ready: Promise<void>
}

export type RemoteOptions = Omit<SessionOptions, 'fresh'> & {
  rpcUrl: string
  deployment: Deployment
  services: readonly RemoteService[]
  /** Who the keeper is and the variables that give it its key; null when none runs. */
  keeper: { address: Address; env: Record<string, string> } | null
}

/**
 * Starts them on the data folder of a deployment, and goes on where an earlier run stopped.
 * @throws PORT_TAKEN, LOCKED, NOT_A_DATA_FOLDER, DATA_TOO_NEW, CHILD_DIED
 */
export function startRemote(options: RemoteOptions): Promise<RemoteStack> {
  const { dataDir, deployment, rpcUrl, services, keeper } = options
  const subject = { chainId: deployment.chainId, keeper: keeper?.address ?? null, rpcUrl }
  return openSession({ ...options, fresh: false }, subject, async (session) => {
    const { record, supervisor } = session
    const { urls } = record
    const waits: Promise<void>[] = []
    const wait = (what: string, url: string) =>
      waits.push(supervisor.until(what, () => isReady(url), READY_MS))
    if (services.includes('indexer'))
      for (const spec of indexerSpecs(dataDir, record, keeper !== null))
        await supervisor.start(spec)
    if (keeper !== null) await supervisor.start(keeperSpec(dataDir, record, keeper.env))
    if (keeper !== null) wait('the keeper is', urls.keeper)
    if (services.includes('indexer')) {
      wait('the indexer is', new URL(urls.graphql).origin)
      wait('the analytics are', urls.analytics)
    }
    const ready = Promise.all(waits).then(() => {})
    ready.catch(() => {})
    return { ...session, ready }
  })
}
