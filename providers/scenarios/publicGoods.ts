import type { Scenario } from './scenario.ts'

/**
 * A public-goods game: neighbours build a dike. Each chooses what to add, at the price of half its square, and suffers half
 * the square of all that is still missing from the height that is needed.
 */
export function publicGoods({
  players = 3,
  needed = 4,
}: { players?: number; needed?: number } = {}): Scenario {
  return {
    name: 'public-goods',
    title: `How much of a dike of height ${needed} will ${players} neighbours build?`,
    game: { javascript: javascript(players, needed), python: python(players, needed) },
    parameters: Array.from({ length: players }, (_, i) => ({
      name: `part${i}`,
      low: 0,
      high: needed / 2,
    })),
  }
}

/**
 * A play is what each adds. They change their minds in turn until nobody does: each weighs what the next bit costs against
 * what it saves, selfish ones themselves, cooperative ones everybody.
 */
const javascript = (players: number, needed: number) => `
const [players, needed] = [${players}, ${needed}]
const missing = (parts) => needed - parts.reduce((sum, part) => sum + part, 0)

const settle = (saved) => {
  const parts = new Array(players).fill(0)
  for (let round = 0, moved = 1; round < 400 && moved > 1e-15; round++) {
    moved = 0
    for (let i = 0; i < players; i++) {
      const before = parts[i]
      let [low, high] = [0, needed]
      for (let step = 0; step < 60; step++) {
        parts[i] = (low + high) / 2
        if (parts[i] < saved * missing(parts)) low = parts[i]
        else high = parts[i]
      }
      moved = Math.max(moved, Math.abs(parts[i] - before))
    }
  }
  return parts
}

globalThis.strategies = {
  selfish: () => settle(1),
  cooperative: () => settle(players),
  random: (draw) => Array.from({ length: players }, () => (draw() * needed) / players),
}
globalThis.chosen = (parameters) => parameters
globalThis.report = (parts) => {
  const costs = parts.map((part) => (part ** 2 + missing(parts) ** 2) / 2)
  return { cost: costs.reduce((sum, cost) => sum + cost, 0), parts, costs }
}
`

const python = (players: number, needed: number) => `
players, needed = ${players}, ${needed}


def missing(parts):
    return needed - sum(parts)


def settle(saved):
    parts = [0.0] * players
    moved, rounds = 1.0, 0
    while rounds < 400 and moved > 1e-15:
        moved, rounds = 0.0, rounds + 1
        for i in range(players):
            before = parts[i]
            low, high = 0.0, float(needed)
            for _ in range(60):
                parts[i] = (low + high) / 2
                if parts[i] < saved * missing(parts):
                    low = parts[i]
                else:
                    high = parts[i]
            moved = max(moved, abs(parts[i] - before))
    return parts


strategies = {
    'selfish': lambda draw: settle(1),
    'cooperative': lambda draw: settle(players),
    'random': lambda draw: [draw() * needed / players for _ in range(players)],
}


def chosen(parameters):
    return parameters


def report(parts):
    costs = [(part**2 + missing(parts) ** 2) / 2 for part in parts]
    return {'cost': sum(costs), 'parts': parts, 'costs': costs}
`
