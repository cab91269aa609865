import type { Address, Hex } from 'viem'
import { getQuestion } from '../../sdk/actions.ts'
import { type LoadedSpec, parseSpec } from '../../sdk/spec.ts'
import { areTermsOf } from '../../sdk/terms.ts'
import { type Rpc, rpcError } from '../chain/rpc.ts'
import type { SpecLoader } from '../specs.ts'
import type { Database } from '../store/database.ts'
import type { DutyRecord } from '../store/duties.ts'
import type { SpecStore } from '../store/specs.ts'

/** What is to be known of a question before anything is done about it. */
export type Questions = {
  /** As the ledger has it now. @throws RPC_FAILED (retryable) */
  onChain(question: Hex): ReturnType<typeof getQuestion>
  /** Its spec: from the books, else found and kept there. @throws what the loader throws */
  specOf(record: Pick<DutyRecord, 'question' | 'specHash' | 'outcomes'>): Promise<LoadedSpec>
}

export function createQuestions(options: {
  rpc: Rpc
  db: Database
  specs: SpecStore
  loadSpec: SpecLoader
  multiverse: Address
}): Questions {
  const { rpc, db, specs, multiverse } = options
  return {
    onChain: (question) =>
      getQuestion(rpc, { multiverse, question }).catch((error: unknown) => {
        throw rpcError(error)
      }),
    async specOf(record) {
      const { question, specHash } = record
      const kept = await specs.get(specHash)
      if (kept !== null) return parseSpec(kept)
      const loaded = await options.loadSpec({ ...record, uris: await specs.uris(question) })
      await db.transaction((tx) => specs.put(tx, specHash, loaded.json))
      return loaded
    },
  }
}

/** The oracle's parameters, as the spec says and the question binds them; null when it says others, or none. */
export function termsOf(
  { question, oracle, outcomes, specHash }: DutyRecord,
  { spec: { terms } }: LoadedSpec,
  deadline: bigint,
): Hex | null {
  const bound = { oracle, outcomes, deadline, specHash }
  return terms !== undefined && areTermsOf(question, bound, terms) ? terms : null
}
