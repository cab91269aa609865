import { type Address, encodeFunctionData, type Hex, maxUint256, numberToHex } from 'viem'
import { multiverseAbi, tokenAbi, worldsAbi } from '../../sdk/abi.ts'
import { mix64 } from '../../sdk/gf3.ts'
import {
  type Answer,
  childPaths,
  outcomesIn,
  type Path,
  positionId,
  type QuestionTerms,
  questionId,
  removeAnswer,
  verseId,
} from '../../sdk/ids.ts'
import { WAD } from '../../sdk/wev.ts'
import type { Key } from '../../cli/check/holders.ts'
import type { LocalChain } from '../helpers/chain.ts'

// A random but reproducible life of everything the contracts can do: several owners and tokens, any depth, drawn from a seed
// and only what is allowed. Each action is one transaction in a block of its own, unless blocks are mined by hand.

const NOTHING: Hex = `0x${'0'.repeat(64)}`
const OWNERS = [0, 1, 2, 3]
const ORACLE = 9
const KEEPERS = [5, 6]
const MAX_DEPTH = 4
const MAX_QUESTIONS = 5
/** What a life takes of each token at most. */
const POCKET = 10n ** 24n
const LIVES = 1_000n
/** No reorg of a life is deeper. */
const DEEPEST = 12
const GAS = '0x989680'

type Question = { id: Hex; terms: QuestionTerms; live: number[]; isShort: boolean }
type Holding = { owner: number; token: Address; path: Path; amount: bigint }
type Report = { keeper: number; path: Path; question: Question }

export type Life = {
  /** One action that the ledger takes. Gives its kind. */
  step(): Promise<string>
  /** Learns what the chain says now: after a reorg this is another life. */
  resync(): Promise<void>
  /** Every owner and position that can have come about. */
  keys(): Key[]
}

/** Fills everybody's pockets, in one block, for any number of lives; blocks follow that a life's reorg takes instead. */
export async function fillPockets(chain: LocalChain, tokens: readonly Address[]): Promise<void> {
  const args = [chain.deployment.addresses.multiverse, maxUint256] as const
  const approve = encodeFunctionData({ abi: tokenAbi, functionName: 'approve', args })
  await inOneBlock(
    chain,
    tokens.flatMap((to) =>
      OWNERS.flatMap((owner) => {
        const from = chain.accounts[owner]!.address
        const minted = [from, LIVES * POCKET] as const
        const mint = encodeFunctionData({ abi: tokenAbi, functionName: 'mint', args: minted })
        return [mint, approve].map((data) => ({ from, to, data }))
      }),
    ),
  )
  await chain.testClient.mine({ blocks: DEEPEST })
}

/** Mines transactions together; throws when one failed. */
async function inOneBlock(
  { testClient, publicClient }: LocalChain,
  transactions: readonly { from: Address; to: Address; data: Hex }[],
): Promise<void> {
  await testClient.setAutomine(false)
  const hashes: Hex[] = []
  for (const { from, to, data } of transactions) {
    const params = [{ from, to, data, gas: GAS }] as never
    hashes.push(
      await testClient.request<{ ReturnType: Hex }>({
        method: 'eth_sendTransaction',
        params,
      }),
    )
  }
  await testClient.mine({ blocks: 1 })
  await testClient.setAutomine(true)
  for (const hash of hashes)
    if ((await publicClient.getTransactionReceipt({ hash })).status !== 'success')
      throw new Error('pockets were not filled')
}

