import type { Scenario } from './scenario.ts'

/**
 * Selfish routing on Pigou's network: one unit of traffic chooses between a road that always takes time 1 and one that
 * takes x^degree when x of the traffic is on it.
 * @param degree 1 to 4
 */
export function pigou(degree: number): Scenario {
  return {
    name: 'pigou',
    title: `How will traffic route itself on Pigou's network with latency x^${degree}?`,
    game: { javascript: javascript(degree), python: python(degree) },
    parameters: [{ name: 'flow', low: 0, high: 1 }],
  }
}

/** The network, as every branch finds it. `flow` is the traffic on the road with varying latency. */
const javascript = (degree: number) => `
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
  random(draw) {
    return draw()
  },
}

globalThis.strategies = strategies
globalThis.chosen = ([flow]) => flow
globalThis.report = (flow) => ({ cost: network.cost(flow), flow, latencies: network.at(flow) })
`

const python = (degree: number) => `
import math


def latencies(flow):
    return [flow ** ${degree}, 1.0]


def cost(flow):
    varying, constant = latencies(flow)
    return flow * varying + (1 - flow) * constant


def selfish(draw):
    def advantage(flow):
        return latencies(flow)[1] - latencies(flow)[0]

    if advantage(1) >= 0:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        if advantage(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def cooperative(draw):
    ratio = (math.sqrt(5) - 1) / 2
    low, high = 0.0, 1.0
    for _ in range(100):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if cost(left) < cost(right):
            high = right
        else:
            low = left
    return (low + high) / 2


def random(draw):
    return draw()


strategies = {'selfish': selfish, 'cooperative': cooperative, 'random': random}


def chosen(parameters):
    return parameters[0]


def report(flow):
    return {'cost': cost(flow), 'flow': flow, 'latencies': latencies(flow)}
`
