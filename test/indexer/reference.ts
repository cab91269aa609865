import type { Hex } from 'viem'
import { multiverseLogs, worldsLogs } from '../../sdk/events.ts'
import {
  type Answer,
  childPaths,
  outcomesIn,
  type Path,
  positionId,
  ROOT,
  verseId,
} from '../../sdk/ids.ts'
import type { LocalChain } from '../helpers/chain.ts'

// What the tables and views must show, computed slowly and plainly from the raw logs: nothing here is shared with the indexer
// or the mirror but the ids and the ABI.

const ZERO = `0x${'0'.repeat(40)}`

type Place = { block: number; log: number; time: number }
type Moved = Place & { from: string; to: string; id: Hex; amount: bigint }
type Asked = Place & { id: Hex; oracle: string; outcomes: number; deadline: bigint }
type Narrowed = Place & { question: Hex; survivors: number[] }
type Resolved = Place & { question: Hex; outcome: number; expired: boolean }
type Partition = Place & {
  kind: 'PushDown' | 'PullUp'
  parent: Hex
  path: Path
  question: Hex
  token: string
  amount: bigint
  survivors: number[]
}
type Said = Place & {
  keeper: string
  parent: Hex
  question: Hex
  outcome: number
  verse: Hex
  probability: bigint
  isReport: boolean
}
type Redeeming = Place & { owner: string; redeemer: string; allowed: boolean }

type Facts = {
  head: { number: number; time: number }
  /** Every log: block, index and name. */
  all: [number, number, string][]
  transfers: Moved[]
  questions: Asked[]
  narrowings: Narrowed[]
  answers: Resolved[]
  partitions: Partition[]
  said: Said[]
  redeemings: Redeeming[]
  verses: Map<Hex, Path>
  positions: Map<Hex, { verse: Hex; token: string }>
}

/** Rows as the SQL endpoint gives them, by the name of a query in {@link QUERIES}. */
export type Reference = Record<keyof typeof QUERIES, unknown[][]>

/** What is compared, in whatever order. */
export const QUERIES = {
  events: 'SELECT block_number::INT, log_index::INT, kind FROM events',
  balances: 'SELECT owner, position, amount::VARCHAR FROM balances WHERE amount <> 0::BIGNUM',
  supplies: 'SELECT verse, token, amount::VARCHAR FROM v_supplies',
  deposits: 'SELECT token, deposited::VARCHAR, withdrawn::VARCHAR FROM deposits',
  holdings: 'SELECT owner, verse, token, amount::VARCHAR, state FROM v_balances',
  positions: 'SELECT position, verse, token FROM positions',
  questions:
    'SELECT question, oracle, outcomes::INT, deadline::VARCHAR, winner::INT, expired, state, live::INT[] FROM v_questions',
  verses:
    'SELECT verse, parent, question, outcome::INT, depth::INT, state, probability::VARCHAR, label FROM v_verses',
  answers:
    'SELECT verse, step::INT, question, outcome::INT, possible, decided FROM v_verse_answers',
  redeemers: 'SELECT owner, redeemer FROM redeemers',
  probabilities:
    'SELECT verse, keeper, parent, question, outcome::INT, probability::VARCHAR, block_number::INT FROM probability_history',
  supplyHistory: 'SELECT verse, token, block_number::INT, supply::VARCHAR FROM supply_history',
  timeliness:
    'SELECT oracle, question, outcome::INT, expired, seconds_to_answer::INT, seconds_to_spare::VARCHAR FROM oracle_timeliness',
  lifecycle: 'SELECT verse, source, target, block_number::INT, log_index::INT FROM verse_lifecycle',
  wev: 'SELECT question, token, winner::INT, wev_nominal::VARCHAR, wev_realized::VARCHAR, total::VARCHAR, block_number::INT FROM v_wev',
  wevPartitions: 'SELECT parent, question, token, wev_nominal::VARCHAR FROM wev_partitions',
  wevHistory:
    'SELECT question, token, nominal::VARCHAR, realized::VARCHAR, nominal_so_far::VARCHAR FROM wev_history',
} as const

