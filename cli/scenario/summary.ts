import { type Address, formatUnits, type Hex } from 'viem'
import { gf3 } from '../../sdk/gf3.ts'
import { ROOT } from '../../sdk/ids.ts'
import { costWev, exposure, type Holding, wevNominal } from '../../sdk/wev.ts'
import { table } from '../output.ts'
import type { PartitionView } from '../services.ts'
import { ACTORS, type Actor, type Books, type ScenarioRun, total } from './run.ts'
import { OUTCOMES } from './spec.ts'

/** Balances by owner: of the ERC-20 (`root`) and in each verse, in tokens. */
type BookView = Record<Actor, Record<'root' | (typeof OUTCOMES)[number], string>>

/** What one run of the default scenario came to. Amounts, costs and probabilities are exact decimal strings. */
export type Summary = {
  /** Whether everything that is claimed here was checked and held. */
  ok: boolean
  chainId: number
  multiverse: Address
  partition: { parent: Hex; question: Hex; children: Hex[] }
  worlds: {
    verse: Hex
    name: string
    trit: number
    provider: string | null
    stateRoot: Hex | null
    cost: string | null
  }[]
  /** By outcome, void last. */
  probabilities: string[]
  /** The keeper's advisory choice; null when it had none. */
  winner: string | null
  /** What came true. */
  outcome: string
  /** `ratio` is null when the optimum costs nothing. */
  wev: { ratio: string | null; abs: string; nominal: string; realized: string }
  /** Of the providers that the keeper's journal says succeeded, verse by verse; `sum` is that of all lanes. */
  gf3: {
    sum: number
    conserved: boolean
    lanes: { verse: Hex; providers: string[]; sum: number; conserved: boolean }[]
  }
  balances: { before: BookView; after: BookView }
  conserved: boolean
  timings: Timings
}

/** Milliseconds, measured by the program itself. */
export type Timings = {
  /** What the bootstrap took before this program began. */
  bootstrapMs: number
  deployMs: number
  /** Snapshot of the parent's world and three branches of it. */
  branchMs: number
  executeMs: number
  /** From the push-down being sent to its report being seen on the chain. */
  reportMs: number
  /** From the command being started to the summary. */
  endToEndMs: number
}

/** The summary of a run. `ok` is for the caller to say. */
export function summarize(
  run: ScenarioRun,
  stack: { chainId: number; multiverse: Address },
  timings: Timings,
): Omit<Summary, 'ok'> {
  const { partition, outcome, question, children } = run
  const winner = OUTCOMES.indexOf(outcome)
  return {
    chainId: stack.chainId,
    multiverse: stack.multiverse,
    partition: { parent: ROOT, question, children },
    worlds: partition.worlds.map((world) => ({
      verse: world.verseId,
      name: world.name,
      trit: world.trit,
      provider: world.provider,
      stateRoot: world.stateRoot,
      cost: world.cost === null ? null : fixed(BigInt(world.cost)),
    })),
    probabilities: partition.probabilities.map((each) => fixed(BigInt(each))),
    winner: partition.winner === null ? null : (OUTCOMES[partition.winner] ?? null),
    outcome,
    wev: measureWev(run),
    gf3: balance(partition),
    balances: { before: view(run.before), after: view(run.after) },
    conserved: total(run.before, winner) === total(run.after, winner),
    timings,
  }
}

/** Whether each lane's providers close, and the verses' own trits with them. */
function balance({ worlds }: PartitionView): Summary['gf3'] {
  const lanes = worlds.map(({ verseId, lane: { providers, sum, conserved } }) => ({
    verse: verseId,
    providers: providers.toSorted(),
    sum,
    conserved,
  }))
  const own = gf3(worlds.map(({ trit }) => trit))
  return {
    sum: lanes.reduce((total, lane) => total + lane.sum, 0),
    conserved: own.conserved && lanes.every((lane) => lane.conserved),
    lanes,
  }
}

