import * as fc from 'fast-check'
import { type Address, parseEther, zeroHash } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readHistory } from '../../cli/history.ts'
import { stateOf, verseState } from '../../cli/ledger.ts'
import { createUniverse, drawTree } from '../../cli/universe.ts'
import {
  approve,
  ask,
  getBalance,
  mint,
  narrow,
  pullUp,
  pushDown,
  transfer,
} from '../../sdk/actions.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import { canonicalPath, positionId, questionId, verseId } from '../../sdk/ids.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'

// What the events add up to is what the contract says, after any history.

const OWNERS = [0, 1, 2]
const QUESTIONS = 3
let chain: LocalChain
let deadline = 4_000_000_000n

beforeAll(async () => {
  chain = await startChain()
  const { multiverse: spender, token } = chain.deployment.addresses
  for (const index of OWNERS) {
    const amount = parseEther('1000000')
    await mint(chain.wallet(index), { token, to: chain.accounts[index]!.address, amount })
    await approve(chain.wallet(index), { token, spender, amount })
  }
})

afterAll(() => chain?.stop())

/** An outcome; none once in `often` times. */
const outcome = (often: number) => fc.option(fc.nat(2), { freq: often })

const move = fc.record({
  kind: fc.constantFrom('push', 'push', 'push', 'push', 'pull', 'pull', 'transfer', 'narrow'),
  owner: fc.constantFrom(...OWNERS),
  question: fc.nat(QUESTIONS - 1),
  /** For each question an outcome, when it stands in the path. */
  path: fc.tuple(outcome(5), outcome(2), outcome(2)),
  amount: fc.bigInt({ min: 1n, max: 1000n }),
  survivors: fc.constantFrom(0b001n, 0b010n, 0b100n, 0b101n, 0b110n),
})

test('supplies, states and the tree agree with the contract', async () => {
  /** Moves out of, or into, a verse other than ROOT that the ledger took. */
  let nested = 0
  const { multiverse, token } = chain.deployment.addresses
  const oracle = chain.accounts[0]!.address
  await fc.assert(
    fc.asyncProperty(fc.array(move, { minLength: 25, maxLength: 40 }), async (moves) => {
      const questions = await Promise.all(
        Array.from({ length: QUESTIONS }, async () => {
          deadline += 1n
          const terms = { oracle, outcomes: 3, deadline, specHash: zeroHash, termsHash: zeroHash }
          return { id: questionId(terms), terms }
        }),
      )
      for (const { terms } of questions)
        await ask(chain.wallet(0), { multiverse, uri: 'data:,', ...terms })
      // Everybody has something in a verse, for what comes to be about.
      const first = questions[0]!.id
      for (const owner of OWNERS)
        await pushDown(chain.wallet(owner), {
          multiverse,
          path: [],
          question: first,
          token,
          amount: 100_000n,
        })
      for (const each of moves) {
        const wallet = chain.wallet(each.owner)
        const question = questions[each.question]!.id
        const answers = each.path.flatMap((outcome, index) =>
          outcome === null ? [] : [{ question: questions[index]!.id, outcome }],
        )
        const path = canonicalPath(answers.filter((answer) => answer.question !== question))
        const { amount, survivors } = each
        const act = {
          push: () => pushDown(wallet, { multiverse, path, question, token, amount }),
          pull: () => pullUp(wallet, { multiverse, path, question, token, amount }),
          transfer: () =>
            transfer(wallet, {
              multiverse,
              to: chain.accounts[1]!.address,
              id: positionId(verseId([...path, { question, outcome: 0 }].slice(-1)), token),
              amount,
            }),
          narrow: () => narrow(chain.wallet(0), { multiverse, question, survivors }),
        }[each.kind]
        // What the ledger refuses leaves no event; that is part of the history too.
        try {
          await act()
          if (path.length > 0 && each.kind !== 'narrow') nested++
        } catch (error) {
          if (!(error instanceof MultiverseError) || error.code === 'RPC_FAILED') throw error
        }
      }

      const ledger = { client: chain.publicClient, deployment: chain.deployment }
      const universe = createUniverse(await readHistory(ledger))
      const [root, ...verses] = drawTree(universe)
      expect(verseId(root!.path)).toBe(root!.verse)
      for (const { verse, path } of verses) {
        const balances = await Promise.all(OWNERS.map((index) => balanceOf(verse, index)))
        const held = balances.reduce((sum, balance) => sum + balance, 0n)
        expect(universe.supply(verse).reduce((sum, { amount }) => sum + amount, 0n)).toBe(held)
        expect(universe.state(path)).toBe(await verseState(ledger, path))
      }
      const locked = await getBalance(chain.publicClient, {
        multiverse,
        verse: root!.verse,
        token,
        owner: multiverse,
      })
      expect(universe.supply(root!.verse)[0]?.amount ?? 0n).toBe(locked)

      // Every verse that holds something is drawn, once in full, below one that is drawn.
      const full = verses.filter(({ isRepeated }) => !isRepeated)
      expect(new Set(full.map(({ verse }) => verse)).size).toBe(full.length)
      for (const { opened } of verses)
        expect([root!, ...full].map(({ verse }) => verse)).toContain(opened!.parent)
    }),
    // Every run takes seconds, and shrinking many.
    { numRuns: 4, endOnFailure: true },
  )
  expect(nested).toBeGreaterThan(0)
})

const balanceOf = (verse: `0x${string}`, index: number): Promise<bigint> => {
  const { multiverse, token } = chain.deployment.addresses
  const owner: Address = chain.accounts[index]!.address
  return getBalance(chain.publicClient, { multiverse, verse, token, owner })
}

test('a verse is alive while all its answers may come, and came true when no others can', () => {
  expect(stateOf([])).toBe('came-true')
  expect(stateOf([{ live: 0b111n, own: 0b001n }])).toBe('alive')
  expect(stateOf([{ live: 0b001n, own: 0b001n }])).toBe('came-true')
  expect(
    stateOf([
      { live: 0b001n, own: 0b001n },
      { live: 0b110n, own: 0b010n },
    ]),
  ).toBe('alive')
  expect(
    stateOf([
      { live: 0b001n, own: 0b001n },
      { live: 0b110n, own: 0b001n },
    ]),
  ).toBe('evaporated')
})
