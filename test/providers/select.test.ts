import { describe, expect, it } from 'vitest'
import {
  castPipeline,
  closePlan,
  LOCAL_ROLES,
  SEED_ROLES,
  selectProviders,
  type Needs,
} from '../../providers/select.ts'
import { residue } from '../../sdk/gf3.ts'

const M = 'morph'
const P = 'primeintellect'
const G = 'gensyn'

/** Needs, then the open plan: primary, its trit, optimizer and verifier beside it, sum, debt. */
const TABLE = [
  ['parallel optimize verify', M, 1, P, G, 0, 0],
  ['parallel optimize', M, 1, P, null, 1, -1],
  ['parallel verify', M, 1, null, G, 0, 0],
  ['parallel', M, 1, null, null, 1, -1],
  ['optimize verify', P, 0, null, G, -1, 1],
  ['optimize', P, 0, null, null, 0, 0],
  ['verify', G, -1, null, null, -1, 1],
  ['nothing', M, 1, null, null, 1, -1],
] as const

function needsOf(words: string): Needs {
  const has = (word: string) => words.split(' ').includes(word)
  return { parallel: has('parallel'), optimize: has('optimize'), verify: has('verify') }
}

function served(needs: Needs): string[] {
  return [needs.parallel ? M : [], needs.optimize ? P : [], needs.verify ? G : []].flat()
}

describe('selectProviders', () => {
  it.each(TABLE)('for %s', (words, primary, trit, optimizer, verifier, gf3Sum, debt) => {
    const needs = needsOf(words)
    const plan = selectProviders(needs, SEED_ROLES)
    expect(plan).toEqual({ primary, trit, generator: null, optimizer, verifier, gf3Sum, debt })

    const closed = closePlan(plan, SEED_ROLES)
    expect(closed.debt).toBe(0)
    expect(residue(closed.gf3Sum)).toBe(0)
    expect(closed).toMatchObject({ primary, trit, optimizer })
    expect(closePlan(closed, SEED_ROLES)).toEqual(closed)
    for (const each of [plan, closed]) {
      const members = [each.primary, each.generator, each.optimizer, each.verifier]
      expect(members).toEqual(expect.arrayContaining(served(needs)))
    }
  })

  it.each(TABLE)(
    'casts a pipeline for %s whole',
    (words, primary, _, _optimizer, _verifier, _sum, debt) => {
      const needs = needsOf(words)
      const cast = castPipeline(needs, SEED_ROLES)
      // Worlds always run, and are always paid back.
      expect(cast).toMatchObject({ primary, generator: M, verifier: G, gf3Sum: 0, debt })
      expect(cast.optimizer).toBe(needs.optimize ? P : null)
    },
  )

  it('casts local providers in the same parts', () => {
    const plan = selectProviders(needsOf('parallel optimize verify'))
    expect(plan).toMatchObject({ primary: 'quickjs', optimizer: 'grpo', verifier: 'replay' })
    expect(LOCAL_ROLES.generator).toBe('quickjs')
    expect(closePlan(selectProviders(needsOf('verify')))).toMatchObject({ generator: 'quickjs' })
  })
})
