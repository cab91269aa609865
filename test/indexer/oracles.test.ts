import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type Abi, maxUint256 } from 'viem'
import { multiverseAbi, optimisticOracleAbi } from '../../sdk/abi.ts'
import { approve, ask, mint } from '../../sdk/actions.ts'
import { questionId } from '../../sdk/ids.ts'
import { encodeTerms } from '../../sdk/terms.ts'
import { type LocalChain, reorg, startChain } from '../helpers/chain.ts'
import {
  createDataFolder,
  type Folder,
  type Service,
  startAnalytics,
  startPonder,
  until,
} from './services.ts'

vi.setConfig({ testTimeout: 180_000 })

// A game of three answers with an arbitrator, through ponder and the mirror, and a reorganisation that takes the last away.

let chain: LocalChain
let folder: Folder
let ponder: Service
let analytics: Service

beforeAll(async () => {
  chain = await startChain({ withOracles: true })
  folder = await createDataFolder(chain.deployment)
  ponder = await startPonder(folder.path, chain.url)
  analytics = await startAnalytics(folder.path, { rpcUrl: chain.url, indexerUrl: ponder.url })
  await Promise.all([ponder.ready(), analytics.ready()])
}, 180_000)

afterAll(async () => {
  await analytics?.stop()
  await ponder?.stop()
  await chain?.stop()
  await folder?.remove()
})

const gameAbi: Abi = optimisticOracleAbi
const ALICE = 0
const BOB = 1
const JUDGE = 2

async function rows<T>(sql: string): Promise<T[]> {
  const response = await fetch(`${analytics.url}/sql`, {
    method: 'POST',
    body: JSON.stringify({ sql }),
    headers: { 'content-type': 'application/json' },
  })
  const body = (await response.json()) as { rows: unknown[][]; columns: { name: string }[] }
  if (!response.ok) throw new Error(JSON.stringify(body))
  return body.rows.map(
    (row) => Object.fromEntries(row.map((value, at) => [body.columns[at]!.name, value])) as T,
  )
}

const moves = (question: string) =>
  rows<{ move: string; round: string | null; outcome: number | null; bond: string | null }>(
    `SELECT move, round, outcome, bond::VARCHAR AS bond, is_right, oracle_kind, account FROM oracle_moves WHERE question = '${question}'`,
  )

test('one row a move, in ponder and in the mirror, also after a reorganisation', async () => {
  const { multiverse, token, optimisticOracle } = chain.deployment.addresses
  const { timestamp } = await chain.publicClient.getBlock()
  const { terms, termsHash } = encodeTerms('optimistic', {
    bondToken: token,
    minimumBond: 5n,
    opens: 0n,
    liveness: 100,
    arbitrator: chain.accounts[JUDGE]!.address,
    arbitrationWindow: 50,
  })
  const asked = {
    oracle: optimisticOracle!,
    outcomes: 3,
    deadline: timestamp + 10_000n,
    specHash: `0x${'12'.repeat(32)}` as const,
    termsHash,
  }
  const question = questionId(asked)
  await ask(chain.wallet(ALICE), { multiverse, uri: '', ...asked })
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
  const evidence = `0x${'34'.repeat(32)}`
  await call(ALICE, 'propose', [{ outcomes, deadline, specHash }, terms, 0, evidence, 5n])
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
  await until('the game is mirrored', async () => (await moves(question)).length === 3)
  const numbers = (found: Awaited<ReturnType<typeof moves>>) =>
    found.map((move) => ({ ...move, round: move.round === null ? null : Number(move.round) }))
  expect(numbers(await moves(question))).toEqual([
    first,
    second,
    given('dispute', 2, 0, '20', ALICE),
  ])

  await reorg(chain, 1)
  await chain.testClient.mine({ blocks: 2 })
  await until('the last answer is gone', async () => (await moves(question)).length === 2)
  expect(numbers(await moves(question))).toEqual([first, second])

  await call(ALICE, 'requestArbitration', [question])
  await call(JUDGE, 'rule', [question, 0])
  await call(ALICE, 'settle', [{ outcomes, deadline, specHash }, terms, '0x'])
  await call(ALICE, 'claim', [question, chain.accounts[ALICE]!.address])
  await until('the claim is mirrored', async () => {
    const [game] = await rows<{ claimed: string }>(
      `SELECT claimed::VARCHAR AS claimed FROM oracle_games WHERE question = '${question}'`,
    )
    return game?.claimed === '15'
  })
  const [approval] = await rows<{ amount: string }>(
    'SELECT amount::VARCHAR AS amount FROM approvals',
  )
  expect(approval).toEqual({ amount: `${maxUint256}` })
  const whole = await moves(question)
  expect(whole.map(({ move, outcome }) => [move, outcome])).toEqual([
    ['proposal', 0],
    ['dispute', 1],
    ['arbitration', null],
    ['ruling', 0],
    ['settlement', 0],
  ])
  const [game] = await rows<Record<string, unknown>>(
    `SELECT answers, disputes, pot::VARCHAR AS pot, standing_outcome, ruling, winner FROM oracle_games`,
  )
  expect(game).toMatchObject({
    pot: '15',
    standing_outcome: 1,
    ruling: 0,
    winner: 0,
  })
  expect([Number(game!['answers']), Number(game!['disputes'])]).toEqual([2, 1])
  const [kind] = await rows<Record<string, unknown>>('SELECT * FROM oracle_kinds')
  expect(kind).toMatchObject({ oracle_kind: 'optimistic' })
  expect([kind!['questions'], kind!['answered'], kind!['disputes']].map(Number)).toEqual([1, 1, 1])

  const response = await fetch(`${ponder.url}/graphql`, {
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
})
