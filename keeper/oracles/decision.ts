import type { Hex } from 'viem'

/** Where an answer comes from. */
export type DecisionSource = 'pipeline' | 'manual' | 'http' | 'price'

/** What the keeper holds to be a question's answer, and why. */
export type Decision = {
  outcome: number
  source: DecisionSource
  /** Hash of what speaks for it; zero when nothing can be shown. */
  evidenceHash: Hex
  /** What was hashed, as far as it can be kept. */
  evidence: string | null
}

/** What looking at a source came to. `until` is when looking again may help, Unix seconds; null for no such time. */
export type Look =
  | { kind: 'decided'; decision: Decision }
  | { kind: 'undecided'; code: string; message: string; until: number | null }