/** The four numbers of world extractable value, from the worlds' costs and the balances just before the answer. */
export function measureWev(run: ScenarioRun): Summary['wev'] {
  const { wevRatio, wevAbs } = costWev(
    costOf(run.partition, 'nash') ?? 0n,
    costOf(run.partition, 'optimal') ?? 0n,
  )
  const holdings = holdingsOf(run)
  const { realized } = exposure(holdings, new Map([[run.question, run.live]]))
  return {
    ratio: wevRatio === null ? null : fixed(wevRatio),
    abs: fixed(wevAbs),
    nominal: fixed(wevNominal(holdings, run.question, OUTCOMES.indexOf(run.outcome))),
    realized: fixed(realized),
  }
}

/** Who held what in the partition just before the answer. */
function holdingsOf({ traded, question }: ScenarioRun): Holding[] {
  return Object.entries(traded).flatMap(([owner, { verses }]) =>
    verses.map((amount, outcome) => ({ owner, path: [{ question, outcome }], amount })),
  )
}

/** A world's reported cost, 18 decimals. */
export function costOf({ worlds }: PartitionView, name: string): bigint | undefined {
  const cost = worlds.find((world) => world.name === name)?.cost
  return cost === undefined || cost === null ? undefined : BigInt(cost)
}

/** The summary for people. */
export function describeSummary(summary: Omit<Summary, 'ok'>, hasTimings = true): string {
  const { wev, timings, balances } = summary
  const owners = ACTORS.map(({ name }) => name)
  const books = (book: BookView) =>
    table(
      owners.map((owner) => [
        owner,
        ...['root', ...OUTCOMES].map((verse) => book[owner][verse as 'root']),
      ]),
      ['', 'root', ...OUTCOMES],
    )
  const worlds = table(
    summary.worlds.map(({ name, trit, provider, cost, stateRoot }, index) => [
      name,
      `${trit}`,
      provider ?? '',
      cost ?? 'failed',
      summary.probabilities[index] ?? '',
      stateRoot?.slice(0, 18) ?? '',
    ]),
    ['world', 'trit', 'provider', 'cost', 'probability', 'state root'],
  )
  return [
    `partition of root by ${summary.partition.question}`,
    worlds,
    '',
    table([
      ['advised', summary.winner ?? 'none'],
      ['came true', summary.outcome],
      [
        'wev',
        `ratio ${wev.ratio ?? 'unbounded'}, absolute ${wev.abs}, nominal ${wev.nominal}, realized ${wev.realized}`,
      ],
      ['gf(3)', `sum ${summary.gf3.sum}, ${summary.gf3.conserved ? 'conserved' : 'not conserved'}`],
      ...summary.gf3.lanes.map(({ providers, sum }, index) => [
        `  ${summary.worlds[index]?.name ?? ''}`,
        `${providers.join(' and ') || 'nobody'}: ${sum}`,
      ]),
    ]),
    '',
    'before the push-downs',
    books(balances.before),
    'after the answer and the pull-ups',
    books(balances.after),
    `the books ${summary.conserved ? 'balance to the wei' : 'do NOT balance'}`,
    ...(hasTimings
      ? [
          '',
          table([
            ['bootstrap', ms(timings.bootstrapMs)],
            ['deploy', ms(timings.deployMs)],
            ['snapshot and branches', ms(timings.branchMs)],
            ['execute', ms(timings.executeMs)],
            ['push-down to report', ms(timings.reportMs)],
            ['in all', ms(timings.endToEndMs)],
          ]),
        ]
      : []),
  ].join('\n')
}

function view(books: Books): BookView {
  return Object.fromEntries(
    Object.entries(books).map(([owner, { root, verses }]) => [
      owner,
      {
        root: fixed(root),
        ...Object.fromEntries(OUTCOMES.map((name, index) => [name, fixed(verses[index] ?? 0n)])),
      },
    ]),
  ) as BookView
}

const fixed = (value: bigint) => formatUnits(value, 18)
const ms = (value: number) => `${Math.round(value * 10) / 10} ms`
