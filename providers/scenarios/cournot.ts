import type { Scenario } from './scenario.ts'

/**
 * A Cournot oligopoly: firms choose how much to make at `unitCost` each, and the price is `choke` less what they make in all.
 * The cost to society is what making takes, and what the people who go without would have paid.
 */
export function cournot({
  firms = 2,
  choke = 10,
  unitCost = 2,
}: { firms?: number; choke?: number; unitCost?: number } = {}): Scenario {
  return {
    name: 'cournot',
    title: `How much will ${firms} firms make, when less is dearer?`,
    game: {
      javascript: javascript(firms, choke, unitCost),
      python: python(firms, choke, unitCost),
    },
    parameters: Array.from({ length: firms }, (_, i) => ({
      name: `quantity${i}`,
      low: 0,
      high: choke / firms,
    })),
  }
}

/**
 * A play is what each firm makes. They change their minds in turn until none does: a selfish firm counts that making more
 * lowers the price of all it makes, a cooperative one makes more for as long as somebody pays its cost.
 */
const javascript = (firms: number, choke: number, unitCost: number) => `
const [firms, choke, unitCost] = [${firms}, ${choke}, ${unitCost}]
const total = (quantities) => quantities.reduce((sum, quantity) => sum + quantity, 0)

const settle = (selfishness) => {
  const quantities = new Array(firms).fill(0)
  for (let round = 0, moved = 1; round < 400 && moved > 1e-15; round++) {
    moved = 0
    for (let i = 0; i < firms; i++) {
      const before = quantities[i]
      let [low, high] = [0, choke]
      for (let step = 0; step < 60; step++) {
        quantities[i] = (low + high) / 2
        const earned = choke - total(quantities) - selfishness * quantities[i]
        if (earned > unitCost) low = quantities[i]
        else high = quantities[i]
      }
      moved = Math.max(moved, Math.abs(quantities[i] - before))
    }
  }
  return quantities
}

globalThis.strategies = {
  selfish: () => settle(1),
  cooperative: () => settle(0),
  random: (draw) => Array.from({ length: firms }, () => (draw() * choke) / firms),
}
globalThis.chosen = (parameters) => parameters
globalThis.report = (quantities) => {
  const made = total(quantities)
  const price = choke - made
  const cost = made * unitCost + price ** 2 / 2
  return { cost, quantities, price, profits: quantities.map((each) => each * (price - unitCost)) }
}
`

const python = (firms: number, choke: number, unitCost: number) => `
firms, choke, unit_cost = ${firms}, ${choke}, ${unitCost}


def settle(selfishness):
    quantities = [0.0] * firms
    moved, rounds = 1.0, 0
    while rounds < 400 and moved > 1e-15:
        moved, rounds = 0.0, rounds + 1
        for i in range(firms):
            before = quantities[i]
            low, high = 0.0, float(choke)
            for _ in range(60):
                quantities[i] = (low + high) / 2
                earned = choke - sum(quantities) - selfishness * quantities[i]
                if earned > unit_cost:
                    low = quantities[i]
                else:
                    high = quantities[i]
            moved = max(moved, abs(quantities[i] - before))
    return quantities


strategies = {
    'selfish': lambda draw: settle(1),
    'cooperative': lambda draw: settle(0),
    'random': lambda draw: [draw() * choke / firms for _ in range(firms)],
}


def chosen(parameters):
    return parameters


def report(quantities):
    made = sum(quantities)
    price = choke - made
    cost = made * unit_cost + price**2 / 2
    return {'cost': cost, 'quantities': quantities, 'price': price, 'profits': [each * (price - unit_cost) for each in quantities]}
`
