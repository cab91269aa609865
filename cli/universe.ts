import type { Address, Hex } from 'viem'
import type { WorldsLog } from '../sdk/events.ts'
import {
  childPaths,
  fullMask,
  insertAnswer,
  outcomesIn,
  outcomesOf,
  type Path,
  ROOT,
  verseId,
} from '../sdk/ids.ts'
import type { QuestionState, VerseState } from '../sdk/output.ts'
import type { History, ShapingLog } from './history.ts'
import { stateOf } from './ledger.ts'

/** Where something was written down. */
export type Place = { tx: Hex; block: number }

/** A question as the chain tells it. */
export type QuestionFacts = {
  question: Hex
  oracle: Address
  outcomes: number
  /** Unix seconds. */
  deadline: bigint
  specHash: Hex
  termsHash: Hex
  asked: Place
  narrowings: (Place & { survivors: bigint })[]
  /** Null until the oracle, or `expire`, wrote it down. */
  resolved: (Place & { outcome: number; isExpired: boolean }) | null
  /** Whether it is undecided, was answered by its oracle, or decided by time. */
  state: QuestionState
  /** Bit mask of the outcomes still possible, time taken into account. */
  live: bigint
}

/** A parent verse and a question that somebody split it by, or reported on. */
export type PartitionFacts = { parent: Hex; path: Path; question: Hex }

export type ReportedWorld = Extract<
  WorldsLog,
  { eventName: 'PartitionReported' }
>['args']['worlds'][number]

/** What one keeper reported of a partition; `worlds` by outcome, with the latest probabilities. */
export type ReportFacts = PartitionFacts & Place & { keeper: Address; worlds: ReportedWorld[] }

/** The multiverse at one block. */
export type Universe = {
  block: number
  questions: QuestionFacts[]
  /** In the order in which they were opened. */
  partitions: PartitionFacts[]
  reports: ReportFacts[]
  /** What is in a verse by token, in smallest units; at ROOT what was pushed down and not pulled up again. */
  supply: (verse: Hex) => { token: Address; amount: bigint }[]
  state: (path: Path) => VerseState
}

/** Folds what happened into what is. */
export function createUniverse({ block, timestamp, logs }: History): Universe {
  const questions = new Map<Hex, QuestionFacts>()
  const partitions = new Map<string, PartitionFacts>()
  const reports = new Map<string, ReportFacts>()
  const supplies = new Map<Hex, Map<Address, bigint>>()

  const add = (verse: Hex, token: Address, amount: bigint) => {
    const supply = supplies.get(verse) ?? new Map<Address, bigint>()
    supplies.set(verse, supply.set(token, (supply.get(token) ?? 0n) + amount))
  }
  const open = (path: Path, question: Hex): PartitionFacts => {
    const parent = verseId(path)
    const known = partitions.get(parent + question) ?? { parent, path, question }
    partitions.set(parent + question, known)
    return known
  }
  /** The amount leaves the parent and arrives in every survivor, or with `sign` -1n the reverse. */
  const move = (
    args: { path: Path; question: Hex; token: Address; amount: bigint; survivors: bigint },
    sign: 1n | -1n,
  ) => {
    const { path, question, token, survivors } = args
    const amount = sign * args.amount
    const { parent } = open(path, question)
    // At ROOT a token is the ERC-20 itself: what is counted there is what the ledger holds of it.
    add(parent, token, path.length === 0 ? amount : -amount)
    for (const outcome of outcomesIn(survivors))
      add(verseId(insertAnswer(path, { question, outcome })), token, amount)
  }

  for (const log of logs) {
    const place = placeOf(log)
    switch (log.eventName) {
      case 'QuestionAsked': {
        const { args } = log
        const live = fullMask(args.outcomes)
        questions.set(args.question, {
          ...args,
          asked: place,
          narrowings: [],
          resolved: null,
          state: 'open',
          live,
        })
        break
      }
      case 'QuestionNarrowed': {
        const facts = questions.get(log.args.question)
        facts?.narrowings.push({ ...place, survivors: log.args.survivors })
        if (facts) facts.live = log.args.survivors
        break
      }
      case 'QuestionResolved': {
        const { question, outcome, expired } = log.args
        const facts = questions.get(question)
        if (facts === undefined) break
        facts.resolved = { ...place, outcome, isExpired: expired }
        facts.live = 1n << BigInt(outcome)
        facts.state = expired ? 'expired' : 'answered'
        break
      }
      case 'PushDown':
        move(log.args, 1n)
        break
      case 'PullUp':
        move(log.args, -1n)
        break
      case 'PartitionReported': {
        const { keeper, path, question, worlds } = log.args
        const partition = open(path, question)
        const key = reportKey({ keeper, parent: partition.parent, question })
        reports.set(key, { ...partition, ...place, keeper, worlds: [...worlds] })
        break
      }
      case 'ProbabilitiesUpdated': {
        const report = reports.get(reportKey(log.args))
        if (report === undefined) break
        report.worlds = report.worlds.map((world, outcome) => ({
          ...world,
          probability: log.args.probabilities[outcome] ?? world.probability,
        }))
        break
      }
    }
  }

  // From the deadline on void has won, whether or not somebody wrote it down.
  for (const facts of questions.values())
    if (facts.resolved === null && timestamp >= facts.deadline) {
      facts.state = 'expired'
      facts.live = 1n << BigInt(facts.outcomes - 1)
    }

  return {
    block: Number(block),
    questions: [...questions.values()],
    partitions: [...partitions.values()],
    reports: [...reports.values()],
    supply: (verse) =>
      [...(supplies.get(verse) ?? [])]
        .filter(([, amount]) => amount !== 0n)
        .map(([token, amount]) => ({ token, amount })),
    state: (path) =>
      stateOf(
        path.map(({ question, outcome }) => ({
          live: questions.get(question)?.live ?? fullMask(outcomesOf(question)),
          own: 1n << BigInt(outcome),
        })),
      ),
  }
}

