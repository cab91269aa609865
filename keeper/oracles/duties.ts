import type { Hex, LocalAccount } from 'viem'
import { multiverseAbi } from '../../sdk/abi.ts'
import type { Deployment } from '../../sdk/deployment.ts'
import { isMultiverseError } from '../../sdk/errors.ts'
import type { LoadedSpec } from '../../sdk/spec.ts'
import type { OracleKind } from '../../sdk/terms.ts'
import type { Rpc } from '../chain/rpc.ts'
import { type FetchLimits, isPublicAddress } from '../fetch.ts'
import { failure } from '../jobs/outcome.ts'
import type { Work } from '../jobs/retries.ts'
import { errorFields, type Log } from '../log.ts'
import type { SpecLoader } from '../specs.ts'
import type { AnswerStore } from '../store/answers.ts'
import type { ChainStore } from '../store/chain.ts'
import type { Database } from '../store/database.ts'
import type { DutyRecord, DutyStore, Rest } from '../store/duties.ts'
import type { Journal } from '../store/journal.ts'
import type { Queue } from '../store/queue.ts'
import type { SpecStore } from '../store/specs.ts'
import { createStakeStore } from '../store/stakes.ts'
import type { VerdictStore } from '../store/verdicts.ts'
import type { Sender } from '../tx/send.ts'
import { createCommitteeDuty } from './committee.ts'
import { type Next, rest, type Serve } from './context.ts'
import { createDecider } from './decide.ts'
import { createHanded, type Handed } from './handed.ts'
import { MAX_SOURCE_BYTES } from './http.ts'
import { createOptimisticDuty } from './optimistic.ts'
import { createQuestions, termsOf } from './questions.ts'
import { createPriceDuty, createRealityDuty } from './settle.ts'
import type { DutyConfig } from './settings.ts'

/** The work on questions whose answer is an oracle contract's, or comes from a source outside of the worlds. */
export type Duties = Pick<Work, 'run' | 'bury' | 'withhold'> &
  Handed & {
    /** Adds a job for every duty that waits for nothing. */
    wakeOpen(): Promise<void>
  }

export type DutiesOptions = {
  config: DutyConfig & { specTimeoutMs: number; allowPrivateUrls: boolean }
  db: Database
  queue: Queue
  rpc: Rpc
  chain: Pick<ChainStore, 'view'>
  duties: DutyStore
  verdicts: VerdictStore
  answers: AnswerStore
  specs: SpecStore
  journal: Journal
  sender: Sender
  account: LocalAccount
  deployment: Deployment
  confirmations: number
  loadSpec: SpecLoader
  log: Log
}

const RESOLVED = 3
/** What was declined is looked at again after so many seconds. */
const LOOK_AGAIN_S = 60
/** A source that is not final yet, a chain that moved: looked at again at most so often in one run. */
const MAX_MOVES = 16

