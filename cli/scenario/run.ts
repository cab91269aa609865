import { setTimeout as sleep } from 'node:timers/promises'
import { type Address, type Hex, parseEther, zeroHash } from 'viem'
import { getBlock } from 'viem/actions'
import {
  approve,
  ask,
  getBalance,
  getLive,
  mint,
  pullUp,
  pushDown,
  transfer,
  type WriteClient,
} from '../../sdk/actions.ts'
import type { Language } from '../../providers/scenarios/scenario.ts'
import type { Deployment } from '../../sdk/deployment.ts'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import { childPaths, positionId, questionId, ROOT, verseId } from '../../sdk/ids.ts'
import { parseSpec, type Spec, specDataUri } from '../../sdk/spec.ts'
import { answerThrough } from '../answer.ts'
import { type Ledger, reports } from '../ledger.ts'
import type { KeeperApi, PartitionView } from '../services.ts'
import { type LocalName, localAccount } from '../wallets.ts'
import { OUTCOMES, type Outcome, pigouSpec } from './spec.ts'

/** The wallets of the scenario: what each is given, and how much of it it pushes down. */
export const ACTORS = [
  { name: 'alice', minted: parseEther('1000'), pushed: parseEther('600') },
  { name: 'bob', minted: parseEther('500'), pushed: parseEther('300.000000000000000001') },
  { name: 'carol', minted: parseEther('250'), pushed: parseEther('42.5') },
] as const satisfies { name: LocalName; minted: bigint; pushed: bigint }[]
export type Actor = (typeof ACTORS)[number]['name']

/** Who gives how much to whom, in which verse. */
const TRADES: { from: Actor; to: Actor; outcome: Outcome; amount: bigint }[] = [
  { from: 'alice', to: 'bob', outcome: 'nash', amount: parseEther('150') },
  { from: 'bob', to: 'alice', outcome: 'optimal', amount: parseEther('75.25') },
  { from: 'bob', to: 'carol', outcome: 'chaos', amount: parseEther('300.000000000000000001') },
  { from: 'carol', to: 'alice', outcome: 'void', amount: 1n },
  { from: 'carol', to: 'bob', outcome: 'nash', amount: parseEther('42.5') },
]

/** What every owner has: of the ERC-20, and in each verse of the partition by outcome. Wei. */
export type Books = Record<Actor, { root: bigint; verses: bigint[] }>

/** What happened, as it was seen while it happened. */
export type ScenarioRun = {
  degree: number
  outcome: Outcome
  question: Hex
  children: Hex[]
  partition: PartitionView
  /** Balances before anything was pushed down, just before the answer, and after everything was pulled up. */
  before: Books
  traded: Books
  after: Books
  /** Mask of the outcomes possible just before the answer. */
  live: bigint
  reportTx: Hex
  answerTx: Hex
  /** The last block the scenario wrote to. */
  block: number
  /** From the first push-down being sent to its report being seen on the chain, milliseconds. */
  reportMs: number
}

export type ScenarioDeps = {
  ledger: Ledger
  wallet: (name: LocalName) => WriteClient
  keeper: KeeperApi
  say: (line: string) => void
  signal: AbortSignal
}

const WEEK_S = 604_800n
const REPORT_MS = 120_000

/**
 * Plays the default scenario once, with a question of its own: three wallets push down, trade, the keeper reports and
 * answers with `outcome`, and everybody pulls up what came true.
 * @throws NOT_REPORTED, NOT_ANSWERED, PARTITION_FAILED and whatever the chain refuses
 */
export async function runScenario(
  deps: ScenarioDeps,
  { degree, outcome, language }: { degree: number; outcome: Outcome; language?: Language },
): Promise<ScenarioRun> {
  const { ledger, wallet, say, signal } = deps
  const { multiverse, token } = requireToken(ledger.deployment)
  const winner = OUTCOMES.indexOf(outcome)
  const wallets = new Map(ACTORS.map(({ name }) => [name, wallet(name)]))
  const of = (name: Actor) => wallets.get(name)!

  const question = await askQuestion(deps, pigouSpec({ degree, language }))
  const children = childPaths([], question).map((path) => verseId(path))
  say(`asked ${question}`)
  await Promise.all(
    ACTORS.map(async ({ name, minted, pushed }) => {
      await mint(of(name), { token, to: of(name).account.address, amount: minted })
      await approve(of(name), { token, spender: multiverse, amount: pushed })
    }),
  )
  const before = await readBooks(ledger, token, children)
  signal.throwIfAborted()

  const begun = performance.now()
  const reported = awaitReport(deps, question).then((reportTx) => ({
    reportTx,
    reportMs: performance.now() - begun,
  }))
  await Promise.all([
    reported,
    ...ACTORS.map(({ name, pushed }) =>
      pushDown(of(name), { multiverse, path: [], question, token, amount: pushed }),
    ),
  ])
  const { reportTx, reportMs } = await reported
  say(`pushed down, ran the worlds and reported in ${Math.round(reportMs)} ms`)

  for (const { from, to, outcome: verse, amount } of TRADES) {
    const id = positionId(children[OUTCOMES.indexOf(verse)]!, token)
    await transfer(of(from), { multiverse, to: of(to).account.address, id, amount })
  }
  const traded = await readBooks(ledger, token, children)
  const live = await getLive(ledger.client, { multiverse, question })
  const partition = await viewPartition(deps, question)
  signal.throwIfAborted()

  const { tx: answerTx } = await answerThrough(deps.keeper, ledger, question, winner)
  say(`answered: ${outcome}`)
  const redeemed = await Promise.all(
    ACTORS.map(async ({ name }) => {
      const amount = traded[name].verses[winner]!
      if (amount === 0n) return 0
      const { receipt } = await pullUp(of(name), {
        multiverse,
        path: [],
        question,
        token,
        amount,
      })
      return Number(receipt.blockNumber)
    }),
  )
  return {
    degree,
    outcome,
    question,
    children,
    partition,
    before,
    traded,
    after: await readBooks(ledger, token, children),
    live,
    reportTx,
    answerTx,
    block: Math.max(...redeemed),
    reportMs,
  }
}

