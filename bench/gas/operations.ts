import { type Address, keccak256, type Hex, numberToHex } from 'viem'
import type { Chain, Cost } from './chain.ts'
import type { Question, Route, Step, System } from './system.ts'

const AMOUNT = 10n ** 18n

/** Outcome counts of the table; the others are for the plot only. */
const SIZES = [2, 3, 8, 64, 254]
const PLOTTED_SIZES = [16, 32, 128]

/** The operation that no transaction is: how much each outcome adds to a push-down. */
export const SLOPE = 'one more outcome in a push-down'

/** The most of the ledger's own gas that an operation may take. */
export const targets: Record<string, number> = {
  'push down 2, first': 77_500,
  'push down 2, again': 60_500,
  'push down 8, first': 93_500,
  'push down 64, first': 238_000,
  'push down 254, first': 735_000,
  [SLOPE]: 2_600,
  'pull up 2, unresolved': 60_500,
  'pull up 64, unresolved': 370_000,
  'push down 2 then sell one side': 152_000,
  'push down 2 at depth 2, sorting last': 82_000,
  'push down 2 at depth 2, sorting first': 112_000,
  'answer (n = 2)': 32_000,
  'redeem bought winner, whole balance': 54_000,
  'redeem as a set holder': 74_500,
}

/** Who acts: the first holds funds and answers, all hold funds and approved the system. */
export type Actors = { alice: Address; bob: Address; carol: Address; dave: Address }

type Scene = {
  system: System
  actors: Actors
  send: Chain['send']
  /** A new question that the system has been asked. */
  ask: (outcomes: number) => Promise<Question>
  note: (operation: string, cost: Cost) => void
}

/**
 * Runs every operation once on one system with questions that belong to `condition` alone, and gives each one's cost by
 * its name, in the order of the table. The same `condition` gives the same questions in every run.
 */
export async function runOperations(
  system: System,
  actors: Actors,
  send: Chain['send'],
  condition: number,
): Promise<Map<string, Cost>> {
  const costs = new Map<string, Cost>()
  let asked = 0
  const ask = async (outcomes: number): Promise<Question> => {
    const salt: Hex = keccak256(numberToHex(condition * 1_000 + asked++, { size: 32 }))
    const question = { salt, outcomes }
    const cost = await send(actors.alice, system.ask(question))
    const operation = `ask (n = ${outcomes})`
    if (SIZES.includes(outcomes) && !costs.has(operation)) costs.set(operation, cost)
    return question
  }
  const note = (operation: string, cost: Cost) => void costs.set(operation, cost)
  const scene: Scene = { system, actors, send, ask, note }

  await sizes(scene)
  await trades(scene)
  await redemptions(scene)
  for (const depth of [2, 3]) await nesting(scene, depth)
  return costs
}

/** Push down and pull up from ROOT, by the number of outcomes. */
async function sizes({ system, actors: { alice }, send, ask, note }: Scene): Promise<void> {
  for (const outcomes of [...SIZES, ...PLOTTED_SIZES].toSorted((a, b) => a - b)) {
    const question = await ask(outcomes)
    const pushDown = await system.pushDown(alice, [], question, AMOUNT)
    note(`push down ${outcomes}, first`, await send(alice, pushDown))
    if (!SIZES.includes(outcomes)) continue
    note(`push down ${outcomes}, again`, await send(alice, pushDown))
    const pullUp = await system.pullUp(alice, [], question, AMOUNT)
    note(`pull up ${outcomes}, unresolved`, await send(alice, pullUp))
  }
}

/** Sales by owners of a set and by owners of a bought position, to people who have none of it and who have some. */
async function trades({ system, actors, send, ask, note }: Scene): Promise<void> {
  const { alice, bob, carol, dave } = actors
  const question = await ask(2)
  const route: Route = [{ question, outcome: 0 }]
  const push = async (owner: Address) =>
    send(owner, await system.pushDown(owner, [], question, AMOUNT))
  const sell = async (from: Address, to: Address, amount: bigint) =>
    send(from, await system.transfer(from, to, route, amount))

  const pushed = await push(alice)
  await push(carol)
  const sold = await sell(alice, bob, AMOUNT / 2n)
  note('push down 2 then sell one side', both(pushed, sold))
  note("set holder's first sale, new recipient", sold)
  note("set holder's first sale, existing recipient", await sell(carol, bob, AMOUNT / 2n))
  note('sale of a bought position, new recipient', await sell(bob, dave, AMOUNT / 4n))
  note('sale of a bought position, existing recipient', await sell(bob, dave, AMOUNT / 4n))
}

/** An answer, and what its winner is worth to somebody who bought it and to somebody who still holds the set. */
async function redemptions({ system, actors, send, ask, note }: Scene): Promise<void> {
  const { alice, bob, carol } = actors
  const question = await ask(2)
  for (const owner of [alice, carol])
    await send(owner, await system.pushDown(owner, [], question, AMOUNT))
  await send(alice, await system.transfer(alice, bob, [{ question, outcome: 0 }], AMOUNT))
  note('answer (n = 2)', await send(alice, system.answer(question, 0)))
  const redeem = async (owner: Address) =>
    send(owner, await system.redeem(owner, question, 0, AMOUNT))
  note('redeem bought winner, whole balance', await redeem(bob))
  note('redeem as a set holder', await redeem(carol))
}

/** Push down into two outcomes from a verse, with a question that sorts after and before all others of the path. */
async function nesting(scene: Scene, depth: number): Promise<void> {
  const { system, actors, send, ask, note } = scene
  const { alice } = actors
  for (const place of ['last', 'first'] as const) {
    const questions: Question[] = []
    for (let count = 0; count < depth; count++) questions.push(await ask(2))
    const ascending = system.sorted(questions)
    const order = place === 'last' ? ascending : [...ascending.slice(1), ascending[0]!]
    const route: Step[] = []
    for (const [index, question] of order.entries()) {
      const cost = await send(alice, await system.pushDown(alice, route, question, AMOUNT))
      if (index === depth - 1) note(`push down 2 at depth ${depth}, sorting ${place}`, cost)
      route.push({ question, outcome: index % 2 })
    }
  }
}

/** The cost of two operations together. */
function both(a: Cost, b: Cost): Cost {
  return { gas: a.gas + b.gas, transactions: [...a.transactions, ...b.transactions] }
}
