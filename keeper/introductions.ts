import { linkPut } from '../providers/invocation.ts'
import type { LinkConfig, WorldRuntimeProvider } from '../providers/provider.ts'
import type { Status } from '../providers/registry.ts'
import type { ProviderRow } from '../providers/roster.ts'
import type { JournalEvent } from '../sdk/journal.ts'

/** On whose behalf worlds run: the keeper's links are their rights. */
export const COMPONENT = 'keeper'

/** A provider of the registry, as it is on this machine. */
export type KnownProvider = ProviderRow & Status

/**
 * What the journal is to say of providers at a start: of every one that is known, and of the links to those that the keeper
 * works with. Those links are made by it.
 * @param used opened, and so available whatever a look at the machine said
 */
export async function introduce(
  used: readonly WorldRuntimeProvider[],
  known: readonly KnownProvider[],
): Promise<JournalEvent[]> {
  const events: JournalEvent[] = []
  for (const provider of used) {
    const { id, name, trit } = provider
    const capabilities = { ...provider.capabilities() }
    const row = known.find((each) => each.id === id) ?? UNLISTED
    const own = { id, name, trit, capabilities, status: 'available', reason: '' } as const
    events.push(registered({ ...row, ...own }), await link(provider))
  }
  const others = known.filter(({ id }) => used.every((provider) => provider.id !== id))
  return [...events, ...others.map(registered)]
}

const UNLISTED = { apiEndpoint: null, authMethod: null, declared: {} }

type Introduced = Omit<KnownProvider, 'summary' | 'kind' | 'credentials'>
type Registered = Extract<JournalEvent, { kind: 'provider.registered' }>

function registered({ id, capabilities, declared, ...row }: Introduced): Registered {
  return {
    kind: 'provider.registered',
    providerId: id,
    name: row.name,
    trit: row.trit,
    capabilities: capabilities as Registered['capabilities'],
    apiEndpoint: row.apiEndpoint,
    authMethod: row.authMethod,
    status: row.status,
    reason: row.reason,
    declared: declared as Registered['declared'],
  }
}

/** Links the keeper to a provider, so that it may use it. */
async function link(provider: WorldRuntimeProvider): Promise<JournalEvent> {
  const config: LinkConfig = { source: COMPONENT, target: provider.id, name: 'default', config: {} }
  await provider.receiveLinkConfig(config)
  return linkPut(config)
}
