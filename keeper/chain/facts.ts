import { type Address, type Hex, isAddressEqual, type Log } from 'viem'
import { gameLogs, multiverseLogs, worldsLogs } from '../../sdk/events.ts'
import type { Path } from '../../sdk/ids.ts'

/** What a log means to the keeper. `at` is where it stands: block number and hash, transaction and index in the block. */
export type Fact = { at: { block: number; hash: Hex; tx: Hex; index: number } } & (
  | {
      kind: 'asked'
      question: Hex
      oracle: Address
      outcomes: number
      /** Unix seconds. */
      deadline: bigint
      specHash: Hex
    }
  | { kind: 'published'; question: Hex; uri: string }
  | { kind: 'pushed'; parent: Hex; question: Hex; path: Path; token: Address; amount: bigint }
  | { kind: 'pulled'; parent: Hex; question: Hex; token: Address; amount: bigint }
  | { kind: 'resolved'; question: Hex; outcome: number; isExpired: boolean }
  | { kind: 'reported'; parent: Hex; question: Hex }
  /** Another keeper reported. */
  | { kind: 'rivalled'; parent: Hex; question: Hex; keeper: Address }
  /** An owner named the keeper as a redeemer, or no longer does. */
  | { kind: 'redeemer'; owner: Address; isAllowed: boolean }
  /** Somebody moved in a question's optimistic game. */
  | { kind: 'moved'; question: Hex }
)

/** Whose logs are read, and whose reports count as one's own. `game` is the optimistic oracle, if there is one. */
export type FactSources = {
  multiverse: Address
  worlds: Address
  game?: Address | undefined
  keeper: Address
}

/** The facts in a block's logs, in order. Other contracts' logs are left out. */
export function readFacts(logs: readonly Log[], sources: FactSources): Fact[] {
  const of = (address: Address) => logs.filter((log) => isAddressEqual(log.address, address))
  const facts: Fact[] = []
  for (const log of multiverseLogs(of(sources.multiverse))) {
    const at = place(log)
    const { eventName } = log
    if (eventName === 'QuestionAsked') {
      const { question, oracle, outcomes, deadline, specHash } = log.args
      facts.push({ kind: 'asked', at, question, oracle, outcomes, deadline, specHash })
    } else if (eventName === 'SpecPublished') {
      facts.push({ kind: 'published', at, question: log.args.question, uri: log.args.uri })
    } else if (eventName === 'PushDown') {
      const { parent, question, path, token, amount } = log.args
      facts.push({ kind: 'pushed', at, parent, question, path, token, amount })
    } else if (eventName === 'PullUp') {
      const { parent, question, token, amount } = log.args
      facts.push({ kind: 'pulled', at, parent, question, token, amount })
    } else if (eventName === 'QuestionResolved') {
      const { question, outcome, expired: isExpired } = log.args
      facts.push({ kind: 'resolved', at, question, outcome, isExpired })
    } else if (eventName === 'RedeemerSet') {
      const { owner, redeemer, allowed: isAllowed } = log.args
      if (isAddressEqual(redeemer, sources.keeper))
        facts.push({ kind: 'redeemer', at, owner, isAllowed })
    }
  }
  for (const log of worldsLogs(of(sources.worlds))) {
    if (log.eventName !== 'PartitionReported') continue
    const { keeper, parent, question } = log.args
    const at = place(log)
    if (isAddressEqual(keeper, sources.keeper))
      facts.push({ kind: 'reported', at, parent, question })
    else facts.push({ kind: 'rivalled', at, parent, question, keeper })
  }
  if (sources.game !== undefined)
    for (const log of gameLogs(of(sources.game)))
      facts.push({ kind: 'moved', at: place(log), question: log.args.question })
  return facts.toSorted((a, b) => a.at.block - b.at.block || a.at.index - b.at.index)
}

function place(log: Log): Fact['at'] {
  // Only pending logs lack these, and none is ever asked for.
  const { blockNumber, blockHash, transactionHash, logIndex } = log
  return { block: Number(blockNumber), hash: blockHash!, tx: transactionHash!, index: logIndex! }
}
