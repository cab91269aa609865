import { type Hex, keccak256, toBytes, zeroAddress } from 'viem'
import { pigou } from '../../providers/scenarios/pigou.ts'
import { scenarioSpec } from '../../providers/scenarios/scenario.ts'
import type { Capabilities } from '../../providers/provider.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import { childVerse, questionId, ROOT } from '../../sdk/ids.ts'
import { parseSpec, type Spec } from '../../sdk/spec.ts'

/** What the worlds of a seed play, and the verses that it is played in. */
export type Game = {
  spec: Spec
  /** Derived as a question's id is, though nobody asked it on any chain: no oracle, no deadline. */
  question: Hex
  /** By outcome, those that have worlds. */
  verses: readonly Hex[]
}

/**
 * The default game of a seed, in a language that a provider's worlds speak. The seed alone decides the verses' ids, unless
 * `salt` sets a run apart from others of its seed.
 * @throws NEEDS_UNMET when the provider speaks none of the languages that the game is written in
 */
export function gameOf(
  seed: number,
  provider: { id: string; capabilities: Pick<Capabilities, 'languages'> },
  salt = '',
): Game {
  const spec = specOf(seed, provider)
  const { specHash, labels } = parseSpec(JSON.stringify(spec))
  const question = questionId({
    oracle: zeroAddress,
    outcomes: labels.length,
    deadline: 0n,
    specHash,
    termsHash: keccak256(toBytes(salt)),
  })
  const verses = spec.verses.map((_, outcome) => childVerse(ROOT, question, outcome))
  return { spec, question, verses }
}

function specOf(
  seed: number,
  { id, capabilities: { languages } }: Parameters<typeof gameOf>[1],
): Spec {
  const language = (['javascript', 'python'] as const).find((each) => languages.includes(each))
  if (language !== undefined) return scenarioSpec(pigou(1), { seed, language })
  if (languages.includes('evm')) return chainSpec(seed)
  throw new MultiverseError(
    'NEEDS_UNMET',
    `the game is written in JavaScript, Python and for the EVM; ${id} runs ${languages.join(' and ')}`,
  )
}

/** Where the chain's game writes. */
const BOOK = `0x${'c0'.repeat(20)}`
/** Adds the word it is called with to its first word of storage, and gives the sum. */
const ADD = '0x5f545f3501805f555f5260205ff3'

/** Worlds that speak transactions only: every verse books one more than its own number, and costs the gas that this took. */
function chainSpec(seed: number): Spec {
  const { parameters: _, ...game } = scenarioSpec(pigou(1), { seed })
  const setup = { steps: [{ kind: 'code', account: BOOK, bytecode: ADD }] }
  const steps = [
    { kind: 'store', account: BOOK, slot: 0, word: { $: 'input.verse.outcome' } },
    { kind: 'send', as: 'booked', to: BOOK, data: `0x${'1'.padStart(64, '0')}` },
  ]
  return {
    ...game,
    language: 'evm',
    title: 'What does it cost a chain to know the verse?',
    setup: JSON.stringify(setup),
    program: JSON.stringify({ steps, result: { cost: { $: 'booked.gasUsed' } } }),
  }
}