export function createDuties(options: DutiesOptions): Duties {
  const { config, db, queue, rpc, chain, duties, sender, deployment, log } = options
  const { multiverse } = deployment.addresses
  const limits: FetchLimits = {
    what: 'SOURCE',
    maxBytes: MAX_SOURCE_BYTES,
    timeoutMs: config.specTimeoutMs,
    allowHttp: config.allowPrivateUrls,
    isAllowed: config.allowPrivateUrls ? () => true : isPublicAddress,
  }
  const decider = createDecider({ db, duties, rpc, limits })
  const serving = { ...options, ...decider }
  const optimistic = createOptimisticDuty({ ...serving, stakes: createStakeStore(db) })
  const committee = createCommitteeDuty({ ...serving, chainId: deployment.chainId })
  const questions = createQuestions({ ...options, multiverse })
  const handed = createHanded({ ...options, questions, committee })
  const serve: Record<OracleKind, Serve> = {
    optimistic: optimistic.serve,
    committee: committee.serve,
    price: createPriceDuty(serving),
    reality: createRealityDuty(serving),
  }

  async function run(key: string): Promise<void> {
    const question = key as Hex
    for (let move = 0; move < MAX_MOVES; move++) {
      const record = await duties.load(question)
      if (record === null || record.state === 'done') return
      const next = await advance(record)
      if (next === null) return
      if (next.kind === 'again') continue
      await duties.rest(question, next.rest)
      const { code, message } = next.rest.reason ?? {}
      log.debug({ question, code, reason: message, until: next.rest.time }, 'duty.rests')
      if (!(await isDue(record, next.rest))) return
    }
  }

  /** Whether what is waited for came before it was known that somebody waits. */
  async function isDue({ question }: DutyRecord, { block, time, forPipeline }: Rest) {
    const { head, reach } = chain.view()
    if (block !== undefined && reach >= block) return true
    if (head && time != null && head.timestamp >= time) return true
    return forPipeline === true && (await duties.verified(question)) !== null
  }

  /** The next thing to do; null when the duty is done. */
  async function advance(record: DutyRecord): Promise<Next | null> {
    const { question, askedBlock, resolvedBlock } = record
    const { head, deep, deepTime } = chain.view()
    if (askedBlock === null || head === null) return rest('QUESTION_UNSEEN', 'not asked yet')
    if (askedBlock > deep)
      return { kind: 'rest', rest: { reason: null, block: askedBlock + options.confirmations } }
    if (resolvedBlock !== null) {
      if (resolvedBlock > deep)
        return {
          kind: 'rest',
          rest: { reason: null, block: resolvedBlock + options.confirmations },
        }
      return finish(record)
    }
    const { deadline, status } = await questions.onChain(question)
    // Whoever answered: the block that says so is still to be followed.
    if (status === RESOLVED) return rest('RESOLVED_UNSEEN', 'answered in a block not followed yet')
    if (BigInt(deepTime) >= deadline) return expire(record, deadline)
    const next = await serveOpen(record, deadline, head.timestamp)
    if (next.kind === 'again') return next
    // Whatever else is waited for, time decides in the end.
    const time = Math.min(next.rest.time ?? Infinity, Number(deadline))
    return { kind: 'rest', rest: { ...next.rest, time } }
  }

  async function serveOpen(record: DutyRecord, deadline: bigint, now: number): Promise<Next> {
    const { question, kind, oracle, outcomes, specHash } = record
    if (record.decision?.source !== 'manual' && !(await duties.isServed(question)))
      return rest('DECLINED', 'no partition of it is served', now + LOOK_AGAIN_S)
    const loaded = await questions.specOf(record)
    if (kind === 'own') return answerByOneself(record, loaded, now)
    const key = { outcomes, deadline, specHash }
    const terms = termsOf(record, loaded, deadline)
    if (terms === null)
      return rest('TERMS_UNKNOWN', 'the spec does not name the terms that the question binds')
    return serve[kind]({ record, question, oracle, key, terms, loaded, now })
  }

  /** The keeper is the oracle: what worlds and people say is seen to elsewhere, what other sources say here. */
  async function answerByOneself(
    { question }: DutyRecord,
    loaded: LoadedSpec,
    now: number,
  ): Promise<Next> {
    const { source } = loaded.spec.outcome
    if (source === 'pipeline' || source === 'manual') return rest('ANSWERED_ELSEWHERE', source)
    const look = await decider.decide({ question, loaded, now })
    if (look.kind === 'undecided') return rest(look.code, look.message, look.until)
    const { outcome } = look.decision
    await db.transaction(async (tx) => {
      await options.answers.want(tx, { question, outcome, source })
      await queue.add(tx, 'answer', [question])
    })
    queue.wake('answer', 1)
    return rest('ANSWER_WANTED', `outcome ${outcome} is being posted`)
  }

  async function expire({ question }: DutyRecord, deadline: bigint): Promise<Next> {
    if (!config.duties.has('expire')) return rest('EXPIRE_OFF', 'expiring is not among its duties')
    const call = { to: multiverse, abi: multiverseAbi, functionName: 'expire', args: [question] }
    try {
      const { tx } = await sender.perform(`expire:${question}`, call)
      log.info({ question, tx }, 'question.expired')
      return rest('EXPIRED', 'recorded that void has won')
    } catch (error) {
      // The chain's time went back with a block that was taken back.
      if (!isMultiverseError(error, 'DEADLINE_NOT_REACHED')) throw error
      return rest(error.code, error.message, Number(deadline))
    }
  }

  /** The question has its answer for good: what was at stake comes back, and who told the ledger is written down. */
  async function finish({ question, kind, oracle }: DutyRecord): Promise<null> {
    if (kind === 'optimistic') await optimistic.claim(oracle, question)
    const settled = kind === 'own' ? null : await sender.performed(`settle:${question}`)
    const { winner } = await questions.onChain(question)
    await db.transaction(async (tx) => {
      if (!(await duties.finish(tx, question)) || settled === null) return
      await options.journal.append(tx, [
        {
          kind: 'question.answered',
          question,
          outcome: winner,
          source: kind,
          txHash: settled.tx,
          blockNumber: settled.block,
        },
      ])
    })
    log.info({ question, kind }, 'duty.done')
    return null
  }

  return {
    ...handed,
    run,
    bury: async (question, error) => {
      await duties.bury(question as Hex, failure(error), chain.view().deepTime)
      log.warn({ question, ...errorFields(error) }, 'duty.failed')
    },
    withhold: async (question, error) =>
      duties.rest(question as Hex, { reason: failure(error), time: null }),
    async wakeOpen() {
      const count = await db.transaction(async (tx) => {
        const questions = await duties.awake(tx)
        await queue.add(tx, 'duty', questions)
        return questions.length
      })
      queue.wake('duty', count)
    },
  }
}