/** What every owner should have in the end, from what was given, pushed and traded alone. */
export function expectedAfter(before: Books, outcome: Outcome): Books {
  const winner = OUTCOMES.indexOf(outcome)
  const books = Object.fromEntries(
    ACTORS.map(({ name, pushed }) => {
      const verses = OUTCOMES.map((verse, index) =>
        TRADES.filter((trade) => trade.outcome === verse).reduce(
          (amount, { from, to, amount: moved }) =>
            amount + (to === name ? moved : 0n) - (from === name ? moved : 0n),
          before[name].verses[index]! + pushed,
        ),
      )
      const root = before[name].root - pushed + verses[winner]!
      return [name, { root, verses: verses.with(winner, 0n) }]
    }),
  )
  return books as Books
}

/** Everything the owners hold together in the combination that came true. */
export function total(books: Books, winner: number): bigint {
  return Object.values(books).reduce(
    (sum, { root, verses }) => sum + root + (verses[winner] ?? 0n),
    0n,
  )
}

/** The ledger's and the demo token's addresses. @throws NO_TOKEN */
function requireToken({ addresses, chainId }: Deployment) {
  const { multiverse, token } = addresses
  if (token === undefined)
    throw new MultiverseError('NO_TOKEN', `no demo token is deployed on chain ${chainId}`)
  return { multiverse, token }
}

async function askQuestion({ ledger, wallet }: ScenarioDeps, spec: Spec): Promise<Hex> {
  const json = JSON.stringify(spec)
  const { labels, specHash } = parseSpec(json)
  const { timestamp, number } = await getBlock(ledger.client)
  const terms = {
    oracle: localAccount('keeper').address,
    outcomes: labels.length,
    // Each run has a question of its own: a local chain's time may stand still from block to block, its height does not.
    deadline: timestamp + WEEK_S + number,
    specHash,
    termsHash: zeroHash,
  }
  const { multiverse } = ledger.deployment.addresses
  await ask(wallet('deployer'), { multiverse, uri: specDataUri(json), ...terms })
  return questionId(terms)
}

async function readBooks(
  { client, deployment }: Ledger,
  token: Address,
  children: readonly Hex[],
): Promise<Books> {
  const { multiverse } = deployment.addresses
  const books = await Promise.all(
    ACTORS.map(async ({ name }) => {
      const owner = localAccount(name).address
      const [root, ...verses] = await Promise.all(
        [ROOT, ...children].map((verse) => getBalance(client, { multiverse, verse, token, owner })),
      )
      return [name, { root: root!, verses }] as const
    }),
  )
  return Object.fromEntries(books) as Books
}

/** Waits for the keeper's report on the chain, through restarts of the keeper. */
async function awaitReport({ ledger, keeper, signal }: ScenarioDeps, question: Hex): Promise<Hex> {
  const key = { keeper: localAccount('keeper').address, parent: ROOT, question }
  const deadline = Date.now() + REPORT_MS
  for (;;) {
    const [report] = await reports(ledger, key)
    if (report !== undefined) return report.transactionHash
    if (Date.now() > deadline) {
      const view = await partitionOf(keeper, question)
      throw new MultiverseError(
        view?.error?.code ?? 'NOT_REPORTED',
        view?.error?.message ?? `no report on question ${question} within two minutes`,
      )
    }
    await sleep(10, undefined, { signal })
  }
}

/** What the keeper says about the partition, once it knows that its report is mined. */
async function viewPartition({ keeper, signal }: ScenarioDeps, question: Hex) {
  const deadline = Date.now() + REPORT_MS
  for (;;) {
    const view = await partitionOf(keeper, question)
    if (view !== undefined && view.state !== 'running') return view
    if (Date.now() > deadline)
      throw new MultiverseError('NOT_REPORTED', `the keeper does not know question ${question}`)
    await sleep(10, undefined, { signal })
  }
}

async function partitionOf(keeper: KeeperApi, question: Hex): Promise<PartitionView | undefined> {
  try {
    return await keeper.partition(ROOT, question)
  } catch (error) {
    // It may be being started again.
    if (isMultiverseError(error, 'NO_KEEPER')) return undefined
    throw error
  }
}
