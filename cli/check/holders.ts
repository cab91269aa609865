import { type Address, encodeFunctionData, type Hex, hexToBigInt, withRetry } from 'viem'
import { simulateContract } from 'viem/actions'
import { z } from 'zod'
import { multiverseAbi } from '../../sdk/abi.ts'
import type { ReadClient } from '../../sdk/actions.ts'
import { MultiverseError, oneLine } from '../../sdk/errors.ts'
import type { AnalyticsApi } from '../services.ts'

// Three tellers of who holds what: DuckDB, the indexer and the contract. None of them computes from another's figures.

/** An owner and a position, `0x… 0x…`, lower case. */
export type Key = `${Address} ${Hex}`
/** Amounts in the token's smallest unit; what is not in it is 0. */
export type Held = Map<Key, bigint>
/** A block by number and hash. */
export type Place = { number: number; hash: string }

export type Holder = {
  /** The block it stands at; null when at none. */
  place(): Promise<Place | null>
  /** All it holds. */
  all(): Promise<Held>
  /** What it holds of these. */
  some(keys: readonly Key[]): Promise<Held>
}

const PAGE = 20_000
const GRAPHQL_PAGE = 1_000
const GRAPHQL_KEYS = 50

/** What DuckDB holds, through the analytics. */
export function mirrorHolder(analytics: AnalyticsApi): Holder {
  const rows = async (sql: string, params: string[] = []) =>
    heldIn((await analytics.sql(sql, params)).rows)
  return {
    place: async () => (await analytics.status()).block,
    async all() {
      const held: Held = new Map()
      for (let last: Key | undefined; ;) {
        const [owner, position] = last === undefined ? ['', ''] : parts(last)
        const page = await rows(
          `SELECT owner, position, amount::VARCHAR FROM balances WHERE (owner, position) > ($1, $2)
           ORDER BY owner, position LIMIT ${PAGE}`,
          [owner, position],
        )
        for (const [key, amount] of page) held.set(key, amount)
        if (page.size < PAGE) return held
        last = [...page.keys()].at(-1)
      }
    },
    some: (keys) =>
      rows(
        `SELECT owner, position, amount::VARCHAR FROM balances
         WHERE owner || ' ' || position IN (SELECT unnest(from_json($1::JSON, '["VARCHAR"]')))`,
        [JSON.stringify(keys)],
      ),
  }
}

const rowSchema = z.object({ owner: z.string(), position: z.string(), amount: z.string() })
const pageSchema = z.object({
  balances: z.object({
    items: z.array(rowSchema),
    pageInfo: z.object({ hasNextPage: z.boolean(), endCursor: z.string().nullable() }),
  }),
})
const headSchema = z.object({
  heads: z.object({ items: z.array(z.object({ number: z.string(), hash: z.string() })) }),
})

/** What the indexer holds, over GraphQL. Every method throws INDEXER_UNREACHABLE when it does not answer. */
export function indexerHolder(url: string): Holder {
  const ask = async <T>(schema: z.ZodType<T>, query: string): Promise<T> => {
    const send = () =>
      fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query }),
        signal: AbortSignal.timeout(30_000),
      })
    try {
      // It hangs up on those who are silent for some seconds, at times just when they ask again.
      const response = await withRetry(send, {
        retryCount: 1,
        shouldRetry: ({ error }) => error instanceof TypeError,
      })
      return z.object({ data: schema }).parse(await response.json()).data
    } catch (cause) {
      throw new MultiverseError('INDEXER_UNREACHABLE', `${url}: ${oneLine(cause)}`, {
        cause,
        isRetryable: true,
      })
    }
  }
  return {
    async place() {
      const [head] = (await ask(headSchema, '{heads {items {number hash}}}')).heads.items
      return head === undefined ? null : { number: Number(head.number), hash: head.hash }
    },
    async all() {
      const held: Held = new Map()
      for (let after = ''; ;) {
        const { balances } = await ask(
          pageSchema,
          `{balances(limit: ${GRAPHQL_PAGE}${after}) {items {owner position amount} pageInfo {hasNextPage endCursor}}}`,
        )
        for (const { owner, position, amount } of balances.items)
          held.set(keyOf(owner, position), BigInt(amount))
        if (!balances.pageInfo.hasNextPage) return held
        after = `, after: ${JSON.stringify(balances.pageInfo.endCursor)}`
      }
    },
    async some(keys) {
      const held: Held = new Map()
      for (let from = 0; from < keys.length; from += GRAPHQL_KEYS) {
        const fields = keys.slice(from, from + GRAPHQL_KEYS).map((key, index) => {
          const [owner, position] = parts(key)
          return `k${index}: balance(owner: "${owner}", position: "${position}") {owner position amount}`
        })
        const found = await ask(z.record(z.string(), rowSchema.nullable()), `{${fields.join(' ')}}`)
        for (const row of Object.values(found))
          if (row !== null) held.set(keyOf(row.owner, row.position), BigInt(row.amount))
      }
      return held
    },
  }
}

/** Balances in one call of the contract, which takes some 3,000,000 gas. */
const CALLS = 500

/** What the contract says of these at a block. @throws RPC_FAILED */
export async function contractHeld(
  client: ReadClient,
  multiverse: Address,
  keys: readonly Key[],
  block: number,
): Promise<Held> {
  const held: Held = new Map()
  for (let from = 0; from < keys.length; from += CALLS) {
    const asked = keys.slice(from, from + CALLS)
    const calls = asked.map((key) => {
      const [owner, position] = parts(key)
      const args = [owner, BigInt(position)] as const
      return encodeFunctionData({ abi: multiverseAbi, functionName: 'balanceOf', args })
    })
    // It changes nothing, so calling it without a transaction is reading.
    const { result } = await simulateContract(client, {
      address: multiverse,
      abi: multiverseAbi,
      functionName: 'multicall',
      args: [calls],
      blockNumber: BigInt(block),
    })
    for (const [index, data] of result.entries()) held.set(asked[index]!, hexToBigInt(data))
  }
  return held
}

function heldIn(rows: readonly unknown[][]): Held {
  return new Map(
    rows.map(([owner, position, amount]) => [
      keyOf(owner as string, position as string),
      BigInt(amount as string),
    ]),
  )
}

function keyOf(owner: string, position: string): Key {
  return `${owner.toLowerCase() as Address} ${position.toLowerCase() as Hex}`
}

function parts(key: Key): [Address, Hex] {
  return key.split(' ') as [Address, Hex]
}
