import {
  type Address,
  decodeErrorResult,
  decodeEventLog,
  encodeEventTopics,
  type EncodeFunctionDataParameters,
  encodeFunctionData,
  type Hex,
  keccak256,
  numberToHex,
  zeroAddress,
  zeroHash,
} from 'viem'
import { expect } from 'vitest'
import { multiverseAbi } from '../../sdk/abi.ts'
import {
  type Answer,
  canonicalPath,
  childPaths,
  outcomesIn,
  outcomesOf,
  positionId,
  questionId,
  verseId,
} from '../../sdk/ids.ts'
import { deadlineOf } from './history.ts'
import {
  BEGIN,
  type History,
  type Malformed,
  type Operation,
  OWNERS,
  type Scene,
  TOKENS,
} from './operations.ts'
import type { Event, Model } from './model.ts'
import { type Log, ORACLE, type Stage, type StageCall } from './stage.ts'

const [TRANSFER] = encodeEventTopics({ abi: multiverseAbi, eventName: 'Transfer' })
const [PUSH_DOWN] = encodeEventTopics({ abi: multiverseAbi, eventName: 'PushDown' })
const [PULL_UP] = encodeEventTopics({ abi: multiverseAbi, eventName: 'PullUp' })

type LedgerFunction = Omit<EncodeFunctionDataParameters<typeof multiverseAbi>, 'abi'>

/** Balances by owner and position id, only those that are not 0. */
type Balances = Map<string, bigint>

/** The real ledger on a stage, with the tokens it is played in. */
export async function createLedger(stage: Stage) {
  const address = await stage.deploy('Multiverse')
  return { address, tokens: await stage.fund(address) }
}

/**
 * One history on the real ledger, held against the model after every scene: how each call ended, ids, paths, partitions, every
 * balance, and the balances that the logs alone give.
 */
