import { setTimeout as sleep } from 'node:timers/promises'
import type { Address } from 'viem'
import type { ReadClient } from '../../sdk/actions.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import type { CheckOutput } from '../../sdk/output.ts'
import type { AnalyticsApi } from '../services.ts'
import {
  contractHeld,
  type Held,
  type Holder,
  indexerHolder,
  type Key,
  mirrorHolder,
  type Place,
} from './holders.ts'

// DuckDB = indexer = contract, for every owner and position. The chain goes on meanwhile, so what seems to differ is looked at
// again until all three were asked at one and the same block.

export type CheckDependencies = {
  analytics: AnalyticsApi
  /** The indexer's GraphQL. */
  graphqlUrl: string
  client: ReadClient
  multiverse: Address
  /** Milliseconds to wait for the three to stand at one block; 30,000 when left out. */
  patienceMs?: number
  /** Pairs to compare besides those that DuckDB or the indexer know of. */
  also?: readonly Key[]
}

const PAUSE_MS = 50

/** What must be 0 in DuckDB by itself: each query counts what is wrong. */
const FAULTS: Record<string, string> = {
  'events that are there twice':
    'SELECT count(*) FROM (SELECT 1 FROM transfers GROUP BY block_number, log_index HAVING count(*) > 1)',
  'events of no known block':
    'SELECT count(*) FROM events e LEFT JOIN blocks b ON b.hash = e.block_hash WHERE b.hash IS NULL',
  'events that their blocks count and nobody has':
    'SELECT abs(coalesce((SELECT sum(events)::BIGINT FROM blocks), 0) - (SELECT count(*) FROM events))',
  'positions whose owners do not have the supply': `
    SELECT count(*) FROM supplies s
    LEFT JOIN (SELECT position, sum(amount) AS held FROM balances GROUP BY position) b USING (position)
    WHERE s.amount <> coalesce(b.held, 0::BIGNUM)`,
  'balances below zero': 'SELECT count(*) FROM balances WHERE amount < 0::BIGNUM',
}

/**
 * Compares the three.
 * @throws CHECK_UNSETTLED (retryable) when they never stood at one block, INDEXER_UNREACHABLE, NO_ANALYTICS, RPC_FAILED
 */
export async function checkMirror(dependencies: CheckDependencies): Promise<CheckOutput> {
  const { analytics, graphqlUrl, client, multiverse, patienceMs = 30_000, also = [] } = dependencies
  const mirror = mirrorHolder(analytics)
  const indexer = indexerHolder(graphqlUrl)
  const until = Date.now() + patienceMs
  let keys: Key[] | null = null
  let compared = 0
  for (;;) {
    const place = await common(mirror, indexer)
    if (place !== null) {
      const found = await compare({ mirror, indexer, client, multiverse, keys, also, place })
      compared = Math.max(compared, found.compared)
      keys = found.differences.map(({ owner, position }) => `${owner} ${position}` as Key)
      const after = keys.length === 0 ? place : await common(mirror, indexer)
      if (after?.hash === place.hash) {
        const { problems } = await analytics.status()
        const faults = await faultsOf(analytics)
        const { differences } = found
        const ok = differences.length === 0 && faults.length === 0 && problems.length === 0
        return { ok, block: place, compared, differences, faults, problems }
      }
    }
    if (Date.now() > until)
      throw new MultiverseError(
        'CHECK_UNSETTLED',
        `the analytics (${describe(await mirror.place())}) and the indexer (${describe(await indexer.place())}) never stood still at one block`,
        { isRetryable: true },
      )
    await sleep(PAUSE_MS)
  }
}

/** The block both stand at; null when it is not one. */
async function common(mirror: Holder, indexer: Holder): Promise<Place | null> {
  const [ours, theirs] = await Promise.all([mirror.place(), indexer.place()])
  return ours !== null && ours.hash === theirs?.hash ? ours : null
}

async function compare({
  mirror,
  indexer,
  client,
  multiverse,
  keys,
  also,
  place,
}: {
  mirror: Holder
  indexer: Holder
  client: ReadClient
  multiverse: Address
  /** Null for all there are. */
  keys: readonly Key[] | null
  also: readonly Key[]
  place: Place
}): Promise<{ compared: number; differences: CheckOutput['differences'] }> {
  const read = (holder: Holder): Promise<Held> => (keys === null ? holder.all() : holder.some(keys))
  const [ours, theirs] = await Promise.all([read(mirror), read(indexer)])
  const all = [...new Set([...(keys ?? also), ...ours.keys(), ...theirs.keys()])]
  const truth = await contractHeld(client, multiverse, all, place.number)
  const differences = all.flatMap((key) => {
    const [duckdb, ponder, contract] = [ours, theirs, truth].map((held) => held.get(key) ?? 0n)
    if (duckdb === contract && ponder === contract) return []
    const [owner, position] = key.split(' ') as [string, string]
    return [{ owner, position, duckdb: `${duckdb}`, indexer: `${ponder}`, contract: `${contract}` }]
  })
  return { compared: all.length, differences }
}

async function faultsOf(analytics: AnalyticsApi): Promise<CheckOutput['faults']> {
  const found: CheckOutput['faults'] = []
  for (const [fault, sql] of Object.entries(FAULTS)) {
    const { rows } = await analytics.sql(sql)
    const count = Number(rows[0]?.[0])
    if (count !== 0) found.push({ fault, count })
  }
  return found
}

function describe(place: Place | null): string {
  return place === null ? 'at no block' : `block ${place.number}`
}
