import * as fc from 'fast-check'
import { RpcRequestError } from 'viem'
import { expect, test } from 'vitest'
import { grown, type RangeSize, readRanges, shrunk } from '../../keeper/chain/backfill.ts'
import {
  type Fees,
  feesFor,
  type Market,
  type Replacement,
  replacementFees,
  gasLimit,
} from '../../keeper/tx/fees.ts'
import { holeBelow, needOf, nextNonce } from '../../keeper/tx/nonces.ts'

// The rules by which transactions are paid for and numbered, and history is read, without any chain.

const wei = fc.bigInt({ min: 0n, max: 10n ** 13n })
const market: fc.Arbitrary<Market> = fc.record({ baseFee: wei, tip: wei })
/** In hundredths of what was bid already. */
const nearCap = fc.option(fc.integer({ min: 100, max: 130 }), { nil: null })
const cap = fc.option(fc.bigInt({ min: 1n, max: 10n ** 13n }), { nil: null })

test('fees are valid, pay the base fee, and never pass the cap', () => {
  fc.assert(
    fc.property(market, cap, (now, limit) => {
      const plan = feesFor(now, limit)
      const isLow = limit !== null && now.baseFee >= limit
      expect(plan.kind).toBe(isLow ? 'wait' : 'pay')
      expect(plan.kind === 'wait' || isSound(plan.fees, now, limit)).toBe(true)
    }),
  )
})

test('a replacement is a tenth dearer in both fees, valid and below the cap, or is not made', () => {
  fc.assert(
    fc.property(wei, wei, market, nearCap, (paid, tip, now, near) => {
      const before: Fees = { maxFeePerGas: paid + tip, maxPriorityFeePerGas: tip }
      const limit = near === null ? null : (before.maxFeePerGas * BigInt(near)) / 100n
      const plan = replacementFees(before, now, limit)
      const fees = plan.kind === 'pay' ? plan.fees : null
      expect(fees === null || (isSound(fees, now, limit) && isTaken(fees, before))).toBe(true)
    }),
  )
})

test('replacing comes to an end, whatever the market, and never at a price nobody asks', () => {
  fc.assert(
    fc.property(market, cap, (now, limit) => {
      const bids: Fees[] = []
      for (let plan: Replacement = feesFor(now, limit); plan.kind === 'pay';) {
        bids.push(plan.fees)
        if (bids.length > 64) break
        plan = replacementFees(plan.fees, now, limit)
      }
      expect(bids.length).toBeLessThanOrEqual(64)
      const highest = bids.at(-1)?.maxFeePerGas ?? 0n
      expect(highest).toBeLessThanOrEqual(5n * (2n * now.baseFee + now.tip) + 1_000n)
    }),
  )
})

test('whoever can be replaced in a rising market is, up to the cap', () => {
  const limit = 1_000_000n
  const fees = { maxFeePerGas: 300_000n, maxPriorityFeePerGas: 10n }
  const rising = { baseFee: 600_000n, tip: 10n }
  const plan = replacementFees(fees, rising, limit)
  expect(plan).toMatchObject({ kind: 'pay', fees: { maxFeePerGas: limit } })
  expect(replacementFees({ ...fees, maxFeePerGas: limit }, rising, limit).kind).toBe('wait')
})

function isSound(
  { maxFeePerGas, maxPriorityFeePerGas }: Fees,
  { baseFee }: Market,
  limit: bigint | null,
): boolean {
  const isWithin = limit === null || maxFeePerGas <= limit
  return maxFeePerGas >= baseFee && maxPriorityFeePerGas <= maxFeePerGas && isWithin
}

/** Whether a node takes one in the place of the other. */
function isTaken(fees: Fees, before: Fees): boolean {
  const { maxFeePerGas, maxPriorityFeePerGas } = before
  return (
    fees.maxFeePerGas > maxFeePerGas &&
    fees.maxFeePerGas * 10n >= maxFeePerGas * 11n &&
    fees.maxPriorityFeePerGas * 10n >= maxPriorityFeePerGas * 11n
  )
}

/** A chain and a node's pool as far as one account's nonces go. Numbers below 0 are somebody else's transactions. */
type Node = { mined: number[]; pool: Map<number, number> }
/** What is signed and not known to be used up; which purpose each was for. */
type Books = { signed: Map<number, number>; done: Set<number>; wanted: Set<number> }

const pooled = ({ mined, pool }: Node) => nextNonce(mined.length, new Set(pool.keys()))

const actions = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant('sign' as const), isSent: fc.boolean() }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('mine' as const), count: fc.nat(3) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('tend' as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('outside' as const), ahead: fc.nat(2) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('reorg' as const),
        depth: fc.integer({ min: 1, max: 4 }),
        isRepooled: fc.boolean(),
      }),
    },
  ),
  { maxLength: 40 },
)

function mine({ mined, pool }: Node, count: number): void {
  for (let i = 0; i < count; i++) {
    const next = pool.get(mined.length)
    if (next === undefined) return
    pool.delete(mined.length)
    mined.push(next)
  }
}