/** Reads all logs of the chain and says what every query must give; `exposed` are owner and token of the macro's. */
export async function createReference(chain: LocalChain): Promise<{
  rows: Reference
  /** What an owner has of a token in every combination still possible, by {@link futureKey}. */
  exposure: (owner: string, token: string) => Map<string, bigint>
  /** How many combinations that is. */
  futures: (owner: string, token: string) => number
  holders: [string, string][]
}> {
  const facts = await readFacts(chain)
  const balances = fold(facts.transfers)
  const live = liveNow(facts)
  // A verse can be described before its question is asked.
  const isPossible = (question: Hex, outcome: number) =>
    live.get(question)?.includes(outcome) ?? true
  const isDecided = (question: Hex) => live.get(question)?.length === 1
  const stateOf = (path: Path) => {
    if (path.some(({ question, outcome }) => !isPossible(question, outcome))) return 'collapsed'
    return path.length > 0 && path.every(({ question }) => isDecided(question))
      ? 'happened'
      : 'alive'
  }
  const held = holdingsOf(facts, balances)
  return {
    rows: {
      events: facts.all,
      balances: [...balances]
        .map(([key, amount]) => [...key.split(' '), `${amount}`])
        .filter(([, , amount]) => amount !== '0'),
      supplies: suppliesOf(facts, facts.transfers).map(({ verse, token, amount }) => [
        verse,
        token,
        `${amount}`,
      ]),
      deposits: depositsOf(facts),
      holdings: held.map(({ owner, path, token, amount }) => [
        owner,
        verseId(path),
        token,
        `${amount}`,
        stateOf(path),
      ]),
      positions: [...facts.positions].map(([id, { verse, token }]) => [id, verse, token]),
      questions: facts.questions.map(({ id, oracle, outcomes, deadline }) => {
        const answer = facts.answers.find(({ question }) => question === id)
        const narrowed = facts.narrowings.some(({ question }) => question === id)
        const isPast = BigInt(facts.head.time) >= deadline
        const state = answer ? 'resolved' : isPast ? 'expired' : narrowed ? 'narrowed' : 'open'
        return [
          id,
          oracle,
          outcomes,
          `${deadline}`,
          answer?.outcome ?? null,
          answer?.expired ?? null,
          state,
          live.get(id),
        ]
      }),
      verses: [...facts.verses].map(([verse, path]) => {
        const last = path.at(-1)
        const told = facts.said.filter((each) => each.verse === verse).at(-1)
        return [
          verse,
          last ? verseId(path.slice(0, -1)) : null,
          last?.question ?? null,
          last?.outcome ?? null,
          path.length,
          stateOf(path),
          told ? `${told.probability}` : null,
          path.map(({ question, outcome }) => `${question.slice(0, 10)}=${outcome}`).join(' & ') ||
            'root',
        ]
      }),
      answers: [...facts.verses].flatMap(([verse, path]) =>
        path.map(({ question, outcome }, index) => [
          verse,
          index + 1,
          question,
          outcome,
          isPossible(question, outcome),
          isDecided(question),
        ]),
      ),
      redeemers: redeemersOf(facts),
      probabilities: facts.said.map((each) => [
        each.verse,
        each.keeper,
        each.parent,
        each.question,
        each.outcome,
        `${each.probability}`,
        each.block,
      ]),
      supplyHistory: supplyHistoryOf(facts),
      timeliness: facts.questions.map(({ id, oracle, time, deadline }) => {
        const answer = facts.answers.find(({ question }) => question === id)
        if (answer === undefined) return [oracle, id, null, null, null, null]
        return [
          oracle,
          id,
          answer.outcome,
          answer.expired,
          answer.time - time,
          `${deadline - BigInt(answer.time)}`,
        ]
      }),
      lifecycle: lifecycleOf(facts),
      ...wevOf(facts),
    },
    exposure(owner, token) {
      const own = held.filter((each) => each.owner === owner && each.token === token)
      const futures = combinations(questionsOf(own), live)
      return new Map(futures.map((future) => [futureKey(future), worthIn(own, future)]))
    },
    futures(owner, token) {
      const own = held.filter((each) => each.owner === owner && each.token === token)
      return questionsOf(own).reduce((all, question) => all * live.get(question)!.length, 1)
    },
    holders: [...new Set(held.map(({ owner, token }) => `${owner} ${token}`))].map(
      (each) => each.split(' ') as [string, string],
    ),
  }
}

const lower = (text: string) => text.toLowerCase()
const hexId = (id: bigint): Hex => `0x${id.toString(16).padStart(64, '0')}`
const isBefore = (a: Place, b: Place) => a.block < b.block || (a.block === b.block && a.log < b.log)

