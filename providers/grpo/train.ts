import { MultiverseError } from '../../sdk/errors.ts'
import { splitmix64, splitmix64Stream } from '../../sdk/gf3.ts'
import { divergence, gradient, type Policy, ratio, sample, step } from './policy.ts'

/** How a policy is trained. */
export type Training = {
  /** Updates of the policy, each by one group of rollouts. */
  groups: number
  /** Rollouts in a group, from 2 on. */
  groupSize: number
  /** A group is played by a policy that is at most this many updates old; so many groups are under way beside the one awaited. */
  staleness: number
  /** Steps of the policy on one group. */
  epochs: number
  /** Length of a step, in deviations of the policy. */
  rate: number
  /** A rollout counts no more once its probability has changed by this share in its favour. */
  clip: number
  /** Weight of the divergence from the reference policy, the one that training begins with. */
  kl: number
  /** Deviation that training begins with, as a share of a parameter's range. */
  deviation: number
  /** Unsigned 64-bit. */
  seed: bigint
}

export const DEFAULT_TRAINING: Omit<Training, 'seed'> = {
  groups: 40,
  groupSize: 12,
  staleness: 1,
  epochs: 2,
  rate: 0.3,
  clip: 0.2,
  kl: 0.02,
  deviation: 0.25,
}

/** What one group taught. */
export type Lesson = {
  /** Mean cost of the group's rollouts. */
  cost: number
  /** Divergence from the reference after it, nats. */
  kl: number
  /** Share of rollouts, over all epochs, that were clipped. */
  clipped: number
  /** How many updates the group's policy was behind. */
  staleness: number
  /** Rollouts that gave no cost. */
  failed: number
}

/** Plays a group: the cost of each draw, null for a rollout that came to nothing. The signal says that training is over. */
export type Rollouts = (
  draws: readonly (readonly number[])[],
  signal: AbortSignal,
) => Promise<(number | null)[]>

/** `version` counts the updates that its policy had seen. */
type Group = { version: number; policy: Policy; draws: number[][]; costs: (number | null)[] }

/**
 * Group-relative policy optimisation (DeepSeekMath, Shao et al. 2024) of numeric parameters that are to cost little. A rollout's
 * advantage is how much less it costs than its group does on average, in the group's own deviations: they sum to 0, and no
 * critic is trained. Groups are played ahead of the updates, by a policy of bounded age, whose rollouts are weighed by clipped
 * ratios. Which policy plays which group depends on nothing but their numbers, so that training is the same whenever the
 * rollouts are.
 * @param count how many parameters there are
 * @returns the trained policy, and the cheapest draw of all
 * @throws ROLLOUTS_FAILED when a group has fewer than two rollouts with a cost
 */
export async function train(
  count: number,
  training: Training,
  play: Rollouts,
): Promise<{ policy: Policy; best: readonly number[]; lessons: Lesson[] }> {
  const { groups, groupSize, staleness, seed } = training
  const reference: Policy = {
    mean: Array.from({ length: count }, () => 0.5),
    logStd: Array.from({ length: count }, () => Math.log(training.deviation)),
  }
  const over = new AbortController()
  let policy = reference
  const lessons: Lesson[] = []
  let best: { draw: readonly number[]; cost: number } = { draw: reference.mean, cost: Infinity }
  const start = async (index: number): Promise<Group> => {
    const [version, played] = [lessons.length, policy]
    const draws = sample(played, groupSize, normals(splitmix64(seed + BigInt(index))))
    return { version, policy: played, draws, costs: await play(draws, over.signal) }
  }
  const underWay: Promise<Group>[] = []
  const launch = (index: number) => {
    if (index >= groups) return
    const group = start(index)
    // It is awaited in its turn; until then its failure is nobody's.
    group.catch(() => undefined)
    underWay.push(group)
  }
  try {
    for (let index = 0; index <= staleness; index++) launch(index)
    for (let index = 0; index < groups; index++) {
      const group = await underWay.shift()!
      const learned = learn(policy, group, reference, training)
      policy = learned.policy
      for (const [i, cost] of group.costs.entries())
        if (cost !== null && cost < best.cost) best = { draw: group.draws[i]!, cost }
      lessons.push({ ...learned.lesson, staleness: index - group.version })
      launch(index + 1 + staleness)
    }
  } finally {
    over.abort()
    await Promise.allSettled(underWay)
  }
  return { policy, best: best.draw, lessons }
}

/**
 * How much better than its group each rollout did, in the group's deviations. One that came to nothing counts as worse than
 * the worst, by as much as the others differ.
 */
export function advantages(costs: readonly (number | null)[]): number[] {
  const known = costs.filter((cost) => cost !== null)
  const [best, worst] = [Math.min(...known), Math.max(...known)]
  const lost = worst + (worst - best || Math.abs(worst) || 1)
  // Costs of any size: squares of very small ones would be 0. By a power of two nothing is rounded.
  const unit = 2 ** Math.floor(Math.log2(Math.abs(lost) || 1))
  const counted = costs.map((cost) => (cost ?? lost) / unit)
  const mean = counted.reduce((sum, cost) => sum + cost, 0) / counted.length
  const deviation = Math.sqrt(
    counted.reduce((sum, cost) => sum + (cost - mean) ** 2, 0) / counted.length,
  )
  // A group that differs by rounding alone teaches nothing.
  const isFlat = deviation <= Math.abs(mean) * 1e-14
  return counted.map((cost) => (isFlat ? 0 : (mean - cost) / deviation))
}

function learn(
  before: Policy,
  { policy: played, draws, costs }: Group,
  reference: Policy,
  { epochs, rate, clip, kl }: Training,
): { policy: Policy; lesson: Omit<Lesson, 'staleness'> } {
  const known = costs.filter((cost) => cost !== null)
  if (known.length < 2)
    throw new MultiverseError(
      'ROLLOUTS_FAILED',
      `${costs.length - known.length} of ${costs.length} rollouts of a group came to nothing`,
    )
  const gains = advantages(costs)
  let policy = before
  let clipped = 0
  for (let epoch = 0; epoch < epochs; epoch++) {
    const weights = draws.map((draw, n) => {
      const gain = gains[n]!
      const share = ratio(policy, played, draw)
      // The clipped surrogate min(share · gain, clip(share) · gain) has no slope here.
      const isClipped = gain > 0 ? share > 1 + clip : share < 1 - clip
      if (isClipped && gain !== 0) clipped++
      return isClipped ? 0 : (share * gain) / draws.length
    })
    policy = step(policy, gradient(policy, draws, weights, reference, kl), rate)
  }
  const lesson = {
    cost: known.reduce((sum, cost) => sum + cost, 0) / known.length,
    kl: divergence(policy, reference),
    clipped: clipped / (epochs * draws.length),
    failed: costs.length - known.length,
  }
  return { policy, lesson }
}

/** Draws from the standard normal distribution, by Box and Muller. */
export function normals(seed: bigint): () => number {
  const next = splitmix64Stream(seed)
  // 53 bits, and never 0.
  const uniform = () => (Number(next() >> 11n) + 1) / 2 ** 53
  let spare: number | null = null
  return () => {
    if (spare !== null) {
      const kept = spare
      spare = null
      return kept
    }
    const radius = Math.sqrt(-2 * Math.log(uniform()))
    const angle = 2 * Math.PI * uniform()
    spare = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }
}
