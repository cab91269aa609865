import { type Address, type Hex, isAddressEqual, type LocalAccount } from 'viem'
import { multiverseAbi } from '../../sdk/abi.ts'
import { getQuestion } from '../../sdk/actions.ts'
import type { Deployment } from '../../sdk/deployment.ts'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import { outcomesOf } from '../../sdk/ids.ts'
import { type LoadedSpec, parseSpec } from '../../sdk/spec.ts'
import { areTermsOf, ORACLE_KINDS, oracleAddress, type OracleKind } from '../../sdk/terms.ts'
import { type Rpc, rpcError } from '../chain/rpc.ts'
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
import type { Verdict, VerdictStore } from '../store/verdicts.ts'
import type { Sender } from '../tx/send.ts'
import { createCommitteeDuty } from './committee.ts'
import { type Next, rest, type Serve } from './context.ts'
import { createDecider, said } from './decide.ts'
import { MAX_SOURCE_BYTES } from './http.ts'
import { createOptimisticDuty } from './optimistic.ts'
import { createPriceDuty, createRealityDuty } from './settle.ts'
import type { DutyConfig } from './settings.ts'

/** The work on questions whose answer is an oracle contract's, or comes from a source outside of the worlds. */
export type Duties = Pick<Work, 'run' | 'bury' | 'withhold'> & {
  /**
   * Takes an answer that somebody gives by hand, when the question's oracle is a contract that the keeper serves; null when it
   * is none.
   * @throws UNKNOWN_QUESTION, OUTCOME_OUT_OF_RANGE, ALREADY_ANSWERED, RPC_FAILED
   */
  give(question: Hex, outcome: number | string): Promise<{ question: Hex; outcome: number } | null>
  /** What members of a committee signed of a question, as far as it is known here. */
  verdicts(question: Hex): Promise<Verdict[]>
  /**
   * Takes what a member of a committee signed, whoever brings it. Gives how many signatures of the question are known then.
   * @throws UNKNOWN_QUESTION, TERMS_UNKNOWN, NOT_A_MEMBER, NOT_SIGNED, ALREADY_ANSWERED, RPC_FAILED
   */
  take(verdict: Verdict): Promise<number>
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

const UNKNOWN = 0
const RESOLVED = 3
/** What was declined is looked at again after so many seconds. */
const LOOK_AGAIN_S = 60
/** A source that is not final yet, a chain that moved: looked at again at most so often in one run. */
const MAX_MOVES = 16

export function createDuties(options: DutiesOptions): Duties {
  const { config, db, queue, rpc, chain, duties, verdicts, specs, sender, deployment, log } =
    options
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
    const { deadline, status } = await onChain(question)
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
    const loaded = await specOf(record)
    if (kind === 'own') return answerByOneself(record, loaded, now)
    const key = { outcomes, deadline, specHash }
    const terms = termsOf(record, loaded, deadline)
    if (terms === null)
      return rest('TERMS_UNKNOWN', 'the spec does not name the terms that the question binds')
    return serve[kind]({ record, question, oracle, key, terms, loaded, now })
  }

  async function take(verdict: Verdict): Promise<number> {
    const { question } = verdict
    const record = await duties.load(question)
    if (record?.kind !== 'committee')
      throw new MultiverseError(
        'UNKNOWN_QUESTION',
        `question ${question} is none of a committee that this keeper has seen somebody push into`,
      )
    const { deadline } = await onChain(question)
    const terms = termsOf(record, await specOf(record), deadline)
    if (terms === null)
      throw new MultiverseError(
        'TERMS_UNKNOWN',
        `the spec of question ${question} does not name the terms that the question binds`,
      )
    const known = await committee.accept(record.oracle, terms, verdict)
    await db.transaction((tx) => queue.add(tx, 'duty', [question]))
    queue.wake('duty', 1)
    log.info({ question, signer: verdict.signer }, 'verdict.taken')
    return known
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
    const { winner } = await onChain(question)
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

  async function specOf(record: Pick<DutyRecord, 'question' | 'specHash' | 'outcomes'>) {
    const { question, specHash } = record
    const kept = await specs.get(specHash)
    if (kept !== null) return parseSpec(kept)
    const loaded = await options.loadSpec({ ...record, uris: await specs.uris(question) })
    await db.transaction((tx) => specs.put(tx, specHash, loaded.json))
    return loaded
  }

  const onChain = (question: Hex) =>
    getQuestion(rpc, { multiverse, question }).catch((error: unknown) => {
      throw rpcError(error)
    })

  function kindOf(oracle: Address): OracleKind | undefined {
    return ORACLE_KINDS.find((kind) => {
      const address = oracleAddress(deployment, kind)
      return address !== undefined && isAddressEqual(address, oracle)
    })
  }

  async function give(question: Hex, answer: number | string) {
    const { status, oracle } = await onChain(question)
    if (status === UNKNOWN)
      throw new MultiverseError('UNKNOWN_QUESTION', `nobody asked question ${question}`)
    const kind = kindOf(oracle)
    if (kind === undefined) return null
    const known = await specs.question(question)
    if (known === null)
      throw new MultiverseError('QUESTION_UNSEEN', `question ${question} was not seen yet`, {
        isRetryable: true,
      })
    const outcome =
      typeof answer === 'number'
        ? answer
        : (await specOf({ ...known, question })).labels.indexOf(answer)
    if (outcome < 0 || outcome >= outcomesOf(question))
      throw new MultiverseError(
        'OUTCOME_OUT_OF_RANGE',
        `question ${question} has no outcome ${answer}`,
      )
    const stands = await db.transaction(async (tx) => {
      await duties.open(tx, question, kind)
      const stands = await duties.decide(tx, question, said(outcome))
      await queue.add(tx, 'duty', [question])
      return stands
    })
    if (stands.outcome !== outcome)
      throw new MultiverseError(
        'ALREADY_ANSWERED',
        `question ${question} is being answered with outcome ${stands.outcome}, by ${stands.source}`,
      )
    queue.wake('duty', 1)
    log.info({ question, outcome, kind }, 'answer.given')
    return { question, outcome }
  }

  return {
    run,
    bury: async (question, error) => {
      await duties.bury(question as Hex, failure(error))
      log.warn({ question, ...errorFields(error) }, 'duty.failed')
    },
    withhold: async (question, error) =>
      duties.rest(question as Hex, { reason: failure(error), time: null }),
    give,
    take,
    verdicts: (question) => verdicts.of(question),
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

/** The oracle's parameters, as the spec says and the question binds them; null when it says others, or none. */
function termsOf(
  { question, oracle, outcomes, specHash }: DutyRecord,
  { spec: { terms } }: LoadedSpec,
  deadline: bigint,
): Hex | null {
  const bound = { oracle, outcomes, deadline, specHash }
  return terms !== undefined && areTermsOf(question, bound, terms) ? terms : null
}
