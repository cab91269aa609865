import { type Address, type Hex, isAddressEqual } from 'viem'
import type { Deployment } from '../../sdk/deployment.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import { outcomesOf } from '../../sdk/ids.ts'
import { ORACLE_KINDS, oracleAddress, type OracleKind } from '../../sdk/terms.ts'
import type { Log } from '../log.ts'
import type { Database } from '../store/database.ts'
import type { DutyStore } from '../store/duties.ts'
import type { Queue } from '../store/queue.ts'
import type { SpecStore } from '../store/specs.ts'
import type { Verdict, VerdictStore } from '../store/verdicts.ts'
import type { createCommitteeDuty } from './committee.ts'
import { said } from './decide.ts'
import { type Questions, termsOf } from './questions.ts'

/** What people and other keepers hand in, for questions whose oracle is a contract. Whoever does not refuse it acts on it. */
export type Handed = {
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
}

const UNKNOWN = 0

export function createHanded(options: {
  db: Database
  queue: Queue
  duties: DutyStore
  verdicts: VerdictStore
  specs: SpecStore
  questions: Questions
  committee: Pick<ReturnType<typeof createCommitteeDuty>, 'accept'>
  deployment: Deployment
  log: Log
}): Handed {
  const { db, queue, duties, verdicts, specs, questions, committee, deployment, log } = options

  async function give(question: Hex, answer: number | string) {
    const { status, oracle } = await questions.onChain(question)
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
        : (await questions.specOf({ ...known, question })).labels.indexOf(answer)
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

  async function take(verdict: Verdict): Promise<number> {
    const { question } = verdict
    const record = await duties.load(question)
    if (record?.kind !== 'committee')
      throw new MultiverseError(
        'UNKNOWN_QUESTION',
        `question ${question} is none of a committee that this keeper has seen somebody push into`,
      )
    const { deadline } = await questions.onChain(question)
    const terms = termsOf(record, await questions.specOf(record), deadline)
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

  function kindOf(oracle: Address): OracleKind | undefined {
    return ORACLE_KINDS.find((kind) => {
      const address = oracleAddress(deployment, kind)
      return address !== undefined && isAddressEqual(address, oracle)
    })
  }

  return { give, take, verdicts: (question) => verdicts.of(question) }
}
