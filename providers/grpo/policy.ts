/**
 * A strategy that is still open: each parameter is drawn from a normal distribution of its own. Parameters are scaled, so that
 * the range they may be in is 0 to 1.
 */
export type Policy = { mean: readonly number[]; logStd: readonly number[] }

/** Which way a policy is to go. */
export type Gradient = { mean: number[]; logStd: number[] }

/** A deviation below this makes no difference that floating point could tell. */
const MIN_LOG_STD = Math.log(1e-9)
const MAX_LOG_STD = Math.log(1)

/** `count` draws of all parameters. @param normal draws from the standard normal distribution */
export function sample({ mean, logStd }: Policy, count: number, normal: () => number): number[][] {
  return Array.from({ length: count }, () =>
    mean.map((m, i) => m + Math.exp(logStd[i]!) * normal()),
  )
}

/** Probability of a draw under `policy` over that under `other`. */
export function ratio(policy: Policy, other: Policy, draw: readonly number[]): number {
  return Math.exp(logDensity(policy, draw) - logDensity(other, draw))
}

/** Kullback-Leibler divergence of `policy` from `reference`, nats. */
export function divergence(policy: Policy, reference: Policy): number {
  return policy.mean.reduce((sum, mean, i) => {
    const [own, other] = [policy.logStd[i]!, reference.logStd[i]!]
    const distance = (mean - reference.mean[i]!) ** 2
    return sum + other - own + (Math.exp(2 * own) + distance) / (2 * Math.exp(2 * other)) - 1 / 2
  }, 0)
}

/**
 * The natural gradient of Σ weight · log density, less `kl` times the divergence from the reference: the plain one over
 * Fisher's information, which of normal distributions is known exactly. Steps along it do not depend on the scale that the
 * policy has come to.
 */
export function gradient(
  policy: Policy,
  draws: readonly (readonly number[])[],
  weights: readonly number[],
  reference: Policy,
  kl: number,
): Gradient {
  const slope: Gradient = { mean: [], logStd: [] }
  for (const [i, mean] of policy.mean.entries()) {
    const std = Math.exp(policy.logStd[i]!)
    let [toMean, toStd] = [0, 0]
    for (const [n, draw] of draws.entries()) {
      const z = (draw[i]! - mean) / std
      toMean += weights[n]! * z
      toStd += weights[n]! * (z ** 2 - 1)
    }
    const share = std ** 2 / Math.exp(2 * reference.logStd[i]!)
    slope.mean.push(std * toMean - kl * share * (mean - reference.mean[i]!))
    slope.logStd.push((toStd - kl * (share - 1)) / 2)
  }
  return slope
}

/** A step along a gradient. Means stay where parameters may be. */
export function step(policy: Policy, slope: Gradient, rate: number): Policy {
  return {
    mean: policy.mean.map((mean, i) => bounded(mean + rate * slope.mean[i]!, 0, 1)),
    logStd: policy.logStd.map((std, i) =>
      bounded(std + rate * slope.logStd[i]!, MIN_LOG_STD, MAX_LOG_STD),
    ),
  }
}

function bounded(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high)
}

function logDensity({ mean, logStd }: Policy, draw: readonly number[]): number {
  return mean.reduce((sum, m, i) => {
    const z = (draw[i]! - m) / Math.exp(logStd[i]!)
    return sum - z ** 2 / 2 - logStd[i]!
  }, 0)
}
