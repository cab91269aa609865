import { setTimeout as sleep } from 'node:timers/promises'
import { type Address, formatUnits, zeroHash } from 'viem'
import { getContractEvents, readContract } from 'viem/actions'
import { z } from 'zod'
import { multiverseAbi, worldsAbi } from '../../sdk/abi.ts'
import { contractError } from '../../sdk/actions.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import { gf3 } from '../../sdk/gf3.ts'
import { positionId, ROOT } from '../../sdk/ids.ts'
import { costWev, WAD } from '../../sdk/wev.ts'
import { createCatalog } from '../catalog.ts'
import { type Ledger, reports, resolutions } from '../ledger.ts'
import type { AnalyticsApi } from '../services.ts'
import { localAccount } from '../wallets.ts'
import { ACTORS, type Books, expectedAfter, type ScenarioRun, total } from './run.ts'
import { OUTCOMES } from './spec.ts'
import { costOf, measureWev } from './summary.ts'

/** One claim about a run; `problem` names what did not hold. */
export type Check = { name: string; problem: string | null }

type Deps = { ledger: Ledger; analytics: AnalyticsApi; signal: AbortSignal }

/** Exact numbers travel as strings. */
const balanceRows = z.array(z.tuple([z.string(), z.string(), z.string()]))
const wevRows = z.array(z.tuple([z.string(), z.string()]))

const MIRROR_MS = 120_000
const TOLERANCE = 1e-6

/**
 * Everything the scenario claims, looked up again where it should stand: on the chain, in DuckDB, and in the closed form
 * that the worlds know nothing of.
 */
export async function checkRun(run: ScenarioRun, deps: Deps): Promise<Check[]> {
  const winner = OUTCOMES.indexOf(run.outcome)
  await mirrored(run.block, deps)
  return [
    equal('the books balance to the wei', total(run.before, winner), total(run.after, winner)),
    checkBooks(run),
    checkTrits(run),
    checkAnarchy(run),
    await checkReport(run, deps),
    await checkAnswer(run, deps),
    await checkMirror(deps),
    await checkMirroredWev(run, deps),
  ]
}

/** Total cost at the optimum of Pigou's network with latency x^d; at equilibrium it is 1. */
export function closedFormOptimum(degree: number): number {
  return 1 - degree * (degree + 1) ** (-(degree + 1) / degree)
}

function checkBooks(run: ScenarioRun): Check {
  const expected = expectedAfter(run.before, run.outcome)
  const wrong = ACTORS.flatMap(({ name }) => {
    const [is, should] = [flat(run.after, name), flat(expected, name)]
    return is.flatMap((amount, index) =>
      amount === should[index]
        ? []
        : [`${name} has ${amount} in ${['root', ...OUTCOMES][index]}, not ${should[index]}`],
    )
  })
  return check('every owner has what push-down, trades and pull-up leave', wrong)
}

function flat(books: Books, name: keyof Books): bigint[] {
  return [books[name].root, ...books[name].verses]
}

function checkTrits({ partition }: ScenarioRun): Check {
  const { sum, conserved } = gf3(partition.worlds.map(({ trit }) => trit))
  const open = partition.worlds.filter(({ lane }) => !lane.conserved || lane.providers.length === 0)
  return check('GF(3) is conserved', [
    ...(conserved ? [] : [`the verses' trits sum to ${sum}`]),
    ...open.map(({ name, lane }) => `the providers of lane ${name} sum to ${lane.sum}`),
  ])
}

/** The measured price of anarchy against the closed form, and chaos no better than the optimum. */
function checkAnarchy({ partition, degree }: ScenarioRun): Check {
  const [nash, optimal, chaos] = ['nash', 'optimal', 'chaos'].map((name) => costOf(partition, name))
  const name = `the price of anarchy is the closed form of degree ${degree}`
  if (nash === undefined || optimal === undefined || chaos === undefined)
    return check(name, ['a world reported no cost'])
  const { priceOfAnarchy } = costWev(nash, optimal)
  const measured = Number(formatUnits(priceOfAnarchy ?? 0n, 18))
  const expected = 1 / closedFormOptimum(degree)
  return check(name, [
    ...(Math.abs(measured - expected) < TOLERANCE ? [] : [`${measured} is not ${expected}`]),
    ...(chaos >= optimal ? [] : [`chaos cost ${chaos}, less than the optimum ${optimal}`]),
  ])
}

