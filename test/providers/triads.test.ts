import { describe, expect, it } from 'vitest'
import { ROSTER } from '../../providers/roster.ts'
import { modes, selectMode } from '../../providers/select.ts'
import { BUNDLES, type Call, judge, laneBalances } from '../../providers/triads.ts'
import type { Trit } from '../../sdk/gf3.ts'

const tritOf = (id: string): Trit => ROSTER.find((row) => row.id === id)!.trit
const of = (...trits: Trit[]) => ({ members: trits.map((trit, i) => ({ id: `${i}`, trit })) })

function members(id: string): string[] {
  return BUNDLES.find((each) => each.id === id)!.members.map((each) => each.id)
}

function call(providerId: string, verseId: string | null, error: unknown = null): Call {
  return { providerId, verseId, error }
}

describe('bundles', () => {
  it.each(BUNDLES.map((bundle) => [bundle.name, bundle] as const))(
    '%s is conserved and balanced',
    (_, bundle) => {
      const isTriad = bundle.members.length === 3
      expect(judge(bundle)).toEqual({ sum: 0, conserved: true, balanced: true, triad: isTriad })
    },
  )

  it('give providers the trits that the registry gives them', () => {
    const known = new Set(ROSTER.map(({ id }) => id))
    const providers = BUNDLES.flatMap((each) => each.members).filter(({ id }) => known.has(id))
    expect(providers.map(({ trit }) => trit)).toEqual(providers.map(({ id }) => tritOf(id)))
  })

  it('of five are two triads that share their coordinator', () => {
    expect(new Set([...members('core-runtime'), ...members('inference')])).toEqual(
      new Set(members('full')),
    )
  })

  it('fail when they should', () => {
    expect(judge(of(-1, -1, 1))).toMatchObject({ conserved: false, triad: true })
    expect(judge(of(1))).toMatchObject({ conserved: false })
    expect(judge(of(1, 1, 1))).toEqual({ sum: 3, conserved: true, balanced: false, triad: true })
    expect(judge(of(0, 0, 0))).toMatchObject({ conserved: true, balanced: true })
  })
})

describe('selectMode', () => {
  it.each([
    ['full', ['morph', 'modal', 'primeintellect', 'gensyn', 'ritual'], false],
    ['branch', ['morph', 'gensyn'], false],
    ['inference', ['modal', 'primeintellect', 'ritual'], true],
    ['local', ['quickjs', 'grpo', 'replay'], true],
  ])('%s is a closed plan', (name, ids, triad) => {
    const plan = selectMode(name)
    expect(plan).toMatchObject({ mode: name, sum: 0, conserved: true, triad })
    expect(plan.members.map(({ id }) => id)).toEqual(ids)
    for (const { id, trit } of plan.members) expect(trit).toBe(tritOf(id))
  })

  it.each(['', 'all', 'constructor'])('knows no mode %j', (name) => {
    expect(() => selectMode(name)).toThrow(expect.objectContaining({ code: 'UNKNOWN_MODE' }))
    expect(modes).toEqual(['full', 'branch', 'inference', 'local'])
  })
})

describe('laneBalances', () => {
  it('counts each provider of a lane once, and none that failed', () => {
    const lanes = ['0xa', '0xb', '0xc']
    const calls = [
      call('quickjs', null),
      ...lanes.flatMap((lane) => [
        call('quickjs', lane),
        call('quickjs', lane),
        call('grpo', lane),
        call('replay', lane, lane === '0xc' ? { code: 'REPLAY_DIED' } : null),
      ]),
      call('replay', '0xb'),
      call('quickjs', '0xd', { code: 'PROGRAM_ERROR' }),
    ]
    expect(laneBalances(calls, tritOf)).toEqual([
      {
        verseId: '0xa',
        providers: ['quickjs', 'grpo', 'replay'],
        sum: 0,
        conserved: true,
        balanced: true,
        triad: true,
      },
      {
        verseId: '0xb',
        providers: ['quickjs', 'grpo', 'replay'],
        sum: 0,
        conserved: true,
        balanced: true,
        triad: true,
      },
      {
        verseId: '0xc',
        providers: ['quickjs', 'grpo'],
        sum: 1,
        conserved: false,
        balanced: false,
        triad: false,
      },
      { verseId: '0xd', providers: [], sum: 0, conserved: true, balanced: false, triad: false },
    ])
  })
})
