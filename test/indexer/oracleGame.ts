import { expect } from 'vitest'
import { type Abi, type Hex, maxUint256, zeroHash } from 'viem'
import { multiverseAbi, optimisticOracleAbi } from '../../sdk/abi.ts'
import { approve, ask, mint } from '../../sdk/actions.ts'
import { questionId } from '../../sdk/ids.ts'
import { encodeTerms, oracleAddress, type OracleKind, type OracleTerms } from '../../sdk/terms.ts'
import { until } from './services.ts'
import type { Stage } from './stage.ts'

// Questions of the project's oracles on a stage that has them.

const gameAbi: Abi = optimisticOracleAbi
const ALICE = 0
const BOB = 1
const JUDGE = 2

type Row = Record<string, unknown>

/** The rows of a query, by their columns' names. */
async function rows(stage: Stage, sql: string): Promise<Row[]> {
  const { columns, rows: found } = await stage.api.sql(sql)
  return found.map((row) => Object.fromEntries(columns.map(({ name }, at) => [name, row[at]])))
}

/** Asks a question of an oracle's. */
async function askOf<K extends OracleKind>(
  { chain }: Stage,
  kind: K,
  outcomes: number,
  parameters: OracleTerms[K],
) {
  const { timestamp } = await chain.publicClient.getBlock()
  const { terms, termsHash } = encodeTerms(kind, parameters)
  const asked = {
    oracle: oracleAddress(chain.deployment, kind)!,
    outcomes,
    deadline: timestamp + 1_000_000n,
    specHash: `0x${'12'.repeat(32)}` as const,
    termsHash,
  }
  const { multiverse } = chain.deployment.addresses
  await ask(chain.wallet(ALICE), { multiverse, uri: '', ...asked })
  return { ...asked, terms, question: questionId(asked) }
}

/** Questions that a feed, a committee and reality.eth are to answer. */
export async function askOthers(stage: Stage): Promise<void> {
  const nobody: Hex = `0x${'77'.repeat(20)}`
  const members = [stage.chain.accounts[ALICE]!.address]
  await askOf(stage, 'price', 3, {
    feed: nobody,
    phase: 1,
    time: 2n ** 33n,
    maxDelay: 60,
    thresholds: [100n],
  })
  await askOf(stage, 'committee', 2, { members, threshold: 1n })
  await askOf(stage, 'reality', 2, {
    reality: nobody,
    realityQuestion: zeroHash,
    contentHash: zeroHash,
    arbitrator: nobody,
    timeout: 60,
    minBond: 1n,
  })
}

/**
 * Plays a game of three answers with an arbitrator, and a reorganisation that takes the last away: one row a move, in the
 * indexer and in DuckDB.
 */
export async function playGame(stage: Stage): Promise<void> {
  const { chain } = stage
  const { multiverse, token, optimisticOracle } = chain.deployment.addresses
  const asked = await askOf(stage, 'optimistic', 3, {
    bondToken: token,
    minimumBond: 5n,
    opens: 0n,
    liveness: 100,
    arbitrator: chain.accounts[JUDGE]!.address,
    arbitrationWindow: 50,
  })
  const { question, terms } = asked
  const moves = () =>
    rows(
      stage,
      `SELECT move, round::INT AS round, outcome, bond::VARCHAR AS bond, is_right, oracle_kind, account
       FROM oracle_moves WHERE question = '${question}'`,
    )
  const call = async (from: number, functionName: string, args: readonly unknown[]) => {
    const hash = await chain.wallet(from).writeContract({
      address: optimisticOracle!,
      abi: gameAbi,
      functionName,
      args,
    })
    await chain.publicClient.waitForTransactionReceipt({ hash })
  }
  for (const from of [ALICE, BOB]) {
    await mint(chain.wallet(from), { token, to: chain.accounts[from]!.address, amount: 1_000n })
    await approve(chain.wallet(from), { token, spender: optimisticOracle!, amount: 1_000n })
  }
  // An allowance may be more than any amount: it is mirrored all the same.
  const allowed = await chain.wallet(ALICE).writeContract({
    address: multiverse,
    abi: multiverseAbi,
    functionName: 'approve',
    args: [chain.accounts[BOB]!.address, 1n, maxUint256],
  })
  await chain.publicClient.waitForTransactionReceipt({ hash: allowed })

  const { outcomes, deadline, specHash } = asked
  const key = { outcomes, deadline, specHash }
  const evidence = `0x${'34'.repeat(32)}`
  await call(ALICE, 'propose', [key, terms, 0, evidence, 5n])
  await call(BOB, 'dispute', [question, 1, evidence, 10n])
  await call(ALICE, 'dispute', [question, 0, evidence, 20n])
  const given = (move: string, round: number, outcome: number, bond: string, from: number) => ({
    move,
    round,
    outcome,
    bond,
    is_right: null,
    oracle_kind: 'optimistic',
    account: chain.accounts[from]!.address.toLowerCase(),
  })
  const first = given('proposal', 0, 0, '5', ALICE)
  const second = given('dispute', 1, 1, '10', BOB)
  await until('the game is mirrored', async () => (await moves()).length === 3)
  expect(await moves()).toEqual([first, second, given('dispute', 2, 0, '20', ALICE)])

  await stage.reorg(1)
  await chain.testClient.mine({ blocks: 2 })
  await until('the last answer is gone', async () => (await moves()).length === 2)
  expect(await moves()).toEqual([first, second])

  await call(ALICE, 'requestArbitration', [question])
  await call(JUDGE, 'rule', [question, 0])
  await call(ALICE, 'settle', [key, terms, '0x'])
  await call(ALICE, 'claim', [question, chain.accounts[ALICE]!.address])
  await stage.level()
  expect(await rows(stage, 'SELECT amount::VARCHAR AS amount FROM approvals')).toEqual([
    { amount: `${maxUint256}` },
  ])
  expect((await moves()).map(({ move, outcome }) => [move, outcome])).toEqual([
    ['proposal', 0],
    ['dispute', 1],
    ['arbitration', null],
    ['ruling', 0],
    ['settlement', 0],
  ])
  const [game] = await rows(
    stage,
    `SELECT answers::INT AS answers, disputes::INT AS disputes, pot::VARCHAR AS pot, claimed::VARCHAR AS claimed,
       standing_outcome, ruling, winner FROM oracle_games WHERE question = '${question}'`,
  )
  expect(game).toEqual({
    answers: 2,
    disputes: 1,
    pot: '15',
    claimed: '15',
    standing_outcome: 1,
    ruling: 0,
    winner: 0,
  })
  const [kind] = await rows(stage, "FROM oracle_kinds WHERE oracle_kind = 'optimistic'")
  expect([kind!['questions'], kind!['answered'], kind!['disputes']].map(Number)).toEqual([1, 1, 1])

  const response = await fetch(`${stage.ponder.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      query: `{ question(id: "${question}") { gameAnswers(orderBy: "eventId") { items { outcome bond } } }
        bondClaims { items { amount } } arbitratorRulings { items { outcome } } }`,
    }),
  })
  expect(await response.json()).toEqual({
    data: {
      question: {
        gameAnswers: {
          items: [
            { outcome: 0, bond: '5' },
            { outcome: 1, bond: '10' },
          ],
        },
      },
      bondClaims: { items: [{ amount: '15' }] },
      arbitratorRulings: { items: [{ outcome: 0 }] },
    },
  })
}