/** One report of the partition on the chain, and the notebook says what the keeper said. */
async function checkReport({ partition, children, question, reportTx }: ScenarioRun, deps: Deps) {
  const { client, deployment } = deps.ledger
  const keeper = localAccount('keeper').address
  const found = await reports(deps.ledger, { keeper, parent: ROOT, question })
  const problems = found.length === 1 ? [] : [`${found.length} reports instead of one`]
  if (found[0]?.transactionHash !== reportTx) problems.push(`the report is not ${reportTx}`)
  const worlds = await Promise.all(
    children.map((verse) =>
      readContract(client, {
        address: deployment.addresses.worlds,
        abi: worldsAbi,
        functionName: 'world',
        args: [keeper, verse],
      }),
    ),
  ).catch((error: unknown) => {
    throw contractError(error)
  })
  const certain = worlds.reduce((sum, { probability }) => sum + probability, 0n)
  if (certain !== WAD) problems.push(`probabilities sum to ${certain}`)
  for (const [outcome, world] of worlds.entries()) {
    const said = partition.worlds.find((each) => each.outcome === outcome)
    const same =
      world.stateRoot === (said?.stateRoot ?? zeroHash) &&
      world.cost === BigInt(said?.cost ?? 0) &&
      world.trit === (said?.trit ?? 0) &&
      `${world.probability}` === partition.probabilities[outcome]
    if (!same) problems.push(`the world of ${OUTCOMES[outcome]} is not the one reported`)
  }
  for (const { name, isVerified } of partition.worlds)
    if (!isVerified) problems.push(`the world of ${name} was not verified`)
  const roots = new Set(partition.worlds.map(({ stateRoot }) => stateRoot))
  if (roots.size !== OUTCOMES.length - 1) problems.push('two worlds ended in one state')
  return check('the worlds stand on the chain, in exactly one report', problems)
}

async function checkAnswer({ question, outcome, answerTx }: ScenarioRun, { ledger }: Deps) {
  const found = await resolutions(ledger, question)
  const [answer] = found
  return check('the question has exactly one answer on the chain', [
    ...(found.length === 1 ? [] : [`${found.length} answers`]),
    ...(answer?.args.outcome === OUTCOMES.indexOf(outcome) ? [] : ['another outcome won']),
    ...(answer?.transactionHash === answerTx ? [] : [`the answer is not ${answerTx}`]),
  ])
}

/**
 * DuckDB's balances and the contract's, of every owner anybody ever transferred to and every position there ever was.
 * The owners and positions come from the chain, so that a row missing in DuckDB is noticed.
 */
async function checkMirror({ ledger, analytics }: Deps): Promise<Check> {
  const { client, deployment } = ledger
  const { multiverse } = deployment.addresses
  const { rows } = await analytics.sql('SELECT owner, position, amount FROM balances')
  const mirror = new Map(
    balanceRows
      .parse(rows)
      .map(([owner, position, amount]) => [
        `${owner.toLowerCase()} ${BigInt(position)}`,
        BigInt(amount),
      ]),
  )
  const verses = await createCatalog(client, deployment).verses()
  const ids = verses.map(({ verse, token }) => positionId(verse, token))
  const owners = await everyOwner(ledger)
  const differences = await Promise.all(
    owners.flatMap((owner) =>
      ids.map(async (id) => {
        const args = [owner, id] as const
        const call = {
          address: multiverse,
          abi: multiverseAbi,
          functionName: 'balanceOf',
          args,
        } as const
        const onChain = await readContract(client, call)
        const key = `${owner.toLowerCase()} ${id}`
        const mirrored = mirror.get(key) ?? 0n
        mirror.delete(key)
        return onChain === mirrored
          ? []
          : [`${key}: ${mirrored} in DuckDB, ${onChain} on the chain`]
      }),
    ),
  )
  const strangers = [...mirror]
    .filter(([, amount]) => amount !== 0n)
    .map(([key]) => `${key} is not on the chain`)
  return check(`DuckDB has the contract's ${owners.length * ids.length} balances`, [
    ...differences.flat(),
    ...strangers,
    ...(ids.length === 0 ? ['there are no positions'] : []),
  ])
}

/** Everybody who ever received a position. */
async function everyOwner({ client, deployment }: Ledger): Promise<Address[]> {
  const logs = await getContractEvents(client, {
    address: deployment.addresses.multiverse,
    abi: multiverseAbi,
    eventName: 'Transfer',
    fromBlock: BigInt(deployment.startBlock),
    strict: true,
  })
  return [...new Set(logs.map(({ args }) => args.receiver))].filter((owner) => BigInt(owner) !== 0n)
}

/** What DuckDB makes of the answer against what the balances before it gave. */
async function checkMirroredWev(run: ScenarioRun, { analytics }: Deps): Promise<Check> {
  const { rows } = await analytics.sql(
    `SELECT wev_nominal, wev_realized FROM wev_exact WHERE question = '${run.question}'`,
  )
  const { nominal, realized } = measureWev(run)
  const [mirrored] = wevRows
    .parse(rows)
    .map((row) => row.map((cell) => formatUnits(BigInt(cell), 18)))
  const same = rows.length === 1 && mirrored?.[0] === nominal && mirrored[1] === realized
  return check(
    'DuckDB has the same extractable value',
    same ? [] : [`${mirrored?.join(', ') ?? 'none'} instead of ${nominal}, ${realized}`],
  )
}

/** Waits until DuckDB has everything up to a block. */
async function mirrored(block: number, { analytics, signal }: Deps): Promise<void> {
  const deadline = Date.now() + MIRROR_MS
  for (;;) {
    const status = await analytics.status()
    if ((status.block?.number ?? -1) >= block) return
    if (Date.now() > deadline)
      throw new MultiverseError(
        'NOT_MIRRORED',
        `DuckDB is at block ${status.block?.number ?? 'none'}, not at ${block}`,
      )
    await sleep(50, undefined, { signal })
  }
}

function check(name: string, problems: readonly string[]): Check {
  return { name, problem: problems[0] ?? null }
}

function equal(name: string, left: bigint, right: bigint): Check {
  return check(name, left === right ? [] : [`${left} is not ${right}`])
}
