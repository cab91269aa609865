import { keccak256, toBytes } from 'viem'
import { isMultiverseError } from '../../sdk/errors.ts'
import type { OutcomeSource } from '../../sdk/spec.ts'
import { fetchGuarded, type FetchLimits } from '../fetch.ts'
import type { Look } from './decision.ts'
import { valueAt } from './pointer.ts'

/** What a source may send at most. */
export const MAX_SOURCE_BYTES = 262_144
/** After this many seconds a source that had no answer is asked again. */
const ASK_AGAIN_S = 30

/** What one of a question's URLs said. */
type Vote =
  | { url: string; kind: 'outcome'; outcome: number; value: unknown }
  | { url: string; kind: 'none'; reason: string }

/**
 * Asks all URLs of an http source at once. A URL votes for the outcome whose label, or whose number, the pointer finds in what it
 * sends; anything else is no vote. The answer is the one outcome that `quorum` URLs or more agree on: none when there is no
 * such outcome, and none either when there are two.
 * @param labels the outcomes' labels, void last
 * @param now Unix seconds
 */
export async function lookAtHttp(
  { urls, pointer, quorum, notBefore }: Extract<OutcomeSource, { source: 'http' }>,
  labels: readonly string[],
  now: number,
  limits: FetchLimits,
): Promise<Look> {
  if (now < notBefore)
    return undecided('SOURCE_TOO_EARLY', `not to be asked before ${notBefore}`, notBefore)
  const distinct = [...new Set(urls)]
  if (quorum > distinct.length)
    return undecided('SOURCE_QUORUM', `${distinct.length} URLs can never be ${quorum}`, null)
  const votes = await Promise.all(
    distinct.map((url) => voteOf(url, pointer, labels, { ...limits, what: 'SOURCE' })),
  )
  const counts = Map.groupBy(
    votes.filter((vote) => vote.kind === 'outcome'),
    ({ outcome }) => outcome,
  )
  const agreed = [...counts].filter(([, those]) => those.length >= quorum)
  const [first] = agreed
  if (first === undefined || agreed.length > 1)
    return undecided(
      'SOURCE_QUORUM',
      `no one outcome has ${quorum} votes: ${votes.map((vote) => said(vote, labels)).join('; ')}`,
      now + ASK_AGAIN_S,
    )
  const evidence = JSON.stringify({ pointer, quorum, votes })
  return {
    kind: 'decided',
    decision: {
      outcome: first[0],
      source: 'http',
      evidenceHash: keccak256(toBytes(evidence)),
      evidence,
    },
  }
}

async function voteOf(
  url: string,
  pointer: string,
  labels: readonly string[],
  limits: FetchLimits,
): Promise<Vote> {
  try {
    const value = valueAt(JSON.parse(await fetchGuarded(url, limits)), pointer)
    const outcome = typeof value === 'string' ? labels.indexOf(value) : value
    return typeof outcome === 'number' &&
      Number.isInteger(outcome) &&
      outcome >= 0 &&
      outcome < labels.length
      ? { url, kind: 'outcome', outcome, value }
      : { url, kind: 'none', reason: `${JSON.stringify(value)?.slice(0, 80)} names no outcome` }
  } catch (error) {
    if (error instanceof SyntaxError) return { url, kind: 'none', reason: 'sends no JSON' }
    if (!isMultiverseError(error)) throw error
    return { url, kind: 'none', reason: error.code }
  }
}

function said(vote: Vote, labels: readonly string[]): string {
  return `${vote.url} ${vote.kind === 'outcome' ? labels[vote.outcome] : vote.reason}`
}

function undecided(code: string, message: string, until: number | null): Look {
  return { kind: 'undecided', code, message, until }
}