/** Signs for a purpose as the ledger does: with the lowest nonce that neither the chain nor the books know. */
function sign(node: Node, books: Books, purpose: number, isSent: boolean): void {
  const taken = new Set(books.signed.keys())
  const nonce = nextNonce(pooled(node), taken)
  if (books.signed.has(nonce)) throw new Error(`two transactions at nonce ${nonce}`)
  books.signed.set(nonce, purpose)
  if (isSent && !node.pool.has(nonce)) node.pool.set(nonce, purpose)
}

/** One round of the upkeep: what every open nonce needs, the hole below them, and new signatures for what was dropped. */
function tend(node: Node, books: Books): void {
  for (const [nonce, purpose] of [...books.signed].toSorted(([a], [b]) => a - b)) {
    const hasReceipt = node.mined[nonce] === purpose
    const isPooledByOther = node.pool.has(nonce) && node.pool.get(nonce) !== purpose
    const sight = { nonce, hasReceipt, mined: node.mined.length, isOld: true }
    const need = needOf({ ...sight, acceptance: isPooledByOther ? 'underpriced' : 'sent' })
    if (need === 'settle') {
      books.signed.delete(nonce)
      books.done.add(purpose)
    } else if (need === 'drop') {
      books.signed.delete(nonce)
    } else if (need === 'supersede' || !isPooledByOther) node.pool.set(nonce, purpose)
  }
  const hole = holeBelow(pooled(node), [...books.signed.keys()])
  if (hole !== null && books.signed.has(hole)) throw new Error(`${hole} is no hole`)
  if (hole !== null) node.pool.set(hole, -1)
  const open = new Set(books.signed.values())
  for (const purpose of books.wanted)
    if (!books.done.has(purpose) && !open.has(purpose)) sign(node, books, purpose, true)
}

test('whatever happens to an account, all that is wanted is mined in the end, and nothing is left behind a hole', () => {
  fc.assert(
    fc.property(actions, (history) => {
      const node: Node = { mined: [], pool: new Map() }
      const books: Books = { signed: new Map(), done: new Set(), wanted: new Set() }
      for (const action of history)
        switch (action.kind) {
          case 'sign': {
            const purpose = books.wanted.size + 1
            books.wanted.add(purpose)
            sign(node, books, purpose, action.isSent)
            break
          }
          case 'mine':
            mine(node, action.count)
            break
          case 'tend':
            tend(node, books)
            break
          case 'outside':
            node.pool.set(pooled(node) + action.ahead, -1)
            break
          case 'forget':
            node.pool.clear()
            break
          case 'reorg': {
            const back = node.mined.splice(Math.max(0, node.mined.length - action.depth))
            for (const [index, purpose] of back.entries()) {
              const nonce = node.mined.length + index
              if (action.isRepooled) node.pool.set(nonce, purpose)
              if (purpose <= 0) continue
              // The books take what stood in those blocks as signed again.
              books.done.delete(purpose)
              books.signed.set(nonce, purpose)
            }
            break
          }
        }
      for (let round = 0; round < 60; round++) {
        tend(node, books)
        mine(node, 8)
      }
      tend(node, books)
      expect(books.signed.size).toBe(0)
      expect(books.done).toEqual(books.wanted)
      for (const purpose of books.wanted)
        expect(node.mined.filter((each) => each === purpose).length).toBeGreaterThanOrEqual(1)
    }),
    { numRuns: 500 },
  )
})

test('every block of history is read once and in order, however much an endpoint bears', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(500),
      fc.integer({ min: 0, max: 500 }),
      fc.integer({ min: 1, max: 300 }),
      fc.integer({ min: 1, max: 300 }),
      async (first, length, size, bearable) => {
        const seen: number[] = []
        let refused = 0
        const end = await readRanges(
          { first, last: first + length - 1, size: { size, max: 5 * size } },
          async (from, to) => {
            if (to - from + 1 <= bearable) return to
            refused++
            throw tooMuch()
          },
          async (_, from, to) => {
            for (let block = from; block <= to; block++) seen.push(block)
          },
        )
        expect(seen).toEqual(Array.from({ length }, (_, i) => first + i))
        expect(end.size).toBeLessThanOrEqual(5 * size)
        expect(refused).toBeLessThan(length + 10)
      },
    ),
    { numRuns: 100 },
  )
})

test('sizes halve down to one block and grow back to the most', () => {
  const whole: RangeSize = { size: 9, max: 20 }
  expect(shrunk(whole)).toEqual({ size: 4, max: 20 })
  expect(shrunk({ size: 1, max: 20 })).toBeNull()
  expect(grown({ size: 4, max: 20 })).toEqual({ size: 6, max: 20 })
  expect(grown({ size: 19, max: 20 })).toEqual({ size: 20, max: 20 })
})

function tooMuch(): Error {
  const error = { code: -32_005, message: 'query returned more than 10000 results' }
  return new RpcRequestError({ body: {}, error, url: 'http://node' })
}

test('a gas limit leaves room for storage that nothing was in when it was estimated', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 21_000n, max: 12_000_000n }), (estimate) => {
      const spare = gasLimit(estimate) - estimate
      expect(spare).toBeGreaterThanOrEqual(estimate / 4n)
      // A slot that was never read and never written, and one more that follows from it.
      expect(spare).toBeGreaterThanOrEqual(2n * 22_100n)
    }),
  )
  // The dearest batch still fits into a transaction.
  expect(gasLimit(12_000_000n)).toBeLessThan(16_777_216n)
})
