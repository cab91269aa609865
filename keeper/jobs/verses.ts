import type { Hex } from 'viem'
import type { Invocation } from '../../providers/invocation.ts'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'

/** Which verse a provider's instance, or a call that is to give one, is for: the journal asks. */
export type VerseIndex = {
  /** Instances made under an idempotency key are for these verses, in the order of a branch's children. */
  expect: (key: string, verses: readonly (Hex | null)[]) => void
  put: (instanceId: string, verse: Hex | null) => void
  remove: (instanceId: string) => void
  of: (invocation: Invocation) => Hex | null
  /** Whether an instance is somebody's. */
  has: (instanceId: string) => boolean
}

/** Keys of calls that failed are forgotten when so many are remembered. */
const MAX_KEYS = 1_024

export function createVerseIndex(): VerseIndex {
  const byInstance = new Map<string, Hex | null>()
  const byKey = new Map<string, readonly (Hex | null)[]>()
  return {
    expect(key, verses) {
      const [oldest] = byKey.keys()
      if (byKey.size >= MAX_KEYS && oldest !== undefined) byKey.delete(oldest)
      byKey.set(key, verses)
    },
    put: (instanceId, verse) => void byInstance.set(instanceId, verse),
    remove: (instanceId) => void byInstance.delete(instanceId),
    has: (instanceId) => byInstance.has(instanceId),
    of({ instanceId, key, child }) {
      const expected = key === null ? undefined : byKey.get(key)?.[child ?? 0]
      if (expected !== undefined) return expected
      return instanceId === null ? null : (byInstance.get(instanceId) ?? null)
    },
  }
}

/** A provider whose instances are known to be a verse's, for as long as they live. */
export function belonging(
  provider: WorldRuntimeProvider,
  verses: VerseIndex,
  verse: Hex,
): WorldRuntimeProvider {
  return {
    ...provider,
    create: async (options) => {
      const instance = await provider.create(options)
      verses.put(instance.id, verse)
      return instance
    },
    branch: async (snapshotId, count, options) => {
      const instances = await provider.branch(snapshotId, count, options)
      for (const { id } of instances) verses.put(id, verse)
      return instances
    },
    destroy: async (instanceId, options) => {
      await provider.destroy(instanceId, options)
      verses.remove(instanceId)
    },
  }
}
