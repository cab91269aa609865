import { MultiverseError } from '../sdk/errors.ts'
import { completion, type Gf3, gf3, type Trit } from '../sdk/gf3.ts'
import { BUNDLES, judge, type Member } from './triads.ts'

/** What a verse asks for: many worlds side by side, training, checking. */
export type Needs = { parallel: boolean; optimize: boolean; verify: boolean }

/** Who plays which part: the generator (+1) branches, the coordinator (0) optimises, the validator (-1) verifies. */
export type Roles = { generator: string; coordinator: string; validator: string }

export const SEED_ROLES: Roles = {
  generator: 'morph',
  coordinator: 'primeintellect',
  validator: 'gensyn',
}
export const LOCAL_ROLES: Roles = { generator: 'quickjs', coordinator: 'grpo', validator: 'replay' }

/** Which providers do what. */
export type Plan = {
  /** The provider that the seed's algorithm names. */
  primary: string
  /** Its trit. */
  trit: Trit
  /** Those that stand beside it. */
  generator: string | null
  optimizer: string | null
  verifier: string | null
  /** Integer sum of all trits of the plan. */
  gf3Sum: number
  /** The trit that would close the plan; 0 when it is closed. An open plan is allowed until it is committed. */
  debt: Trit
}

/**
 * The seed's selection: all three needs, else parallel, else optimize, else verify, else parallel decide the primary. Where
 * the seed forgets the other needs, they are served beside it.
 */
export function selectProviders(needs: Needs, roles: Roles = LOCAL_ROLES): Plan {
  const part = primaryPart(needs)
  return weigh({
    primary: roles[part],
    trit: TRITS[part],
    generator: null,
    optimizer: needs.optimize && part !== 'coordinator' ? roles.coordinator : null,
    verifier: needs.verify && part !== 'validator' ? roles.validator : null,
  })
}

/** Adds the one provider that pays an open plan's debt; a closed plan is given back as it is. */
export function closePlan(plan: Plan, roles: Roles = LOCAL_ROLES): Plan {
  if (plan.debt === 1) return weigh({ ...plan, generator: roles.generator })
  if (plan.debt === -1) return weigh({ ...plan, verifier: roles.validator })
  return plan
}

/** Who does what in a pipeline over worlds. */
export type Cast = {
  /** The provider that the seed's algorithm names. */
  primary: string
  generator: string
  /** Null when nobody asked to optimise: its trit is 0, so that nothing is missing. */
  optimizer: string | null
  verifier: string
  /** Integer sum of the trits of those who take part. */
  gf3Sum: number
  /** What was missing from the plan as it was asked for; the cast has it. 0 when nothing was. */
  debt: Trit
}

/**
 * Casts a pipeline: the seed's selection with no need dropped, and closed. Every verse runs in a world whatever else is asked
 * for, so there is always a generator, and always the verifier that pays for it.
 */
export function castPipeline(needs: Needs, roles: Roles = LOCAL_ROLES): Cast {
  const open = selectProviders(needs, roles)
  const { coordinator, generator, validator } = roles
  const optimizer = needs.optimize ? coordinator : null
  const { sum } = gf3([TRITS.generator, ...(optimizer ? [TRITS.coordinator] : []), TRITS.validator])
  const { primary, debt } = open
  return { primary, generator, optimizer, verifier: validator, gf3Sum: sum, debt }
}

/** A plan that is chosen by its name, and closed. */
export type ModePlan = Gf3 & {
  mode: string
  /** In the order in which they work. */
  members: readonly Member[]
}

/** The seeds' modes and the local one: who works, in which order. Trits are those of the bundle they come from. */
const MODES: Readonly<Record<string, { bundle: string; order: readonly string[] }>> = {
  full: { bundle: 'full', order: ['morph', 'modal', 'primeintellect', 'gensyn', 'ritual'] },
  branch: { bundle: 'full', order: ['morph', 'gensyn'] },
  inference: { bundle: 'inference', order: ['modal', 'primeintellect', 'ritual'] },
  local: { bundle: 'local', order: ['quickjs', 'grpo', 'replay'] },
}

/** The names that {@link selectMode} knows. */
export const modes: readonly string[] = Object.keys(MODES)

/** @throws UNKNOWN_MODE */
export function selectMode(name: string): ModePlan {
  const mode = Object.hasOwn(MODES, name) ? MODES[name] : undefined
  if (mode === undefined)
    throw new MultiverseError('UNKNOWN_MODE', `no mode ${name}; there are: ${modes.join(', ')}`)
  const bundle = BUNDLES.find(({ id }) => id === mode.bundle)
  const members = mode.order.flatMap(
    (id) => bundle?.members.filter((member) => member.id === id) ?? [],
  )
  return { mode: name, members, ...judge({ members }) }
}

const TRITS = { generator: 1, coordinator: 0, validator: -1 } as const satisfies Record<
  keyof Roles,
  Trit
>

function primaryPart(needs: Needs): keyof Roles {
  if (needs.parallel) return 'generator'
  if (needs.optimize) return 'coordinator'
  return needs.verify ? 'validator' : 'generator'
}

function weigh(plan: Omit<Plan, 'gf3Sum' | 'debt'>): Plan {
  const trits: Trit[] = [plan.trit]
  if (plan.generator !== null) trits.push(TRITS.generator)
  if (plan.optimizer !== null) trits.push(TRITS.coordinator)
  if (plan.verifier !== null) trits.push(TRITS.validator)
  return { ...plan, gf3Sum: gf3(trits).sum, debt: completion(trits) }
}
