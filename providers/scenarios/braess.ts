import type { Scenario } from './scenario.ts'

/**
 * Braess's paradox: one unit of traffic from s to t, over v or over w. The roads s-v and w-t take as long as there is traffic
 * on them, v-t and s-w always 1, and a new road v-w takes nothing. Everybody takes it, and everybody is late.
 */
export function braess(): Scenario {
  return {
    name: 'braess',
    title: "Will a free shortcut slow everybody down on Braess's network?",
    game: { javascript, python },
    parameters: [
      { name: 'shortcut', low: 0, high: 1 },
      { name: 'overV', low: 0, high: 1 },
    ],
  }
}

/**
 * A play is the traffic on each of three paths: over v, over w, and over both by the shortcut. Traffic moves between two
 * paths at a time until none can gain: the same search finds the equilibrium, where paths are weighed by what they take the
 * traveller, and the optimum, where they are weighed by what one more traveller takes everybody.
 */
const javascript = `
const paths = [['sv', 'vt'], ['sw', 'wt'], ['sv', 'vw', 'wt']]
const slopes = { sv: 1, vt: 0, sw: 0, wt: 1, vw: 0 }
const constants = { sv: 0, vt: 1, sw: 1, wt: 0, vw: 0 }

/** What each path takes when each road takes slope * traffic * share + constant. */
const weigh = (flows, share) => {
  const traffic = { sv: flows[0] + flows[2], vt: flows[0], sw: flows[1], wt: flows[1] + flows[2], vw: flows[2] }
  return paths.map((path) =>
    path.reduce((sum, road) => sum + slopes[road] * traffic[road] * share + constants[road], 0),
  )
}

const settle = (share) => {
  const flows = [1 / 3, 1 / 3, 1 / 3]
  for (let round = 0, moved = 1; round < 200 && moved > 1e-15; round++) {
    moved = 0
    for (const [from, to] of [[0, 1], [0, 2], [1, 2]]) {
      const before = flows[to]
      const both = flows[from] + flows[to]
      let [low, high] = [0, both]
      for (let i = 0; i < 60; i++) {
        flows[to] = (low + high) / 2
        flows[from] = both - flows[to]
        const weights = weigh(flows, share)
        if (weights[to] < weights[from]) low = flows[to]
        else high = flows[to]
      }
      moved = Math.max(moved, Math.abs(flows[to] - before))
    }
  }
  return flows
}

globalThis.strategies = {
  selfish: () => settle(1),
  cooperative: () => settle(2),
  random: (draw) => chosen([draw(), draw()]),
}
globalThis.chosen = ([shortcut, overV]) => [
  (1 - shortcut) * overV,
  (1 - shortcut) * (1 - overV),
  shortcut,
]
globalThis.report = (flows) => {
  const latencies = weigh(flows, 1)
  return { cost: flows.reduce((sum, flow, i) => sum + flow * latencies[i], 0), flows, latencies }
}
`

const python = `
PATHS = [['sv', 'vt'], ['sw', 'wt'], ['sv', 'vw', 'wt']]
SLOPES = {'sv': 1, 'vt': 0, 'sw': 0, 'wt': 1, 'vw': 0}
CONSTANTS = {'sv': 0, 'vt': 1, 'sw': 1, 'wt': 0, 'vw': 0}


def weigh(flows, share):
    traffic = {
        'sv': flows[0] + flows[2],
        'vt': flows[0],
        'sw': flows[1],
        'wt': flows[1] + flows[2],
        'vw': flows[2],
    }
    return [sum(SLOPES[road] * traffic[road] * share + CONSTANTS[road] for road in path) for path in PATHS]


def settle(share):
    flows = [1 / 3, 1 / 3, 1 / 3]
    moved, rounds = 1.0, 0
    while rounds < 200 and moved > 1e-15:
        moved, rounds = 0.0, rounds + 1
        for source, target in [(0, 1), (0, 2), (1, 2)]:
            before = flows[target]
            both = flows[source] + flows[target]
            low, high = 0.0, both
            for _ in range(60):
                flows[target] = (low + high) / 2
                flows[source] = both - flows[target]
                weights = weigh(flows, share)
                if weights[target] < weights[source]:
                    low = flows[target]
                else:
                    high = flows[target]
            moved = max(moved, abs(flows[target] - before))
    return flows


strategies = {
    'selfish': lambda draw: settle(1),
    'cooperative': lambda draw: settle(2),
    'random': lambda draw: chosen([draw(), draw()]),
}


def chosen(parameters):
    shortcut, over_v = parameters
    return [(1 - shortcut) * over_v, (1 - shortcut) * (1 - over_v), shortcut]


def report(flows):
    latencies = weigh(flows, 1)
    cost = sum(flow * latency for flow, latency in zip(flows, latencies))
    return {'cost': cost, 'flows': flows, 'latencies': latencies}
`