async function readFacts(chain: LocalChain): Promise<Facts> {
  const { publicClient, deployment } = chain
  const { multiverse, worlds } = deployment.addresses
  const head = await publicClient.getBlock()
  const range = { fromBlock: 0n, toBlock: head.number }
  const logs = await publicClient.getLogs({ address: [multiverse, worlds], ...range })
  const facts: Facts = {
    head: { number: Number(head.number), time: Number(head.timestamp) },
    all: [],
    transfers: [],
    questions: [],
    narrowings: [],
    answers: [],
    partitions: [],
    said: [],
    redeemings: [],
    verses: new Map([[ROOT, []]]),
    positions: new Map(),
  }
  const times = new Map(logs.map((log) => [log.blockNumber, Number(log.blockTimestamp)]))
  const place = (log: { blockNumber: bigint; logIndex: number }): Place => ({
    block: Number(log.blockNumber),
    log: log.logIndex,
    time: times.get(log.blockNumber)!,
  })
  const see = (path: Path) => {
    for (let depth = 1; depth <= path.length; depth++)
      facts.verses.set(verseId(path.slice(0, depth)), path.slice(0, depth))
  }
  const seePosition = (path: Path, token: string) => {
    const verse = verseId(path)
    facts.positions.set(hexId(positionId(verse, token as Hex)), { verse, token })
  }
  const isOf = (address: string) => (log: { address: string }) =>
    lower(log.address) === lower(address)
  for (const log of multiverseLogs(logs.filter(isOf(multiverse)))) {
    const where = place(log)
    facts.all.push([where.block, where.log, log.eventName])
    switch (log.eventName) {
      case 'QuestionAsked': {
        const { question: id, oracle, outcomes, deadline } = log.args
        facts.questions.push({ ...where, id, oracle: lower(oracle), outcomes, deadline })
        break
      }
      case 'QuestionNarrowed':
        facts.narrowings.push({
          ...where,
          question: log.args.question,
          survivors: outcomesIn(log.args.survivors),
        })
        break
      case 'QuestionResolved':
        facts.answers.push({ ...where, ...log.args })
        break
      case 'PushDown':
      case 'PullUp': {
        const { parent, path, question, amount } = log.args
        const token = lower(log.args.token)
        const survivors = outcomesIn(log.args.survivors)
        facts.partitions.push({
          ...where,
          kind: log.eventName,
          parent,
          path,
          question,
          token,
          amount,
          survivors,
        })
        see(path)
        if (path.length > 0) seePosition(path, token)
        for (const [outcome, child] of childPaths(path, question).entries()) {
          see(child)
          if (survivors.includes(outcome)) seePosition(child, token)
        }
        break
      }
      case 'Transfer': {
        const { sender, receiver, id, amount } = log.args
        facts.transfers.push({
          ...where,
          from: lower(sender),
          to: lower(receiver),
          id: hexId(id),
          amount,
        })
        break
      }
      case 'PositionDescribed':
        see(log.args.path)
        seePosition(log.args.path, lower(log.args.token))
        break
      case 'RedeemerSet': {
        const { owner, redeemer, allowed } = log.args
        facts.redeemings.push({ ...where, owner: lower(owner), redeemer: lower(redeemer), allowed })
        break
      }
      case 'Approval':
      case 'OperatorSet':
      case 'SpecPublished':
        break
    }
  }
  const reports = new Map<string, Path>()
  for (const log of worldsLogs(logs.filter(isOf(worlds)))) {
    const where = place(log)
    facts.all.push([where.block, where.log, log.eventName])
    const { parent, question } = log.args
    const keeper = lower(log.args.keeper)
    if (log.eventName === 'PartitionReported')
      reports.set(keeper + parent + question, log.args.path)
    const isReport = log.eventName === 'PartitionReported'
    const probabilities = isReport
      ? log.args.worlds.map((world) => world.probability)
      : log.args.probabilities
    const children = childPaths(reports.get(keeper + parent + question)!, question)
    for (const [outcome, probability] of probabilities.entries())
      facts.said.push({
        ...where,
        keeper,
        parent,
        question,
        outcome,
        verse: verseId(children[outcome]!),
        probability,
        isReport,
      })
  }
  facts.all.sort((a, b) => a[0] - b[0] || a[1] - b[1])
  return facts
}

/** Who holds what after some transfers; owner and position in the key. */
function fold(transfers: readonly Moved[]): Map<string, bigint> {
  const balances = new Map<string, bigint>()
  const add = (owner: string, id: Hex, amount: bigint) => {
    if (owner !== ZERO)
      balances.set(`${owner} ${id}`, (balances.get(`${owner} ${id}`) ?? 0n) + amount)
  }
  for (const { from, to, id, amount } of transfers) {
    add(from, id, -amount)
    add(to, id, amount)
  }
  return balances
}

type Held = { owner: string; token: string; path: Path; amount: bigint }