/** Begins a life with {@link fillPockets filled} pockets. Lives of different seeds ask different questions. */
export async function createLife(
  chain: LocalChain,
  { seed, tokens }: { seed: bigint; tokens: readonly Address[] },
): Promise<Life> {
  const { multiverse, worlds } = chain.deployment.addresses
  const address = (index: number) => chain.accounts[index]!.address
  const questions: Question[] = []
  const holdings = new Map<string, Holding>()
  const reports: Report[] = []
  let state = seed
  const draw = (below: number) => {
    state = (state + 0x9e3779b97f4a7c15n) & ((1n << 64n) - 1n)
    return Number(mix64(state) % BigInt(below))
  }
  const pick = <T>(from: readonly T[]): T | undefined =>
    from.length === 0 ? undefined : from[draw(from.length)]
  const part = ({ amount }: Holding) =>
    draw(3) === 0 ? amount : 1n + ((amount - 1n) * BigInt(draw(100))) / 100n

  const send = async (from: number, to: Address, data: Hex) => {
    const request = {
      method: 'eth_sendTransactionSync' as never,
      params: [{ from: address(from), to, data, gas: GAS }] as never,
    }
    const receipt = await chain.testClient.request<{ ReturnType: { status: Hex } }>(request)
    if (receipt.status !== '0x1') throw new Error(`a drawn action was refused: ${data}`)
  }
  const ledger = (from: number, data: Hex) => send(from, multiverse, data)
  const encode = encodeFunctionData
  const abi = multiverseAbi

  const at = (owner: number, token: Address, path: Path): Holding => {
    const key = `${owner} ${token} ${verseId(path)}`
    const known = holdings.get(key) ?? { owner, token, path, amount: 0n }
    holdings.set(key, known)
    return known
  }
  const held = (isFit: (holding: Holding) => boolean) =>
    [...holdings.values()].filter((each) => each.amount > 0n && isFit(each))
  const children = (path: Path, { id, live }: Question) => {
    const all = childPaths(path, id)
    return live.map((outcome) => all[outcome]!)
  }
  const open = () => questions.filter(({ live }) => live.length > 1)
  const isIn = (path: Path, id: Hex) => path.some(({ question }) => question === id)
  const find = (id: Hex) => questions.find((question) => question.id === id)!
  /** What an owner can pull up to `parent` by `question`. */
  const pullable = (owner: number, token: Address, parent: Path, question: Question) =>
    children(parent, question)
      .map((path) => at(owner, token, path).amount)
      .reduce((least, amount) => (amount < least ? amount : least))
  const pulled = (owner: number, token: Address, parent: Path, by: Question, amount: bigint) => {
    for (const child of children(parent, by)) at(owner, token, child).amount -= amount
    at(owner, token, parent).amount += amount
  }

  const ask = async (isShort: boolean) => {
    const { timestamp } = await chain.publicClient.getBlock()
    const terms: QuestionTerms = {
      oracle: address(ORACLE),
      outcomes: 2 + draw(3),
      deadline: isShort
        ? timestamp + 100_000n + BigInt(draw(1_000))
        : (1n << 40n) + BigInt(draw(2 ** 30)),
      specHash: wordOf(seed),
      termsHash: wordOf(BigInt(questions.length)),
    }
    const { oracle, outcomes, deadline, specHash, termsHash } = terms
    const args = [oracle, outcomes, deadline, specHash, termsHash, ''] as const
    await ledger(0, encode({ abi, functionName: 'ask', args }))
    const live = Array.from({ length: outcomes }, (_, outcome) => outcome)
    questions.push({ id: questionId(terms), terms, live, isShort })
  }

  /** A parent and a question by which something of an owner can be pulled up to it. */
  const drawPull = () => {
    const holding = pick(held(({ path }) => path.length > 0))
    const answer: Answer | undefined = pick(holding?.path ?? [])
    if (holding === undefined || answer === undefined) return null
    const question = find(answer.question)
    const parent = removeAnswer(holding.path, question.id)
    const amount = pullable(holding.owner, holding.token, parent, question)
    return amount === 0n ? null : { ...holding, question, parent, amount }
  }

  const worldsOf = (question: Question) => {
    const { outcomes } = question.terms
    let left = WAD
    return Array.from({ length: outcomes }, (_, outcome) => {
      const probability = outcome === outcomes - 1 ? left : (left * BigInt(draw(100))) / 100n
      left -= probability
      return {
        stateRoot: wordOf(BigInt(draw(2 ** 30))),
        cost: BigInt(draw(2 ** 30)),
        probability,
        trit: draw(3) - 1,
        verdict: draw(4),
      }
    })
  }

  /** Each does one thing, or says that it cannot be done now. */
  const actions: Record<string, () => Promise<boolean>> = {
    async ask() {
      if (questions.length >= MAX_QUESTIONS) return false
      await ask(draw(3) === 0)
      return true
    },
    async pushDown() {
      const parents = held(({ path }) => path.length < MAX_DEPTH)
      // Half of the time from the deepest there is.
      const most = Math.max(...parents.map(({ path }) => path.length))
      const holding = pick(
        draw(2) === 0 ? parents : parents.filter(({ path }) => path.length === most),
      )
      const question = pick(open().filter(({ id }) => !isIn(holding?.path ?? [], id)))
      if (holding === undefined || question === undefined) return false
      const { owner, token, path } = holding
      const [amount, to] = [part(holding), pick(OWNERS)!]
      const args = [path, question.id, token, amount, address(to)] as const
      await ledger(owner, encode({ abi, functionName: 'pushDown', args }))
      holding.amount -= amount
      for (const child of children(path, question)) at(to, token, child).amount += amount
      return true
    },
    async pullUp() {
      const pull = drawPull()
      if (pull === null) return false
      const amount = part(pull)
      const args = [pull.parent, pull.question.id, pull.token, amount, address(pull.owner)] as const
      await ledger(pull.owner, encode({ abi, functionName: 'pullUp', args }))
      pulled(pull.owner, pull.token, pull.parent, pull.question, amount)
      return true
    },
    async pullUpFor() {
      const pull = drawPull()
      if (pull === null) return false
      const by = OWNERS.find((each) => each !== pull.owner)!
      const allow = [address(by), true] as const
      await ledger(pull.owner, encode({ abi, functionName: 'setRedeemer', args: allow }))
      const amount = part(pull)
      const args = [address(pull.owner), pull.parent, pull.question.id, pull.token, amount] as const
      await ledger(by, encode({ abi, functionName: 'pullUpFor', args }))
      pulled(pull.owner, pull.token, pull.parent, pull.question, amount)
      if (draw(2) === 0)
        await ledger(
          pull.owner,
          encode({ abi, functionName: 'setRedeemer', args: [address(by), false] }),
        )
      return true
    },
    async exit() {
      const first = drawPull()
      if (first === null) return false
      const { owner, token } = first
      const levels = [{ path: first.parent, question: first.question.id, amount: first.amount }]
      pulled(owner, token, first.parent, first.question, first.amount)
      const answer: Answer | undefined = pick(first.parent)
      if (answer !== undefined) {
        const question = find(answer.question)
        const path = removeAnswer(first.parent, question.id)
        const amount = pullable(owner, token, path, question)
        if (amount > 0n) {
          levels.push({ path, question: question.id, amount })
          pulled(owner, token, path, question, amount)
        }
      }
      const args = [levels, token, address(owner)] as const
      await ledger(owner, encode({ abi, functionName: 'exit', args }))
      return true
    },
    async transfer() {
      const holding = pick(held(({ path }) => path.length > 0))
      if (holding === undefined) return false
      const [amount, to] = [part(holding), pick(OWNERS)!]
      const id = positionId(verseId(holding.path), holding.token)
      await ledger(
        holding.owner,
        encode({ abi, functionName: 'transfer', args: [address(to), id, amount] }),
      )
      holding.amount -= amount
      at(to, holding.token, holding.path).amount += amount
      return true
    },
    async transferFrom() {
      const holding = pick(held(({ path }) => path.length > 0))
      if (holding === undefined) return false
      const { owner, token, path } = holding
      const [amount, to] = [part(holding), pick(OWNERS)!]
      const by = OWNERS.find((each) => each !== owner)!
      const id = positionId(verseId(path), token)
      if (draw(2) === 0)
        await ledger(
          owner,
          encode({
            abi,
            functionName: 'approve',
            args: [address(by), id, draw(2) === 0 ? 2n ** 256n - 1n : amount],
          }),
        )
      else
        await ledger(owner, encode({ abi, functionName: 'setOperator', args: [address(by), true] }))
      const args = [address(owner), address(to), id, amount] as const
      await ledger(by, encode({ abi, functionName: 'transferFrom', args }))
      holding.amount -= amount
      at(to, token, path).amount += amount
      return true
    },
    async describe() {
      const holding = pick([...holdings.values()].filter(({ path }) => path.length > 0))
      if (holding === undefined) return false
      const args = [holding.path, holding.token] as const
      await ledger(0, encode({ abi, functionName: 'describe', args }))
      return true
    },
    async narrow() {
      const question = pick(open())
      if (question === undefined || draw(2) === 0) return false
      const { live } = question
      const rest = live.filter((outcome) => outcome !== live[draw(live.length - 1)])
      const survivors = rest.length > 1 && draw(2) > 0 ? rest : [pick(live)!]
      const mask = survivors.reduce((bits, outcome) => bits | (1n << BigInt(outcome)), 0n)
      await ledger(ORACLE, encode({ abi, functionName: 'narrow', args: [question.id, mask] }))
      question.live = survivors
      return true
    },
    async expire() {
      const question = questions.find(({ live, isShort }) => isShort && live.length > 1)
      if (question === undefined || draw(3) > 0) return false
      const { deadline, outcomes } = question.terms
      const { timestamp } = await chain.publicClient.getBlock()
      if (timestamp < deadline) {
        await chain.testClient.setNextBlockTimestamp({ timestamp: deadline + 1n })
        await chain.testClient.mine({ blocks: 1 })
      }
      // Time decides for all whose deadline came.
      for (const each of questions)
        if (each.terms.deadline <= deadline + 1n && each.live.length > 1)
          each.live = [each.terms.outcomes - 1]
      if (draw(2) === 0)
        await ledger(0, encode({ abi, functionName: 'expire', args: [question.id] }))
      question.live = [outcomes - 1]
      return true
    },
    async report() {
      const holding = pick(held(() => true))
      const question = pick(open().filter(({ id }) => !isIn(holding?.path ?? [], id)))
      const keeper = pick(KEEPERS)!
      if (holding === undefined || question === undefined) return false
      const path = holding.path
      if (
        reports.some(
          (each) =>
            each.keeper === keeper &&
            each.question === question &&
            verseId(each.path) === verseId(path),
        )
      )
        return false
      const args = [path, question.id, worldsOf(question)] as const
      await send(keeper, worlds, encode({ abi: worldsAbi, functionName: 'report', args }))
      reports.push({ keeper, path, question })
      return true
    },
    async updateProbabilities() {
      const report = pick(reports.filter(({ question }) => question.live.length > 1))
      if (report === undefined) return false
      const probabilities = worldsOf(report.question).map(({ probability }) => probability)
      const args = [verseId(report.path), report.question.id, probabilities] as const
      await send(
        report.keeper,
        worlds,
        encode({ abi: worldsAbi, functionName: 'updateProbabilities', args }),
      )
      return true
    },
  }
  const often = ['pushDown', 'pushDown', 'pushDown', 'transfer', 'pullUp']
  const kinds = [...Object.keys(actions), ...often]

  for (const token of tokens) for (const owner of OWNERS) at(owner, token, []).amount = POCKET
  await ask(false)
  await ask(false)
  await ask(true)

  return {
    async step() {
      for (;;) {
        const kind = pick(kinds)!
        if (await actions[kind]!()) return kind
      }
    },
    keys: () =>
      [...new Set([...holdings.values()].filter(({ path }) => path.length > 0))].map(
        ({ owner, token, path }): Key =>
          `${address(owner).toLowerCase() as Address} ${wordOf(positionId(verseId(path), token))}`,
      ),
    async resync() {
      const { publicClient } = chain
      const call = { address: multiverse, abi } as const
      const asked = await Promise.all(
        questions.map(({ id }) =>
          publicClient.readContract({ ...call, functionName: 'questions', args: [id] }),
        ),
      )
      const left = questions.filter((_, index) => asked[index]!.status !== 0)
      await Promise.all(
        left.map(async (question) => {
          const mask = await publicClient.readContract({
            ...call,
            functionName: 'live',
            args: [question.id],
          })
          question.live = outcomesIn(mask)
        }),
      )
      questions.splice(0, questions.length, ...left)
      await Promise.all(
        [...holdings.values()].map(async (holding) => {
          const args = [verseId(holding.path), holding.token, address(holding.owner)] as const
          const amount = holding.path.every(({ question }) => isKnown(left, question))
            ? await publicClient.readContract({ ...call, functionName: 'multiverseMap', args })
            : 0n
          // The lives that follow live on the rest.
          holding.amount = holding.path.length === 0 && amount > POCKET ? POCKET : amount
        }),
      )
      const stands = await Promise.all(
        reports.map(({ keeper, path, question }) =>
          publicClient.readContract({
            address: worlds,
            abi: worldsAbi,
            functionName: 'reportHash',
            args: [address(keeper), verseId(path), question.id],
          }),
        ),
      )
      const kept = reports.filter((_, index) => stands[index] !== NOTHING)
      reports.splice(0, reports.length, ...kept)
    },
  }
}

function isKnown(questions: readonly Question[], id: Hex): boolean {
  return questions.some((question) => question.id === id)
}

function wordOf(value: bigint): Hex {
  return numberToHex(value, { size: 32 })
}
