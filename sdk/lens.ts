import type { Address, Hex } from 'viem'
import { readContract } from 'viem/actions'
import { lensAbi, multiverseAbi } from './abi.ts'
import { contractError, type ReadClient } from './actions.ts'
import type { Answer, Path } from './ids.ts'

/** With the ledger's errors, which the lens passes on. */
const abi = [...lensAbi, ...multiverseAbi] as const

type OnLens = { lens: Address }

/** Where a verse stands. `parents` has one verse for each answer of the path: the one without it. */
export type VerseView = {
  verse: Hex
  parents: readonly Hex[]
  /** Every answer is still possible. */
  isAlive: boolean
  /** Every answer has been given. */
  isCertain: boolean
}

/** A pull-up that would succeed now; `path` is the parent's, `amount` the most there is, in the token's smallest unit. */
export type PossiblePullUp = {
  token: Address
  parent: Hex
  question: Hex
  path: Path
  /** Bit mask of the outcomes that `amount` is taken of. */
  survivors: bigint
  amount: bigint
}

/** Ids, ancestry and fate of many verses in one call. @throws PATH_NOT_ASCENDING, OUTCOME_OUT_OF_RANGE, UNKNOWN_QUESTION */
export async function getVerses(
  client: ReadClient,
  { lens, paths }: OnLens & { paths: readonly Path[] },
): Promise<readonly VerseView[]> {
  const args = [paths as Answer[][]] as const
  return named(readContract(client, { address: lens, abi, functionName: 'verses', args }))
}

/**
 * What `owner` has: `[i][j]` is of `tokens[j]` in the verse of `paths[i]`, at ROOT the ERC-20 balance.
 * @throws PATH_NOT_ASCENDING, OUTCOME_OUT_OF_RANGE, INVALID_TOKEN
 */
export async function getBalances(
  client: ReadClient,
  {
    lens,
    owner,
    paths,
    tokens,
  }: OnLens & { owner: Address; paths: readonly Path[]; tokens: readonly Address[] },
): Promise<readonly (readonly bigint[])[]> {
  const args = [owner, paths as Answer[][], tokens] as const
  return named(readContract(client, { address: lens, abi, functionName: 'balances', args }))
}

/**
 * What `owner` can pull up now, and to where, out of the verses with these paths. Any one sibling's path stands for its
 * whole partition.
 * @throws PATH_NOT_ASCENDING, OUTCOME_OUT_OF_RANGE, UNKNOWN_QUESTION
 */
export async function getPullUps(
  client: ReadClient,
  {
    lens,
    owner,
    paths,
    tokens,
  }: OnLens & { owner: Address; paths: readonly Path[]; tokens: readonly Address[] },
): Promise<readonly PossiblePullUp[]> {
  const args = [owner, paths as Answer[][], tokens] as const
  return named(readContract(client, { address: lens, abi, functionName: 'pullUps', args }))
}

/** The answer, or the contract's error by its name. */
async function named<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    throw contractError(error)
  }
}
