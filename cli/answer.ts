import { setTimeout as sleep } from 'node:timers/promises'
import type { Hex } from 'viem'
import { getQuestion } from '../sdk/actions.ts'
import { isMultiverseError, MultiverseError } from '../sdk/errors.ts'
import { networkOf, pollMsOf } from '../sdk/networks.ts'
import { type Ledger, resolutions } from './ledger.ts'
import type { KeeperApi } from './services.ts'

/** How long a keeper may take to answer on chain, beside the blocks it waits for. */
const ANSWER_MS = 60_000
/** Blocks that pass beside those it waits for: to be seen, to be mined, to be seen again. */
const EXTRA_BLOCKS = 5
/** A question's status on the ledger once it has its answer. */
const RESOLVED = 3

/**
 * Has the keeper answer, through restarts of it, and waits for the answer on the chain.
 * @throws NOT_ANSWERED after a minute more than the blocks a keeper waits for, and the keeper's codes
 */
export async function answerThrough(
  keeper: KeeperApi,
  ledger: Ledger,
  question: Hex,
  outcome: number,
): Promise<{ tx: Hex; block: number }> {
  const { multiverse } = ledger.deployment.addresses
  const network = networkOf(ledger.deployment.chainId)
  const patienceMs =
    ANSWER_MS +
    (network.confirmations === 0 ? 0 : (network.confirmations + EXTRA_BLOCKS) * network.blockTimeMs)
  const deadline = Date.now() + patienceMs
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
      throw new MultiverseError(
        'NOT_ANSWERED',
        `no answer to ${question} within ${patienceMs / 1000} s`,
      )
    await sleep(pollMsOf(network) / 2)
  }
  const [log] = await resolutions(ledger, question)
  if (log === undefined)
    throw new MultiverseError('RPC_FAILED', `no QuestionResolved of ${question} in the logs`)
  return { tx: log.transactionHash, block: Number(log.blockNumber) }
}