/** A verse in the tree of the multiverse. */
export type TreeNode = {
  verse: Hex
  path: Path
  depth: number
  /** The partition it is shown in; null for ROOT. */
  opened: (PartitionFacts & { outcome: number }) | null
  /** It stands elsewhere in the tree already, with what is below it: several partitions open it. */
  isRepeated: boolean
}

/**
 * Every verse, below the partition that opened it, in the order in which they were opened, parents first. A verse that was
 * reached without a partition of its canonical parent is put below that parent all the same.
 */
export function drawTree(universe: Pick<Universe, 'partitions'>): TreeNode[] {
  const byParent = new Map<Hex, PartitionFacts[]>()
  const known = new Set<string>()
  const opened = new Set<Hex>([ROOT])
  const put = (partition: PartitionFacts) => {
    const key = partition.parent + partition.question
    if (known.has(key)) return
    known.add(key)
    byParent.set(partition.parent, [...(byParent.get(partition.parent) ?? []), partition])
    for (const path of childPaths(partition.path, partition.question)) opened.add(verseId(path))
  }
  for (const partition of universe.partitions) put(partition)
  // Parents that no partition opened hang below their canonical parents, and so on up to ROOT.
  for (const { path } of universe.partitions)
    for (let depth = path.length; depth > 0; depth--) {
      const step = path[depth - 1]!
      const above = path.slice(0, depth - 1)
      if (!opened.has(verseId(path.slice(0, depth))))
        put({ parent: verseId(above), path: above, question: step.question })
    }

  const nodes: TreeNode[] = []
  const shown = new Set<Hex>()
  const walk = (path: Path, depth: number, from: TreeNode['opened']) => {
    const verse = verseId(path)
    const isRepeated = shown.has(verse)
    nodes.push({ verse, path, depth, opened: from, isRepeated })
    if (isRepeated) return
    shown.add(verse)
    for (const partition of byParent.get(verse) ?? [])
      for (const [outcome, child] of childPaths(path, partition.question).entries())
        walk(child, depth + 1, { ...partition, outcome })
  }
  walk([], 0, null)
  return nodes
}

function reportKey(key: { keeper: Address; parent: Hex; question: Hex }): string {
  return key.keeper + key.parent + key.question
}

function placeOf({ transactionHash, blockNumber }: ShapingLog): Place {
  return { tx: transactionHash, block: Number(blockNumber) }
}