export async function playLedger(
  stage: Stage,
  { address, tokens }: { address: Address; tokens: Address[] },
  story: History,
  model: Model,
) {
  const questions = await askAll(stage, address, story)
  const pathOf = (event: Event): Answer[] =>
    canonicalPath(
      model
        .path(event)
        .map(({ question, outcome }) => ({ question: questions[question]!, outcome })),
    )
  const eventOf = (path: readonly Answer[]): Event =>
    model.eventOf(
      path.map(({ question, outcome }) => ({ question: questions.indexOf(question), outcome })),
    )
  const verses = new Map<Event, Hex>()
  const positions = tokens.map(() => new Map<Event, bigint>())
  /** How many of `verses` the contract has confirmed. */
  let checked = 0
  /** Positions that moved in the last scene. */
  const touched = new Set<bigint>()
  const byTransfers: Balances = new Map()
  const byMoves: Balances = new Map()

  const verseOf = (event: Event) => memo(verses, event, () => verseId(pathOf(event)))
  const idOf = (token: number, event: Event) =>
    memo(positions[token]!, event, () => positionId(verseOf(event), tokens[token]!))

  function call(operation: Operation): StageCall {
    if (operation.kind === 'transfer') {
      const { token, owner, event, amount, to } = operation
      const args = [stage.actors[to]!, idOf(token, event), amount] as const
      return ledgerCall(owner, { functionName: 'transfer', args })
    }
    if (operation.kind === 'exit') {
      const levels = operation.levels.map(({ parent, question, amount }) => ({
        path: pathOf(parent),
        question: questions[question]!,
        amount,
      }))
      const args = [levels, tokens[operation.token]!, stage.actors[operation.to]!] as const
      return ledgerCall(operation.owner, { functionName: 'exit', args })
    }
    const question = questions[operation.question]!
    if (operation.kind === 'narrow') {
      const survivors = operation.survivors.reduce((mask, each) => mask | (1n << BigInt(each)), 0n)
      return ledgerCall(ORACLE, { functionName: 'narrow', args: [question, survivors] })
    }
    if (operation.kind === 'expire')
      return ledgerCall(0, { functionName: 'expire', args: [question] })
    if (operation.kind === 'malformed') {
      const path = malformedPath(operation)
      const args = [path, question, tokens[0]!, 1n, stage.actors[0]!] as const
      return ledgerCall(operation.owner, { functionName: 'pushDown', args })
    }
    const { kind, token, owner, parent, amount, to } = operation
    const args = [pathOf(parent), question, tokens[token]!, amount, stage.actors[to]!] as const
    return ledgerCall(owner, { functionName: kind, args })
  }

  function ledgerCall(actor: number, what: LedgerFunction): StageCall {
    return { actor, target: address, data: encodeFunctionData({ abi: multiverseAbi, ...what }) }
  }

  function malformedPath({ how, parent }: { how: Malformed; parent: Event }): Answer[] {
    const path = pathOf(parent)
    if (how === 'PathNotAscending') return path.toReversed()
    const [first, ...rest] = path
    return how === 'OutcomeOutOfRange'
      ? [{ question: first!.question, outcome: outcomesOf(first!.question) }, ...rest]
      : path
  }

  /** Plays a scene that the model has played, and compares. */
  async function play(scene: Scene): Promise<void> {
    for (const operation of scene.operations)
      if (operation.kind === 'pushDown') checkPartition(operation.parent, operation.question)
    const { results, logs } = await stage.play(scene.operations.map(call), scene.timestamp)
    expect(results.map(({ ok, result }) => (ok ? 'done' : errorName(result)))).toEqual(
      scene.operations.map(verdictOf),
    )
    touched.clear()
    for (const log of logs) if (log.address.toLowerCase() === address.toLowerCase()) follow(log)
    await checkIds()
    checkBooks()
    // Once all is decided, every balance is read again; until then those that moved.
    const all = positions.flatMap((ids) => [...ids.values()])
    await checkBalances(scene.operations.length === 0 ? all : [...touched])
    await checkQuestions()
  }

  /** The children that the paths name are disjoint and cover their parent. */
  function checkPartition(parent: Event, question: number): void {
    let covered = 0n
    for (const path of childPaths(pathOf(parent), questions[question]!)) {
      const child = eventOf(path)
      expect(covered & child, 'children are disjoint').toBe(0n)
      expect(pathOf(child), 'the path of a child').toEqual(path)
      covered |= child
    }
    expect(covered, 'children cover their parent').toBe(parent)
  }

  function follow({ topics, data }: Log): void {
    const [kind] = topics
    if (kind === TRANSFER) {
      const [from, to] = topics.slice(1, 3).map((topic) => `0x${topic.slice(26)}`)
      const id = BigInt(topics[3]!)
      const amount = BigInt(`0x${data.slice(66)}`)
      touched.add(id)
      const isBetweenHolders = from !== zeroAddress && to !== zeroAddress
      for (const books of isBetweenHolders ? [byTransfers, byMoves] : [byTransfers]) {
        if (from !== zeroAddress) add(books, from!, id, -amount)
        if (to !== zeroAddress) add(books, to!, id, amount)
      }
    } else if (kind === PUSH_DOWN || kind === PULL_UP) {
      const { eventName, args } = decodeEventLog({
        abi: multiverseAbi,
        topics: topics as [Hex, ...Hex[]],
        data,
      })
      if (eventName !== 'PushDown' && eventName !== 'PullUp') return
      const { path, question, owner, to, amount, survivors } = args
      const token = tokens.findIndex((each) => each.toLowerCase() === args.token.toLowerCase())
      const [up, down] = eventName === 'PushDown' ? [owner, to] : [to, owner]
      const sign = eventName === 'PushDown' ? 1n : -1n
      if (path.length > 0) add(byMoves, up, idOf(token, eventOf(path)), -sign * amount)
      const children = childPaths([...path], question)
      for (const outcome of outcomesIn(survivors))
        add(byMoves, down, idOf(token, eventOf(children[outcome]!)), sign * amount)
    }
  }

  /** Equal verses have equal ids and different ones different ids; the contract derives the same. */
  async function checkIds(): Promise<void> {
    const fresh = [...verses].slice(checked)
    checked = verses.size
    expect(new Set(verses.values()).size, 'one id for each verse').toBe(verses.size)
    const ids = await stage.read(
      address,
      fresh.map(([event]) =>
        encodeFunctionData({ abi: multiverseAbi, functionName: 'verseId', args: [pathOf(event)] }),
      ),
    )
    expect(ids).toEqual(fresh.map(([, id]) => id))
  }

  /** The books that the logs give hold what the model holds, and nothing else. */
  function checkBooks(): void {
    const expected: Balances = new Map()
    for (let token = 0; token < TOKENS; token++)
      for (let owner = 0; owner < OWNERS; owner++)
        for (const [event, amount] of model.holdings(token, owner))
          expected.set(keyOf(stage.actors[owner]!, idOf(token, event)), amount)
    expect(byTransfers, 'balances rebuilt from Transfer alone').toEqual(expected)
    expect(byMoves, 'balances rebuilt from PushDown, PullUp and transfers between holders').toEqual(
      expected,
    )
  }

  /** The contract says of these positions, for every owner, what the books say, and of all wallets what the model says. */
  async function checkBalances(ids: readonly bigint[]): Promise<void> {
    const asked = stage.actors.slice(0, OWNERS).flatMap((owner) => ids.map((id) => ({ owner, id })))
    const found = await stage.read(
      address,
      asked.map(({ owner, id }) =>
        encodeFunctionData({ abi: multiverseAbi, functionName: 'balanceOf', args: [owner, id] }),
      ),
    )
    expect(
      found.map((data) => BigInt(data)),
      'balances',
    ).toEqual(asked.map(({ owner, id }) => byTransfers.get(keyOf(owner, id)) ?? 0n))
    for (const [token, each] of tokens.entries())
      expect(await stage.gains(each), 'wallets').toEqual(
        Array.from({ length: OWNERS }, (_, owner) => model.wallet(token, owner)),
      )
  }

  async function checkQuestions(): Promise<void> {
    const masks = await stage.read(
      address,
      questions.map((question) =>
        encodeFunctionData({ abi: multiverseAbi, functionName: 'live', args: [question] }),
      ),
    )
    expect(masks.map((mask) => outcomesIn(BigInt(mask)))).toEqual(
      questions.map((_, question) => model.live(question)),
    )
  }

  return { play }
}

