import { type Hex, zeroHash } from 'viem'
import { reportHash, reportOf } from '../jobs/report.ts'
import type { Rpc } from '../chain/rpc.ts'
import type { FetchLimits } from '../fetch.ts'
import type { Database } from '../store/database.ts'
import type { DutyStore } from '../store/duties.ts'
import type { LoadedSpec } from '../../sdk/spec.ts'
import type { Decision, Look } from './decision.ts'
import { lookAtHttp } from './http.ts'
import { lookAtPrice } from './price.ts'

/** A question with the spec that says where its answer comes from. */
export type Decidable = { question: Hex; loaded: LoadedSpec; now: number }

/** Finds out answers, from wherever their specs say. */
export type Decider = {
  /** What the keeper holds to be the answer: once known it stands, whatever a source says later. */
  decide(asked: Decidable): Promise<Look>
  /**
   * Whether the answer, worked out anew, is the same. Worlds were executed again before they were reported: their winner holds
   * when every lane did. What somebody said by hand cannot be worked out.
   */
  isReproducible(asked: Decidable, decision: Decision): Promise<boolean>
}

export function createDecider(options: {
  db: Database
  duties: DutyStore
  rpc: Rpc
  limits: FetchLimits
}): Decider {
  const { db, duties, rpc, limits } = options

  async function look({ question, loaded, now }: Decidable): Promise<Look> {
    const { outcome } = loaded.spec
    if (outcome.source === 'pipeline') return lookAtPipeline(question, loaded)
    if (outcome.source === 'http') return lookAtHttp(outcome, loaded.labels, now, limits)
    if (outcome.source === 'price') return lookAtPrice(rpc, outcome, loaded.labels.length, now)
    return undecided('ANSWER_MISSING', 'nobody has said the answer yet')
  }

  async function lookAtPipeline(question: Hex, { spec }: LoadedSpec): Promise<Look> {
    const verified = await duties.verified(question)
    if (verified === null) return undecided('PIPELINE_PENDING', 'no partition of it has run yet')
    if (verified.winner === null)
      return undecided('PIPELINE_FAILED', 'no world of it ran to its end')
    return {
      kind: 'decided',
      decision: {
        outcome: verified.winner,
        source: 'pipeline',
        // What the notebook has of the report, under the keeper's name.
        evidenceHash: reportHash(reportOf(spec, verified.worlds)),
        evidence: JSON.stringify({ parent: verified.parent }),
      },
    }
  }

  return {
    async decide(asked) {
      const { decision } = (await duties.load(asked.question))!
      if (decision !== null) return { kind: 'decided', decision }
      const found = await look(asked)
      if (found.kind === 'undecided') return found
      const stands = await db.transaction((tx) => duties.decide(tx, asked.question, found.decision))
      return { kind: 'decided', decision: stands }
    },
    async isReproducible(asked, { source, outcome }) {
      if (source === 'manual') return false
      const again = await look(asked)
      if (again.kind === 'undecided' || again.decision.outcome !== outcome) return false
      if (source !== 'pipeline') return true
      const verified = await duties.verified(asked.question)
      return verified !== null && verified.worlds.every(({ isVerified }) => isVerified === true)
    },
  }
}

/** What somebody said by hand. */
export function said(outcome: number): Decision {
  return { outcome, source: 'manual', evidenceHash: zeroHash, evidence: null }
}

function undecided(code: string, message: string): Look {
  return { kind: 'undecided', code, message, until: null }
}
