import type { Address } from 'viem'

// What the keeper does in an optimistic game, decided from the game as it stands on the chain and nothing else. Times are Unix
// seconds, bonds in the bond token's smallest unit.

/** The rules a game is played by: the terms and the question's deadline. */
export type GameRules = {
  bondToken: Address
  minimumBond: bigint
  opens: bigint
  liveness: number
  arbitrationWindow: number
  deadline: bigint
}

/** A game with its standing answer. */
export type Game = {
  outcome: number
  bond: bigint
  since: bigint
  closes: bigint
  liveness: number
  rulingUntil: bigint
  isRuled: boolean
}

/** What the keeper holds to be true. */
export type Conviction = {
  outcome: number
  /** It came to the same again: the only answer worth more than a first bond. */
  isReproducible: boolean
}

export type GamePlan =
  /** `spare` is to be left of the stake beside the bond, so that the answer can be defended once. */
  | { kind: 'propose'; outcome: number; bond: bigint; spare: bigint }
  | { kind: 'dispute'; outcome: number; bond: bigint }
  | { kind: 'settle' }
  /** `until` is when looking again may help; null for when somebody moves. */
  | { kind: 'wait'; code: string; until: bigint | null }

/** How many times `liveness` has to fit between a first answer and closing time; as in the contract. */
const ROUNDS = 8n

/**
 * Decides the next move.
 * @param game null while nobody has answered
 * @param conviction null while the keeper does not know
 */
export function planGame(
  now: bigint,
  rules: GameRules,
  game: Game | null,
  isFinal: boolean,
  conviction: Conviction | null,
): GamePlan {
  if (isFinal) return { kind: 'settle' }
  if (game === null) return first(now, rules, conviction)
  const end = endOf(game)
  const over = game.rulingUntil > end ? game.rulingUntil : end
  const wait = (code: string): GamePlan => ({
    kind: 'wait',
    code,
    until: now < over ? over : now + 1n,
  })
  if (now >= end) return wait('GAME_ENDING')
  if (conviction === null) return wait('GAME_WATCHED')
  if (game.outcome === conviction.outcome) return wait('ANSWER_STANDS')
  if (!conviction.isReproducible) return wait('ANSWER_NOT_REPRODUCIBLE')
  return { kind: 'dispute', outcome: conviction.outcome, bond: game.bond * 2n }
}

function first(now: bigint, rules: GameRules, conviction: Conviction | null): GamePlan {
  const { minimumBond, opens, liveness, arbitrationWindow, deadline } = rules
  const latest = deadline - BigInt(arbitrationWindow) - (ROUNDS + 1n) * BigInt(liveness)
  if (now > latest) return { kind: 'wait', code: 'PROPOSAL_TOO_LATE', until: null }
  if (now < opens) return { kind: 'wait', code: 'PROPOSAL_TOO_EARLY', until: opens }
  if (conviction === null) return { kind: 'wait', code: 'ANSWER_UNKNOWN', until: null }
  return {
    kind: 'propose',
    outcome: conviction.outcome,
    bond: minimumBond,
    // Somebody disputes with twice the bond, and is disputed with four times.
    spare: conviction.isReproducible ? 4n * minimumBond : 0n,
  }
}

/** When answers end unless another one comes before. */
function endOf({ since, liveness, closes }: Game): bigint {
  const quiet = since + BigInt(liveness)
  return quiet < closes ? quiet : closes
}
