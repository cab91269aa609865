import {
  type Address,
  BaseError,
  ContractFunctionRevertedError,
  ContractFunctionZeroDataError,
  encodeAbiParameters,
  keccak256,
  parseAbi,
} from 'viem'
import { readContract } from 'viem/actions'
import type { OutcomeSource } from '../../sdk/spec.ts'
import { type Rpc, rpcError } from '../chain/rpc.ts'
import type { Look } from './decision.ts'

const feedAbi = parseAbi([
  'function getRoundData(uint80) view returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)',
  'function latestRoundData() view returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)',
])

/** A complete round of a feed. `updatedAt` in Unix seconds. */
export type Round = { id: bigint; price: bigint; updatedAt: bigint }

/** The first round of a phase written at or after a time, or why there is none to be shown. */
export type FirstRound =
  | { kind: 'found'; round: Round }
  /** No round of the phase was written since. */
  | { kind: 'pending' }
  /** The phase's very first round came after it: nothing proves that no other did before. */
  | { kind: 'unprovable' }

const PHASE_OFFSET = 64n
/** More rounds than any feed has written in a phase. */
const MAX_ROUNDS = 1n << 40n
/** After this many seconds a feed without a round is looked at again. */
const LOOK_AGAIN_S = 15

/**
 * Finds the round by halving: rounds of a phase are written one after the other. It takes twice the logarithm of their number
 * in calls.
 * @throws RPC_FAILED
 */
export async function firstRoundAt(
  rpc: Rpc,
  { feed, phase, time }: { feed: Address; phase: bigint; time: bigint },
): Promise<FirstRound> {
  const base = phase << PHASE_OFFSET
  const isBefore = async (round: bigint) => {
    const found = await roundOf(rpc, feed, base | round)
    return found !== null && found.updatedAt < time
  }
  // The last round before the time lies in [low, high).
  let low = 0n
  let high = 1n
  while (high < MAX_ROUNDS && (await isBefore(high))) {
    low = high
    high *= 2n
  }
  while (high - low > 1n) {
    const middle = (low + high) / 2n
    if (await isBefore(middle)) low = middle
    else high = middle
  }
  const round = await roundOf(rpc, feed, base | high)
  if (round === null) return { kind: 'pending' }
  return high === 1n ? { kind: 'unprovable' } : { kind: 'found', round }
}

/** How many thresholds are at or below the price. */
function bucketOf(thresholds: readonly bigint[], price: bigint): number {
  return thresholds.filter((threshold) => threshold <= price).length
}

/**
 * What a spec's price source says: the bucket of the first price at or after its time, void when that is not positive. The feed
 * is read in its present phase.
 * @param outcomes of the question, void included
 * @param now Unix seconds
 */
export async function lookAtPrice(
  rpc: Rpc,
  source: Extract<OutcomeSource, { source: 'price' }>,
  outcomes: number,
  now: number,
): Promise<Look> {
  const feed = source.feed as Address
  if (now < source.at)
    return undecided('PRICE_PENDING', `the price of ${source.at} is not known yet`, source.at)
  if (source.thresholds.length + 2 !== outcomes)
    return undecided(
      'PRICE_BUCKETS',
      `${source.thresholds.length} thresholds make no ${outcomes} outcomes`,
      null,
    )
  const latest = await read(rpc, feed, 'latestRoundData', [])
  if (latest === null) return undecided('FEED_INVALID', `${feed} is no price feed`, null)
  const found = await firstRoundAt(rpc, {
    feed,
    phase: latest.id >> PHASE_OFFSET,
    time: BigInt(source.at),
  })
  if (found.kind === 'unprovable')
    return undecided('PRICE_UNPROVABLE', `${feed} began a phase after ${source.at}`, null)
  if (found.kind === 'pending')
    return undecided('PRICE_PENDING', `${feed} has no round since ${source.at}`, now + LOOK_AGAIN_S)
  const { id, price, updatedAt } = found.round
  const thresholds = source.thresholds.map(BigInt)
  return {
    kind: 'decided',
    decision: {
      outcome: price > 0n ? bucketOf(thresholds, price) : outcomes - 1,
      source: 'price',
      evidenceHash: keccak256(
        encodeAbiParameters(
          [{ type: 'address' }, { type: 'uint80' }, { type: 'int256' }, { type: 'uint256' }],
          [feed, id, price, updatedAt],
        ),
      ),
      evidence: JSON.stringify({ feed, round: `${id}`, price: `${price}`, at: `${updatedAt}` }),
    },
  }
}

/** A complete round, or null when the feed has none of this id. @throws RPC_FAILED */
function roundOf(rpc: Rpc, feed: Address, id: bigint): Promise<Round | null> {
  return read(rpc, feed, 'getRoundData', [id])
}

async function read(
  rpc: Rpc,
  address: Address,
  functionName: 'getRoundData' | 'latestRoundData',
  args: readonly bigint[],
): Promise<Round | null> {
  try {
    const [id, price, , updatedAt] = await readContract(rpc, {
      address,
      abi: feedAbi,
      functionName,
      args: args as [bigint],
    })
    return updatedAt === 0n ? null : { id, price, updatedAt }
  } catch (error) {
    if (isRevert(error)) return null
    throw rpcError(error)
  }
}

/** Older feeds revert for a round they do not have. */
function isRevert(error: unknown): boolean {
  return (
    error instanceof BaseError &&
    error.walk(
      (each) =>
        each instanceof ContractFunctionRevertedError ||
        each instanceof ContractFunctionZeroDataError,
    ) !== null
  )
}

function undecided(code: string, message: string, until: number | null): Look {
  return { kind: 'undecided', code, message, until }
}
