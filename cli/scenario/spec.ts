import type { Spec } from '../../sdk/spec.ts'

/** The default scenario's outcomes, in order. */
export const OUTCOMES = ['nash', 'optimal', 'chaos', 'void'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** The seeds' own seed. */
export const DEFAULT_SEED = 1069

/**
 * Selfish routing on Pigou's network: one unit of traffic chooses between a road that always takes time 1 and one that
 * takes x^degree when x of the traffic is on it. Each verse routes it by its strategy; what that costs is found by its
 * world.
 */
export function pigouSpec({
  degree,
  seed = DEFAULT_SEED,
}: {
  /** 1 to 4. */
  degree: number
  seed?: number
}): Spec {
  return {
    version: 1,
    title: `How will traffic route itself on Pigou's network with latency x^${degree}?`,
    verses: [
      { name: 'nash', strategy: 'selfish', trit: -1, probability: '0.45' },
      { name: 'optimal', strategy: 'cooperative', trit: 0, probability: '0.35' },
      { name: 'chaos', strategy: 'random', trit: 1, probability: '0.2' },
    ],
    void: { name: 'void', probability: '0' },
    setup: setup(degree),
    program,
    needs: { parallel: true, optimize: false, verify: false },
    outcome: { source: 'manual' },
    seed,
  }
}

/** The network, as every branch finds it. `flow` is the traffic on the road with varying latency. */
const setup = (degree: number) => `
const network = {
  latencies: [(flow) => flow ** ${degree}, () => 1],
  /** Latency of each road when \`flow\` takes the first and the rest the second. */
  at(flow) {
    return [this.latencies[0](flow), this.latencies[1](1 - flow)]
  },
  /** What everybody's travel takes together. */
  cost(flow) {
    const [varying, constant] = this.at(flow)
    return flow * varying + (1 - flow) * constant
  },
}

const strategies = {
  /** Wardrop's equilibrium: everybody takes the faster road until neither is. */
  selfish() {
    const advantage = (flow) => network.at(flow)[1] - network.at(flow)[0]
    if (advantage(1) >= 0) return 1
    let [low, high] = [0, 1]
    for (let i = 0; i < 200; i++) {
      const middle = (low + high) / 2
      if (advantage(middle) > 0) low = middle
      else high = middle
    }
    return (low + high) / 2
  },
  /** The least total cost, which is convex in the flow: golden-section search. */
  cooperative() {
    const ratio = (Math.sqrt(5) - 1) / 2
    let [low, high] = [0, 1]
    for (let i = 0; i < 100; i++) {
      const [left, right] = [high - ratio * (high - low), low + ratio * (high - low)]
      if (network.cost(left) < network.cost(right)) high = right
      else low = left
    }
    return (low + high) / 2
  },
  /** Wherever chance puts it. */
  random() {
    return Math.random()
  },
}

globalThis.network = network
globalThis.strategies = strategies
`

const program = `
const choose = strategies[input.verse.strategy]
if (choose === undefined) throw new Error('unknown strategy ' + input.verse.strategy)
const flow = choose()
return { cost: network.cost(flow), flow, latencies: network.at(flow) }
`
