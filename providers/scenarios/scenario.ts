import { type Parameter, PYTHON, type Spec } from '../../sdk/spec.ts'

/** A language that a scenario is written in. */
export type Language = 'javascript' | 'python'

/** The outcomes of every scenario here, in order. */
export const OUTCOMES = ['nash', 'optimal', 'chaos', 'void'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** The seeds' own seed. */
export const DEFAULT_SEED = 1069

/**
 * A game between selfish players, told to worlds as a program's text; what it costs is found by the world that runs it.
 * Both languages hold the same algorithm, so that their costs agree to 1e-9.
 */
export type Scenario = {
  name: string
  /** The question that it answers. */
  title: string
  /** What a world is prepared with: defines `strategies`, `chosen` and `report`. */
  game: Record<Language, string>
  /** What an optimiser may choose in place of a strategy. */
  parameters: Parameter[]
}

/** The code that a scenario's worlds run, in one language. */
function scenarioSource(
  { game }: Scenario,
  language: Language,
): { setup: string; program: string } {
  const text = CHANCE[language] + game[language]
  // A world may be prepared a second time, for another question: constants must not stay in its global scope.
  const setup = language === 'javascript' ? `;(() => {${text}})()` : `${PYTHON}\n${text}`
  return { setup, program: PROGRAM[language] }
}

/**
 * A question about a scenario: will its players be selfish (nash), cooperate (optimal) or act at random (chaos)? Each verse
 * has a world that plays it that way and reports the cost.
 */
export function scenarioSpec(
  scenario: Scenario,
  { language = 'javascript', seed = DEFAULT_SEED }: { language?: Language; seed?: number } = {},
): Spec {
  const [nash, optimal, chaos, none] = OUTCOMES
  return {
    version: 1,
    title: scenario.title,
    ...(language === 'javascript' ? {} : { language }),
    verses: [
      { name: nash, strategy: 'selfish', trit: -1, probability: '0.45' },
      { name: optimal, strategy: 'cooperative', trit: 0, probability: '0.35' },
      { name: chaos, strategy: 'random', trit: 1, probability: '0.2' },
    ],
    void: { name: none, probability: '0' },
    ...scenarioSource(scenario, language),
    parameters: scenario.parameters,
    needs: { parallel: true, optimize: false, verify: false },
    outcome: { source: 'manual' },
    seed,
  }
}

/**
 * `chance(seed)` draws numbers from 0 to below 1 (Marsaglia's xorshift32, its first draws dropped): languages differ in
 * their own random sources, and chaos is to cost the same in every world.
 */
const CHANCE: Record<Language, string> = {
  javascript: `
globalThis.chance = (seed) => {
  let state = (seed % 4294967296 ^ Math.floor(seed / 4294967296) * 0x9e3779b1 ^ 0x85ebca6b) >>> 0 || 1
  const draw = () => {
    state ^= state << 13
    state ^= state >>> 17
    state = (state ^ (state << 5)) >>> 0
    return state / 4294967296
  }
  for (let i = 0; i < 8; i++) draw()
  return draw
}
`,
  python: `
def chance(seed):
    state = (seed ^ seed // 4294967296 * 0x9E3779B1 ^ 0x85EBCA6B) % 4294967296 or 1

    def draw():
        nonlocal state
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        return state / 4294967296

    for _ in range(8):
        draw()
    return draw
`,
}

const PROGRAM: Record<Language, string> = {
  javascript: `
const { verse, seed, parameters } = input
if (parameters !== undefined) return report(chosen(parameters))
const choose = strategies[verse.strategy]
if (choose === undefined) throw new Error('unknown strategy ' + verse.strategy)
return report(choose(chance(seed)))
`,
  python: `
verse, seed, parameters = input['verse'], input['seed'], input.get('parameters')
if parameters is not None:
    return report(chosen(parameters))
choose = strategies.get(verse['strategy'])
if choose is None:
    raise ValueError('unknown strategy ' + verse['strategy'])
return report(choose(chance(seed)))
`,
}