/** Asks every question of a history; gives back their ids. */
async function askAll(stage: Stage, ledger: Address, story: History): Promise<Hex[]> {
  const terms = story.outcomes.map((outcomes, index) => ({
    oracle: stage.actors[ORACLE]!,
    outcomes,
    deadline: BigInt(deadlineOf(story, index)),
    specHash: keccak256(numberToHex(story.salt * 16 + index, { size: 32 })),
    termsHash: zeroHash,
  }))
  const calls = terms.map(({ oracle, outcomes, deadline, specHash, termsHash }) => ({
    actor: 0,
    target: ledger,
    data: encodeFunctionData({
      abi: multiverseAbi,
      functionName: 'ask',
      args: [oracle, outcomes, deadline, specHash, termsHash, ''],
    }),
  }))
  const { results } = await stage.play(calls, BEGIN - 2)
  const questions = terms.map(questionId)
  expect(results.map(({ result }) => result)).toEqual(questions)
  return questions
}

function verdictOf(operation: Operation): string {
  if (operation.kind === 'malformed') return operation.how
  return 'verdict' in operation ? operation.verdict : 'done'
}

function errorName(data: Hex): string {
  return decodeErrorResult({ abi: multiverseAbi, data }).errorName
}

function add(books: Balances, owner: string, id: bigint, amount: bigint): void {
  const key = keyOf(owner, id)
  const sum = (books.get(key) ?? 0n) + amount
  if (sum === 0n) books.delete(key)
  else books.set(key, sum)
}

function keyOf(owner: string, id: bigint): string {
  return `${owner.toLowerCase()} ${id}`
}

function memo<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}