function holdingsOf({ positions, verses }: Facts, balances: Map<string, bigint>): Held[] {
  return [...balances].flatMap(([key, amount]) => {
    const [owner, id] = key.split(' ') as [string, Hex]
    const { verse, token } = positions.get(id)!
    return amount === 0n ? [] : [{ owner, token, path: verses.get(verse)!, amount }]
  })
}

function suppliesOf({ positions }: Facts, transfers: readonly Moved[]) {
  const sums = new Map<Hex, bigint>()
  for (const { from, to, id, amount } of transfers) {
    if (from === ZERO) sums.set(id, (sums.get(id) ?? 0n) + amount)
    if (to === ZERO) sums.set(id, (sums.get(id) ?? 0n) - amount)
  }
  return [...sums].map(([id, amount]) => ({ ...positions.get(id)!, amount }))
}

function supplyHistoryOf(facts: Facts): unknown[][] {
  const changes = facts.transfers.filter(({ from, to }) => from === ZERO || to === ZERO)
  const blocks = [...new Set(changes.map(({ block }) => block))]
  return blocks.flatMap((block) => {
    const changed = new Set(
      changes
        .filter((each) => each.block === block)
        .map(({ id }) => facts.positions.get(id)!.verse + facts.positions.get(id)!.token),
    )
    return suppliesOf(
      facts,
      changes.filter((each) => each.block <= block),
    )
      .filter(({ verse, token }) => changed.has(verse + token))
      .map(({ verse, token, amount }) => [verse, token, block, `${amount}`])
  })
}

function depositsOf({ partitions }: Facts): unknown[][] {
  const atRoot = partitions.filter(({ parent }) => parent === ROOT)
  const sum = (token: string, kind: Partition['kind']) =>
    atRoot
      .filter((each) => each.token === token && each.kind === kind)
      .reduce((total, { amount }) => total + amount, 0n)
  return [...new Set(atRoot.map(({ token }) => token))].map((token) => [
    token,
    `${sum(token, 'PushDown')}`,
    `${sum(token, 'PullUp')}`,
  ])
}

function redeemersOf({ redeemings }: Facts): unknown[][] {
  const last = new Map(redeemings.map((each) => [`${each.owner} ${each.redeemer}`, each.allowed]))
  return [...last].filter(([, allowed]) => allowed).map(([key]) => key.split(' '))
}

/** Outcomes still possible, by question, before a log and before a second. */
function liveAt(facts: Facts, place: Place, before: bigint): Map<Hex, number[]> {
  return new Map(
    facts.questions.map(({ id, outcomes, deadline }) => {
      const answer = facts.answers.find(
        (each) => each.question === id && isBefore(each, place) && BigInt(each.time) < before,
      )
      if (answer !== undefined) return [id, [answer.outcome]]
      if (deadline < before) return [id, [outcomes - 1]]
      const narrowed = facts.narrowings
        .filter((each) => each.question === id && isBefore(each, place))
        .at(-1)
      return [id, narrowed?.survivors ?? Array.from({ length: outcomes }, (_, outcome) => outcome)]
    }),
  )
}

function liveNow(facts: Facts): Map<Hex, number[]> {
  const after = { block: Infinity, log: 0, time: 0 }
  return liveAt(facts, after, BigInt(facts.head.time) + 1n)
}

type Future = Map<Hex, number>

function combinations(questions: readonly Hex[], live: ReadonlyMap<Hex, number[]>): Future[] {
  return questions.reduce<Future[]>(
    (futures, question) =>
      futures.flatMap((future) =>
        live.get(question)!.map((outcome) => new Map(future).set(question, outcome)),
      ),
    [new Map()],
  )
}

/** A combination of answers, whatever order they are given in. */
export function futureKey(future: Iterable<readonly [string, number]>): string {
  return [...future]
    .map(([question, outcome]) => `${question}=${outcome}`)
    .toSorted()
    .join(' ')
}

function questionsOf(held: readonly Held[]): Hex[] {
  return [...new Set(held.flatMap(({ path }) => path.map(({ question }) => question)))]
}

function worthIn(held: readonly Held[], future: Future): bigint {
  return held
    .filter(({ path }) => path.every((step: Answer) => future.get(step.question) === step.outcome))
    .reduce((sum, { amount }) => sum + amount, 0n)
}

