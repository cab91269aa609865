import { CHAIN_CALL } from '../providers/host/chain.ts'
import type { Instance, LinkConfig, WorldRuntimeProvider } from '../providers/provider.ts'
import type { PlannedOrigin } from './store/partitions.ts'

/**
 * A provider whose new worlds begin from a block of the chain: those that can are that chain, at that block; the others are each
 * linked to a look at it, as long as they live.
 * @param raw where links are made, which the journal need not tell one by one
 */
export function beginningAt(
  provider: WorldRuntimeProvider,
  raw: WorldRuntimeProvider,
  chainUrl: string,
  origin: PlannedOrigin,
): WorldRuntimeProvider {
  const { origin: canBegin = false, functions = [] } = provider.capabilities()

  async function link(instances: Instance[]): Promise<Instance[]> {
    if (!functions.includes(CHAIN_CALL)) return instances
    const config = { function: CHAIN_CALL, blockHash: origin.blockHash }
    try {
      for (const { id } of instances) {
        const made: LinkConfig = { source: id, target: raw.id, name: CHAIN_CALL, config }
        await raw.receiveLinkConfig(made)
      }
    } catch (error) {
      // A world that lacks what its program looks for is not handed out.
      for (const { id } of instances) await provider.destroy(id)
      throw error
    }
    return instances
  }

  return {
    ...provider,
    create: async (options) => {
      const begun = canBegin ? { ...options, origin: { url: chainUrl, ...origin } } : options
      const [instance] = await link([await provider.create(begun)])
      return instance!
    },
    branch: async (snapshotId, count, options) =>
      link(await provider.branch(snapshotId, count, options)),
  }
}
