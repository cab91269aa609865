import type { Hex } from 'viem'
import type { Invocation } from '../../providers/invocation.ts'

/** Which verse a provider's instance, or a call that is to give one, is for: the journal asks. */
export type VerseIndex = {
  /** Instances made under an idempotency key are for these verses, in the order of a branch's children. */
  expect: (key: string, verses: readonly (Hex | null)[]) => void
  put: (instanceId: string, verse: Hex | null) => void
  remove: (instanceId: string) => void
  of: (invocation: Invocation) => Hex | null
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
    of({ instanceId, key, child }) {
      const expected = key === null ? undefined : byKey.get(key)?.[child ?? 0]
      if (expected !== undefined) return expected
      return instanceId === null ? null : (byInstance.get(instanceId) ?? null)
    },
  }
}
