import type { Failure, PartitionRecord, Waiting } from '../store/partitions.ts'

/** Whether work on a partition may begin. */
export type Admission =
  | { kind: 'admit' }
  /** Not now. `resume` is what may change it, where that is known; a restart with other settings always may. */
  | {
      kind: 'wait'
      waiting: Waiting
      resume: { kind: 'time'; afterMs: number } | { kind: 'block'; block: number } | null
    }
  /** Not this one. */
  | { kind: 'decline'; failure: Failure }

/** Decides whether work on a partition may begin. What has begun, or is done, is admitted. */
export type Admit = (record: PartitionRecord) => Promise<Admission>

/** Asks several, in order: the first that does not admit decides. */
export function admitAll(gates: readonly Admit[]): Admit {
  return async (record) => {
    for (const gate of gates) {
      const admission = await gate(record)
      if (admission.kind !== 'admit') return admission
    }
    return { kind: 'admit' }
  }
}
