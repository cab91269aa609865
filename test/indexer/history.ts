import type { Address, Hex } from 'viem'
import * as actions from '../../sdk/actions.ts'
import { mix64 } from '../../sdk/gf3.ts'
import {
  type Answer,
  childPaths,
  insertAnswer,
  outcomesIn,
  type Path,
  positionId,
  type QuestionTerms,
  questionId,
  removeAnswer,
  ROOT,
  verseId,
} from '../../sdk/ids.ts'
import type { LocalChain } from '../helpers/chain.ts'

// A random but reproducible life of the ledger: who does what is drawn from a seed, and only what the ledger allows.

const ZERO_HASH: Hex = `0x${'0'.repeat(64)}`
const ORACLE = 9

type Question = { id: Hex; terms: QuestionTerms; live: number[] }

export type History = {
  /** Asks a question whose oracle is the history's; `uri` and hash as given. */
  ask(parts: {
    outcomes: number
    specHash?: Hex
    uri?: string
    deadline?: bigint
  }): Promise<Question>
  /** Gives wallet `owner` tokens and lets the ledger take them. */
  fund(owner: number, amount: bigint): Promise<void>
  pushDown(
    owner: number,
    path: Path,
    question: Question,
    amount: bigint,
    to?: number,
  ): Promise<void>
  pullUp(owner: number, path: Path, question: Question, amount: bigint): Promise<void>
  transfer(from: number, to: number, path: Path, amount: bigint): Promise<void>
  /** Rules outcomes out; with one left the question is resolved. */
  narrow(question: Question, survivors: number[]): Promise<void>
  /** Reads everything again from the chain: after a reorg the history is another one. */
  resync(): Promise<void>
  /** One drawn action; false when what was drawn is impossible now. */
  step(): Promise<boolean>
  owners: Address[]
  /** Every verse and position that can have come about. */
  positions(): { id: Hex; verse: Hex; path: Path }[]
  questions: Question[]
  token: Address
}

