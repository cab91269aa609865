import { type Address, type Hex, isAddressEqual } from 'viem'
import { multiverseAbi } from '../../sdk/abi.ts'
import { getQuestion } from '../../sdk/actions.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import { outcomesOf } from '../../sdk/ids.ts'
import { parseSpec } from '../../sdk/spec.ts'
import { type Rpc, rpcError } from '../chain/rpc.ts'
import { errorFields, type Log } from '../log.ts'
import type { SpecLoader } from '../specs.ts'
import type { AnswerStore } from '../store/answers.ts'
import type { ChainStore } from '../store/chain.ts'
import type { Database } from '../store/database.ts'
import type { Queue } from '../store/queue.ts'
import type { SpecStore } from '../store/specs.ts'
import type { Sender } from '../tx/send.ts'
import { failure } from './outcome.ts'
import type { Work } from './retries.ts'

/** The work on answers of questions whose oracle is the keeper itself. */
export type AnswerJobs = {
  /**
   * Records an answer that somebody gave by hand; it will be posted, whatever happens to the process. The same answer
   * again is taken as said.
   * @throws UNKNOWN_QUESTION, NOT_ORACLE, OUTCOME_OUT_OF_RANGE, UNKNOWN_LABEL, ALREADY_RESOLVED, ALREADY_ANSWERED,
   * DEADLINE_PASSED, RPC_FAILED
   */
  give(question: Hex, outcome: number | string): Promise<{ question: Hex; outcome: number }>
} & Omit<Work, 'queue'>

export type AnswerJobsOptions = {
  rpc: Rpc
  db: Database
  chain: ChainStore
  specs: SpecStore
  answers: AnswerStore
  queue: Queue
  sender: Sender
  loadSpec: SpecLoader
  multiverse: Address
  confirmations: number
  log: Log
}

const UNKNOWN = 0
const RESOLVED = 3

export function createAnswerJobs(options: AnswerJobsOptions): AnswerJobs {
  const { rpc, db, chain, specs, answers, queue, sender, multiverse, confirmations, log } = options

  const onChain = (question: Hex) =>
    getQuestion(rpc, { multiverse, question }).catch((error: unknown) => {
      throw rpcError(error)
    })

  async function give(question: Hex, said: number | string) {
    const { status, oracle, deadline, winner } = await onChain(question)
    if (status === UNKNOWN)
      throw new MultiverseError('UNKNOWN_QUESTION', `nobody asked question ${question}`)
    if (!isAddressEqual(oracle, sender.address))
      throw new MultiverseError(
        'NOT_ORACLE',
        `the oracle of question ${question} is ${oracle}, this keeper is ${sender.address}`,
      )
    const outcome = typeof said === 'number' ? said : await outcomeOf(question, said)
    const outcomes = outcomesOf(question)
    if (!Number.isInteger(outcome) || outcome < 0 || outcome >= outcomes)
      throw new MultiverseError(
        'OUTCOME_OUT_OF_RANGE',
        `outcome ${outcome} is not below ${outcomes} in question ${question}`,
      )
    if (status === RESOLVED) {
      if (winner === outcome) return { question, outcome }
      throw new MultiverseError(
        'ALREADY_RESOLVED',
        `question ${question} was answered with outcome ${winner}`,
      )
    }
    const now = chain.view().head?.timestamp ?? 0
    if (BigInt(now) >= deadline)
      throw new MultiverseError(
        'DEADLINE_PASSED',
        `the deadline ${deadline} of question ${question} has passed: void has won`,
      )
    const recorded = await db.transaction(async (tx) => {
      const recorded = await answers.want(tx, { question, outcome, source: 'manual' })
      await queue.add(tx, 'answer', [question])
      return recorded
    })
    if (recorded.outcome !== outcome)
      throw new MultiverseError(
        'ALREADY_ANSWERED',
        `question ${question} is being answered with outcome ${recorded.outcome}`,
      )
    queue.wake('answer', 1)
    log.info({ question, outcome }, 'answer.given')
    return { question, outcome }
  }

  /** The outcome with this label in the question's spec. */
  async function outcomeOf(question: Hex, label: string): Promise<number> {
    const known = await specs.question(question)
    if (!known)
      throw new MultiverseError(
        'UNKNOWN_LABEL',
        `the spec of question ${question} is not known yet: give the outcome's number for ${label}`,
      )
    const kept = await specs.get(known.specHash)
    const { labels } = kept
      ? parseSpec(kept)
      : await options.loadSpec({ ...known, question, uris: await specs.uris(question) })
    const outcome = labels.indexOf(label)
    if (outcome === -1)
      throw new MultiverseError(
        'OUTCOME_OUT_OF_RANGE',
        `question ${question} has no outcome ${label}, only ${labels.join(', ')}`,
      )
    return outcome
  }

  async function refuse(id: string, error: unknown): Promise<void> {
    const question = id as Hex
    await answers.refused(question, failure(error))
    log.error({ question, ...errorFields(error) }, 'answer.refused')
  }

  async function post(question: Hex): Promise<void> {
    const wanted = await answers.load(question)
    if (wanted?.state !== 'wanted') return
    const { outcome, source } = wanted
    const known = await specs.question(question)
    if (confirmations > 0) {
      if (!known || known.askedBlock === null)
        throw new MultiverseError('QUESTION_UNSEEN', `question ${question} was not seen yet`, {
          isRetryable: true,
        })
      if (await waitFor(question, known.askedBlock + confirmations)) return
    }
    const purpose = `answer:${question}`
    let mined = await sender.performed(purpose)
    if (!mined) {
      const { status, winner } = await onChain(question)
      if (status === RESOLVED && winner !== outcome)
        throw new MultiverseError(
          'ALREADY_RESOLVED',
          `question ${question} was answered with outcome ${winner}, not ${outcome}`,
        )
      // Answered so already, by an earlier life that left no books.
      if (status === RESOLVED) return answers.mined(question, null, [])
      mined = await sender.perform(purpose, {
        to: multiverse,
        abi: multiverseAbi,
        functionName: 'narrow',
        args: [question, 1n << BigInt(outcome)],
      })
    }
    const { tx, block } = mined
    if (confirmations > 0 && (await waitFor(question, block + confirmations))) return
    await answers.mined(question, mined, [
      { kind: 'question.answered', question, outcome, source, txHash: tx, blockNumber: block },
    ])
    log.info({ question, outcome, source, tx, block }, 'question.answered')
  }

  /** Has the job come again when the head is `block`. False when it is already. */
  async function waitFor(question: Hex, block: number): Promise<boolean> {
    if (chain.view().reach >= block) return false
    await answers.wait(question, block)
    return true
  }

  return {
    give,
    run: (question) => post(question as Hex),
    bury: refuse,
    // It stays wanted: whoever may send again posts it.
    withhold: async () => {},
  }
}
