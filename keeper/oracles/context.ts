import type { Address, Hex } from 'viem'
import { multiverseAbi } from '../../sdk/abi.ts'
import type { LoadedSpec } from '../../sdk/spec.ts'
import type { QuestionKey } from '../../sdk/terms.ts'
import type { Rpc } from '../chain/rpc.ts'
import type { Log } from '../log.ts'
import type { DutyRecord, Rest } from '../store/duties.ts'
import type { Sender } from '../tx/send.ts'
import type { Decision, Look } from './decision.ts'
import type { DutyConfig } from './settings.ts'

/** A question as a duty meets it. */
export type Asked = {
  record: DutyRecord
  question: Hex
  /** The oracle contract. */
  oracle: Address
  key: QuestionKey
  /** The oracle's parameters, as the spec says and the question binds them. */
  terms: Hex
  loaded: LoadedSpec
  /** The head's time, Unix seconds. */
  now: number
}

/** What a run of a duty came to: something was done and it is to be looked at again, or it rests. */
export type Next = { kind: 'again' } | { kind: 'rest'; rest: Rest }

/** What kinds of oracles have their own way of being served. */
export type Serve = (asked: Asked) => Promise<Next>

/** What serving takes. */
export type ServeOptions = {
  rpc: Rpc
  sender: Sender
  config: DutyConfig
  /** What the keeper holds to be the answer, recorded once it is known. */
  decide: (asked: Asked) => Promise<Look>
  /** Whether the answer comes to the same when it is worked out again. */
  isReproducible: (asked: Asked, decision: Decision) => Promise<boolean>
  log: Log
}

/** The ledger's errors, which an oracle's `settle` passes on. */
export const LEDGER_ERRORS = multiverseAbi.filter(({ type }) => type === 'error')

export function rest(code: string, message: string, until: number | null = null): Next {
  return { kind: 'rest', rest: { reason: { code, message }, time: until } }
}
