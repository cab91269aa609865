import { setTimeout as sleep } from 'node:timers/promises'
import type { Hex } from 'viem'
import { getQuestion } from '../sdk/actions.ts'
import { isMultiverseError, MultiverseError } from '../sdk/errors.ts'
import { type Ledger, resolutions } from './ledger.ts'
import type { KeeperApi } from './services.ts'

/** How long a keeper may take to answer on chain. */
const ANSWER_MS = 60_000
/** A question's status on the ledger once it has its answer. */
const RESOLVED = 3

/**
 * Has the keeper answer, through restarts of it, and waits for the answer on the chain.
 * @throws NOT_ANSWERED after a minute, and the keeper's codes
 */
export async function answerThrough(
  keeper: KeeperApi,
  ledger: Ledger,
  question: Hex,
  outcome: number,
): Promise<{ tx: Hex; block: number }> {
  const { multiverse } = ledger.deployment.addresses
  const deadline = Date.now() + ANSWER_MS
  let isTold = false
  for (;;) {
    try {
      if (!isTold) await keeper.answer(question, outcome)
      isTold = true
    } catch (error) {
      if (!isMultiverseError(error, 'NO_KEEPER') || Date.now() > deadline) throw error
    }
    const { status, winner } = await getQuestion(ledger.client, { multiverse, question })
    if (status === RESOLVED) {
      if (winner === outcome) break
      throw new MultiverseError(
        'ALREADY_RESOLVED',
        `question ${question} was answered with outcome ${winner}`,
      )
    }
    if (Date.now() > deadline)
      throw new MultiverseError('NOT_ANSWERED', `no answer to ${question} within a minute`)
    await sleep(25)
  }
  const [log] = await resolutions(ledger, question)
  if (log === undefined)
    throw new MultiverseError('RPC_FAILED', `no QuestionResolved of ${question} in the logs`)
  return { tx: log.transactionHash, block: Number(log.blockNumber) }
}
