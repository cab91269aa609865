import * as fc from 'fast-check'
import { keccak256, toBytes } from 'viem'
import { expect, test } from 'vitest'
import { advance, type Header, place, type Step, type Window } from '../../keeper/chain/window.ts'

/** A block on `parent`; `salt` tells siblings apart. */
function child(parent: Header | undefined, salt: number): Header {
  const number = (parent?.number ?? 0) + 1
  const parentHash = parent?.hash ?? keccak256(toBytes('genesis'))
  const hash = keccak256(toBytes(`${parentHash}:${number}:${salt}`))
  return { number, hash, parentHash, timestamp: number }
}

function chainOf(length: number, salt = 0, from?: Header): Header[] {
  const blocks: Header[] = []
  for (let i = 0; i < length; i++) blocks.push(child(blocks.at(-1) ?? from, salt))
  return blocks
}

test('an empty window takes any branch', () => {
  const chain = chainOf(3)
  expect(place([], chain)).toEqual({ kind: 'extend', blocks: chain })
})

test('the tip again is nothing new', () => {
  const chain = chainOf(3)
  expect(place(chain, [chain[2]!])).toEqual({ kind: 'same' })
})

test('a child of the tip extends', () => {
  const chain = chainOf(4)
  const step = place(chain.slice(0, 3), [chain[3]!])
  expect(step).toEqual({ kind: 'extend', blocks: [chain[3]] })
  expect(advance(chain.slice(0, 3), step, 3)).toEqual(chain.slice(1))
})

test('a gap asks for what lies between', () => {
  const chain = chainOf(9)
  expect(place(chain.slice(0, 3), [chain[8]!])).toEqual({ kind: 'need', from: 4 })
})

test('a fork names its ancestor and what it drops', () => {
  const chain = chainOf(5)
  const other = chainOf(2, 1, chain[2])
  const step = place(chain, other)
  expect(step).toEqual({
    kind: 'fork',
    ancestor: chain[2],
    dropped: chain.slice(3),
    blocks: other,
  })
  expect(advance(chain, step, 10)).toEqual([...chain.slice(0, 3), ...other])
})

test('a chain that was rolled back drops without adding', () => {
  const chain = chainOf(5)
  expect(place(chain, [chain[1]!])).toEqual({
    kind: 'fork',
    ancestor: chain[1],
    dropped: chain.slice(2),
    blocks: [],
  })
})

test('a branch that reaches below the window without meeting it is too deep', () => {
  const chain = chainOf(10)
  const window = chain.slice(5)
  const other = chainOf(8, 1, chain[1])
  expect(place(window, other)).toEqual({ kind: 'deep' })
})

const actions = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('mine' as const), count: fc.integer({ min: 0, max: 12 }) }),
    fc.record({
      kind: fc.constant('reorg' as const),
      depth: fc.integer({ min: 1, max: 14 }),
      count: fc.integer({ min: 0, max: 14 }),
    }),
  ),
  { maxLength: 30 },
)

/** What somebody knows who applies every step: the whole chain, and the window on its end. */
type Follower = { followed: Header[]; window: Window }

/** Looks at the head of the real chain once. */
function look({ followed, window }: Follower, real: readonly Header[], size: number): Follower {
  let branch = [real.at(-1)!]
  let step: Step = place(window, branch)
  for (let asked = 0; step.kind === 'need'; asked++) {
    if (asked > 20 || step.from >= branch[0]!.number) throw new Error('it asks in vain')
    branch = real.slice(step.from - 1)
    step = place(window, branch)
  }
  const after = advance(window, step, size)
  switch (step.kind) {
    case 'same':
      return { followed, window: after }
    case 'extend':
      return { followed: [...followed, ...step.blocks], window: after }
    case 'fork': {
      const kept = followed.slice(0, followed.length - step.dropped.length)
      if (kept.at(-1) !== step.ancestor) throw new Error('the ancestor is another block')
      return { followed: [...kept, ...step.blocks], window: after }
    }
    case 'deep': {
      const alive = new Set(real.map(({ hash }) => hash))
      if (window.some(({ hash }) => alive.has(hash))) throw new Error('it was not that deep')
      return { followed: [...real], window: real.slice(-size) }
    }
  }
  throw new Error('no such step')
}

test('whoever applies the steps has the chain, whatever happened to it between two looks', () => {
  fc.assert(
    fc.property(actions, fc.integer({ min: 1, max: 10 }), (history, size) => {
      let real = chainOf(1)
      let follower: Follower = { followed: [...real], window: [...real] }
      for (const [salt, action] of history.entries()) {
        if (action.kind === 'reorg') real = real.slice(0, Math.max(1, real.length - action.depth))
        real = [...real, ...chainOf(action.count, salt + 1, real.at(-1))]
        follower = look(follower, real, size)
        const { followed, window } = follower
        expect(followed).toEqual(real)
        expect(window.length).toBeLessThanOrEqual(size)
        expect(window).toEqual(followed.slice(-window.length))
      }
    }),
    { numRuns: 300 },
  )
})
