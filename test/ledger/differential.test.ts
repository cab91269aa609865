import * as fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { createConditionalTokens, playConditionalTokens } from './conditional-tokens.ts'
import { histories, unfold } from './history.ts'
import { type History, OWNERS, type Subset, TOKENS } from './operations.ts'
import { createLedger, playLedger } from './ledger.ts'
import { createModel, type Model } from './model.ts'
import { createStage } from './stage.ts'

// Invariants 1, 3, 7, 8, 12 and 13 of docs/invariants.md, by comparison with a model that knows only sets of worlds, and the
// same histories on Gnosis's Conditional Tokens. HISTORIES says how many are played; SEED plays a run again.

const count = Number(process.env.HISTORIES ?? 300)
const seed = Number(process.env.SEED ?? Date.now() % 0x7fffffff)
/** A history takes some 15 to 30 ms. One that fails is shortened for as long as there is time, and told then. */
const patience = count * 300
const timeout = count * 400

const stage = await createStage()
const ledger = await createLedger(stage)
const conditionalTokens = await createConditionalTokens(stage)
afterAll(() => stage.close())

/** What each owner of each token is due, in the one world that came true. */
function due(model: Model): bigint[][] {
  return Array.from({ length: TOKENS }, (_, token) =>
    Array.from({ length: OWNERS }, (__, owner) => model.due(token, owner)),
  )
}

function gains(tokens: readonly `0x${string}`[]): Promise<bigint[][]> {
  return Promise.all(tokens.map((token) => stage.gains(token)))
}

/** Plays random histories, one after the other, each on the chain as it was at first. */
function playAll(
  subset: Subset,
  play: (story: History, model: Model) => Promise<void>,
): Promise<void> {
  const one = (story: History) =>
    stage.rehearse(() => play(story, createModel(story.outcomes, OWNERS, TOKENS)))
  return fc.assert(fc.asyncProperty(histories(subset), one), {
    seed,
    numRuns: count,
    interruptAfterTimeLimit: patience,
    markInterruptAsFailure: true,
  })
}

describe(`${count} random histories, SEED=${seed}`, () => {
  test('the ledger agrees with sets of worlds', { timeout }, () =>
    playAll('everything', async (story, model) => {
      const { play } = await playLedger(stage, ledger, story, model)
      let expected = due(model)
      for (const scene of unfold(story, model, 'everything')) {
        if (!scene.isLeaving) expected = due(model)
        await play(scene)
      }
      expect(await gains(ledger.tokens), 'everybody leaves with his due').toEqual(expected)
    }),
  )

  test('Conditional Tokens end with the same balances', { timeout }, () =>
    playAll('plain', async (story, model) => {
      const ours = await playLedger(stage, ledger, story, model)
      const theirs = await playConditionalTokens(stage, conditionalTokens, story, model)
      for (const scene of unfold(story, model, 'plain')) {
        await ours.play(scene)
        await theirs.play({ ...scene, timestamp: scene.timestamp + 1 })
      }
      expect(await gains(conditionalTokens.tokens)).toEqual(await gains(ledger.tokens))
    }),
  )
})

test('the histories are rich', () => {
  const counts = new Map<string, number>()
  const add = (name: string) => counts.set(name, (counts.get(name) ?? 0) + 1)
  const note = (story: History): void => {
    const model = createModel(story.outcomes, OWNERS, TOKENS)
    if (story.outcomes.reduce((product, each) => product * each, 1) > 2_000) add('wide')
    for (const { operations } of unfold(story, model, 'everything'))
      for (const operation of operations) {
        add(operation.kind)
        if (operation.kind === 'malformed') add(operation.how)
        if ('verdict' in operation) add(`${operation.kind}: ${operation.verdict}`)
        if (operation.kind === 'pushDown' || operation.kind === 'pullUp')
          add(`depth ${model.path(operation.parent).length + 1}`)
        if (operation.kind === 'exit' && operation.levels.length > 1) add('exit through levels')
        if (operation.kind === 'narrow' && operation.survivors.length > 1) add('narrow by steps')
      }
  }
  fc.assert(fc.property(histories('everything'), note), { seed: 1, numRuns: 300 })
  const kinds = [
    'pushDown: done',
    'pushDown: InsufficientBalance',
    'pushDown: AlreadyResolved',
    'pushDown: DeadlinePassed',
    'pullUp: done',
    'pullUp: InsufficientBalance',
    'exit: done',
    'exit: InsufficientBalance',
    'exit through levels',
    'transfer: done',
    'transfer: InsufficientBalance',
    'narrow by steps',
    'expire',
    'PathNotAscending',
    'QuestionInPath',
    'OutcomeOutOfRange',
    'depth 1',
    'depth 2',
    'depth 3',
    'depth 4',
    'wide',
  ]
  expect(kinds.filter((name) => (counts.get(name) ?? 0) < 20)).toEqual([])
})