export function createHistory(
  chain: LocalChain,
  { seed, wallets = 3 }: { seed: bigint; wallets?: number },
): History {
  const { multiverse, token } = chain.deployment.addresses
  if (token === undefined) throw new Error('the chain has no demo token')
  const owners = Array.from({ length: wallets }, (_, index) => chain.accounts[index]!.address)
  const writers = owners.map((_, index) => chain.wallet(index))
  const oracle = chain.wallet(ORACLE)
  const questions: Question[] = []
  const paths = new Map<Hex, Path>()
  /** Amount by owner's index and verse; at ROOT what the wallet has. */
  const held = new Map<string, bigint>()
  let state = seed
  const draw = (below: number) => {
    state = (state + 0x9e3779b97f4a7c15n) & ((1n << 64n) - 1n)
    return Number(mix64(state) % BigInt(below))
  }
  const pick = <T>(from: readonly T[]): T | undefined => from[draw(Math.max(from.length, 1))]
  const has = (owner: number, path: Path) => held.get(key(owner, path)) ?? 0n
  const add = (owner: number, path: Path, amount: bigint) => {
    paths.set(verseId(path), path)
    held.set(key(owner, path), has(owner, path) + amount)
  }
  const children = (path: Path, { id, live }: Question) => {
    const all = childPaths(path, id)
    return live.map((outcome) => all[outcome]!)
  }
  const part = (of: bigint) => 1n + (of * BigInt(1 + draw(99))) / 100n - 1n || 1n

  const history: History = {
    owners,
    questions,
    token,
    async ask({ outcomes, specHash = ZERO_HASH, uri = '', deadline = 2n ** 40n }) {
      const terms = {
        oracle: chain.accounts[ORACLE]!.address,
        outcomes,
        deadline: deadline + BigInt(questions.length),
        specHash,
        termsHash: ZERO_HASH,
      }
      await actions.ask(writers[0]!, { multiverse, uri, ...terms })
      const live = Array.from({ length: outcomes }, (_, outcome) => outcome)
      const question = { id: questionId(terms), terms, live }
      questions.push(question)
      return question
    },
    async fund(owner, amount) {
      await actions.mint(writers[owner]!, { token, to: owners[owner]!, amount })
      await actions.approve(writers[owner]!, { token, spender: multiverse, amount: 2n ** 255n })
      add(owner, [], amount)
    },
    async pushDown(owner, path, question, amount, to = owner) {
      const move = { multiverse, path, question: question.id, token, amount, to: owners[to]! }
      await actions.pushDown(writers[owner]!, move)
      add(owner, path, -amount)
      for (const child of children(path, question)) add(to, child, amount)
    },
    async pullUp(owner, path, question, amount) {
      const move = { multiverse, path, question: question.id, token, amount }
      await actions.pullUp(writers[owner]!, move)
      for (const child of children(path, question)) add(owner, child, -amount)
      add(owner, path, amount)
    },
    async transfer(from, to, path, amount) {
      const id = positionId(verseId(path), token)
      await actions.transfer(writers[from]!, { multiverse, to: owners[to]!, id, amount })
      add(from, path, -amount)
      add(to, path, amount)
    },
    async narrow(question, survivors) {
      const mask = survivors.reduce((bits, outcome) => bits | (1n << BigInt(outcome)), 0n)
      await actions.narrow(oracle, { multiverse, question: question.id, survivors: mask })
      question.live = survivors
    },
    positions: () =>
      [...paths]
        .filter(([verse]) => verse !== ROOT)
        .map(([verse, path]) => ({ id: hexId(positionId(verse, token)), verse, path })),
    async resync() {
      const states = await Promise.all(
        questions.map((question) =>
          actions.getQuestion(chain.publicClient, { multiverse, question: question.id }),
        ),
      )
      const asked = questions.filter((_, index) => states[index]!.status !== 0)
      for (const question of asked) {
        const mask = await actions.getLive(chain.publicClient, {
          multiverse,
          question: question.id,
        })
        question.live = outcomesIn(mask)
      }
      questions.splice(0, questions.length, ...asked)
      const places = [...paths.entries()]
      const read = places.flatMap(([verse, path]) =>
        owners.map(async (owner, index) => {
          const at = { multiverse, verse, token, owner }
          held.set(key(index, path), await actions.getBalance(chain.publicClient, at))
        }),
      )
      await Promise.all(read)
    },
    async step() {
      const owner = draw(wallets)
      const holdings = [...paths.values()].filter((path) => has(owner, path) > 0n)
      const kind = draw(10)
      if (kind < 4) {
        const path = pick(holdings.filter((each) => each.length < 2))
        const question = pick(
          questions.filter(({ id, live }) => live.length > 1 && !stands(path ?? [], id)),
        )
        if (path === undefined || question === undefined) return false
        await history.pushDown(owner, path, question, part(has(owner, path)), draw(wallets))
      } else if (kind < 7) {
        const path = pick(holdings.filter((each) => each.length > 0))
        if (path === undefined) return false
        await history.transfer(owner, draw(wallets), path, part(has(owner, path)))
      } else if (kind < 9) {
        const path = pick(holdings.filter((each) => each.length > 0))
        const answer = pick(path ?? [])
        if (path === undefined || answer === undefined) return false
        const question = questions.find(({ id }) => id === answer.question)!
        const parent = removeAnswer(path, question.id)
        const amounts = children(parent, question).map((child) => has(owner, child))
        const most = amounts.reduce((least, amount) => (amount < least ? amount : least))
        if (most === 0n) return false
        await history.pullUp(owner, parent, question, part(most))
      } else {
        const question = pick(questions.filter(({ live }) => live.length > 1))
        if (question === undefined) return false
        const { live } = question
        const rest = live.filter((outcome) => outcome !== live[draw(live.length - 1)])
        await history.narrow(question, rest.length > 1 && draw(3) > 0 ? rest : [pick(live)!])
      }
      return true
    },
  }
  return history
}

const key = (owner: number, path: Path) => `${owner} ${verseId(path)}`

function stands(path: Path, question: Hex): boolean {
  return path.some((step: Answer) => step.question === question)
}

function hexId(id: bigint): Hex {
  return `0x${id.toString(16).padStart(64, '0')}`
}

/** `path` with one more answer; shorter to write in tests. */
export function answered(path: Path, question: { id: Hex }, outcome: number): Path {
  return insertAnswer(path, { question: question.id, outcome })
}