function lifecycleOf(facts: Facts): unknown[][] {
  // A keeper may report what nobody opened: that is told, and no more.
  const unopened = facts.said.filter(({ verse, isReport }) => isReport && !facts.verses.has(verse))
  const told = new Map(unopened.toReversed().map((each) => [each.verse, each]))
  const alone = [...told.values()].map(({ verse, block, log }) => [
    verse,
    'unopened',
    'reported',
    block,
    log,
  ])
  const opened = [...facts.verses].flatMap(([verse, path]) => {
    const last = path.at(-1)
    if (last === undefined) return []
    const parent = verseId(path.slice(0, -1))
    const steps: (Place & { target: string })[] = []
    const push = facts.partitions.find(
      (each) =>
        each.kind === 'PushDown' &&
        each.parent === parent &&
        each.question === last.question &&
        each.survivors.includes(last.outcome),
    )
    if (push !== undefined) steps.push({ ...push, target: 'open' })
    const reported = facts.said.find((each) => each.isReport && each.verse === verse)
    if (reported !== undefined) steps.push({ ...reported, target: 'reported' })
    const own = facts.answers.filter(({ question }) =>
      path.some((step) => step.question === question),
    )
    const against = own.find(({ question, outcome }) =>
      path.some((step) => step.question === question && step.outcome !== outcome),
    )
    if (against !== undefined) steps.push({ ...against, target: 'collapsed' })
    else if (own.length === path.length) steps.push({ ...own.at(-1)!, target: 'happened' })
    const sorted = steps.toSorted((a, b) => (isBefore(a, b) ? -1 : 1))
    return sorted.map(({ target, block, log }, index) => [
      verse,
      sorted[index - 1]?.target ?? 'unopened',
      target,
      block,
      log,
    ])
  })
  return [...opened, ...alone]
}

function wevOf(facts: Facts): Pick<Reference, 'wev' | 'wevPartitions' | 'wevHistory'> {
  const wev: unknown[][] = []
  const wevPartitions: unknown[][] = []
  const wevHistory: unknown[][] = []
  const soFar = new Map<string, bigint>()
  for (const answer of facts.answers) {
    const { question, outcome } = answer
    const { deadline } = facts.questions.find(({ id }) => id === question)!
    const before = answer.expired ? deadline : BigInt(answer.time) + 1n
    const earlier = facts.transfers.filter(
      (each) => isBefore(each, answer) && BigInt(each.time) < before,
    )
    const held = holdingsOf(facts, fold(earlier))
    const live = liveAt(facts, answer, before)
    const loses = ({ path }: Held) =>
      path.some((step) => step.question === question && step.outcome !== outcome)
    const sum = (some: readonly Held[]) => some.reduce((total, { amount }) => total + amount, 0n)
    for (const token of new Set(held.map((each) => each.token))) {
      const linked = linkedTo(
        question,
        held.filter((each) => each.token === token),
      )
      if (linked.length === 0) continue
      const nominal = sum(linked.filter(loses))
      const futures = combinations(questionsOf(linked), live)
      const total = worthIn(linked, futures[0]!)
      const floors = [...new Set(linked.map(({ owner }) => owner))].map((owner) => {
        const own = linked.filter((each) => each.owner === owner)
        return futures
          .map((future) => worthIn(own, future))
          .reduce((least, each) => (each < least ? each : least))
      })
      const realized = total - floors.reduce((all, each) => all + each, 0n)
      wev.push([question, token, outcome, `${nominal}`, `${realized}`, `${total}`, answer.block])
      soFar.set(token, (soFar.get(token) ?? 0n) + nominal)
      wevHistory.push([question, token, `${nominal}`, `${realized}`, `${soFar.get(token)!}`])
      const parents = new Map(
        facts.partitions
          .filter(
            (each) =>
              each.kind === 'PushDown' && each.question === question && isBefore(each, answer),
          )
          .map(({ parent, path }) => [parent, path]),
      )
      for (const [parent, path] of parents) {
        const under = linked.filter((each) =>
          path.every((step) =>
            each.path.some((own) => own.question === step.question && own.outcome === step.outcome),
          ),
        )
        wevPartitions.push([parent, question, token, `${sum(under.filter(loses))}`])
      }
    }
  }
  return { wev, wevPartitions, wevHistory }
}

/** The holdings that hang together with a question, directly or over others; none when nothing of it is held. */
function linkedTo(question: Hex, held: readonly Held[]): Held[] {
  const reached = new Set([question])
  for (let size = 0; size !== reached.size;) {
    size = reached.size
    for (const { path } of held)
      if (path.some((step) => reached.has(step.question)))
        for (const step of path) reached.add(step.question)
  }
  return held.filter(({ path }) => path.some((step) => reached.has(step.question)))
}
