import { createClient, type SQL, sql } from '@ponder/client'
import type { Hex } from 'viem'
import { MultiverseError, oneLine } from '../../sdk/errors.ts'
import { checkpointBlock } from '../prepare.ts'

/**
 * A block that holds events of ours: how many, and how many rows of the mirrored tables came of them. `timestamp` in Unix
 * seconds.
 */
export type SourceBlock = {
  number: bigint
  hash: Hex
  timestamp: bigint
  events: number
  rows: number
}

/** What the indexer holds at one moment. */
export type SourceView = {
  /** The last block indexed; null until the indexer follows the chain live. It may be half written (see `reach`). */
  head: { number: bigint; hash: Hex; events: number } | null
  /** Height up to which the indexer takes blocks as final; null before its first checkpoint. */
  finalized: bigint | null
  /** Blocks with events above the height asked for, ascending. */
  blocks: SourceBlock[]
  /** Whether there are more blocks than given. */
  isCut: boolean
}

/** The indexer's tables over HTTP. Every method throws INDEXER_UNREACHABLE (retryable) when there is no answer. */
export type Source = {
  view(above: bigint): Promise<SourceView>
  /** Which of these tables have rows of these blocks. */
  filled(tables: readonly string[], from: bigint, to: bigint): Promise<Set<string>>
  /** A table's rows of these blocks, columns under the table's own names. */
  rows(table: string, from: bigint, to: bigint): Promise<Record<string, unknown>[]>
}

const MAX_BLOCKS = 1_024
const TIMEOUT_MS = 30_000

type ViewRow = {
  kind: 'head' | 'finalized' | 'block'
  number: string | null
  hash: Hex | null
  timestamp: string | null
  events: number | null
  rows: number | null
  checkpoint: string | null
}

export function createSource(url: string): Source {
  const client = createClient(new URL('sql', url).href)
  const ask = async <T>(query: SQL): Promise<T[]> => {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer in ${TIMEOUT_MS} ms`)), TIMEOUT_MS)
    })
    try {
      return (await Promise.race([client.db.execute(query), late])) as unknown as T[]
    } catch (cause) {
      throw new MultiverseError('INDEXER_UNREACHABLE', `${url}: ${oneLine(cause)}`, {
        cause,
        isRetryable: true,
      })
    } finally {
      clearTimeout(timer)
    }
  }
  return {
    async view(above) {
      // One statement, so that everything in it is of one moment.
      const rows = await ask<ViewRow>(sql`
        (SELECT 'head' AS kind, number, hash, timestamp, events, 0 AS rows, NULL AS checkpoint FROM head)
        UNION ALL
        (SELECT 'finalized', NULL, NULL, NULL, NULL, NULL, finalized_checkpoint FROM _ponder_checkpoint)
        UNION ALL
        (SELECT 'block', number, hash, timestamp, events, rows, NULL FROM block
         WHERE number > ${above.toString()} ORDER BY number LIMIT ${MAX_BLOCKS + 1})`)
      const blocks = rows.filter(({ kind }) => kind === 'block').map((row) => sourceBlock(row))
      const head = rows.find(({ kind }) => kind === 'head')
      const finalized = rows.find(({ kind }) => kind === 'finalized')?.checkpoint
      return {
        head:
          head === undefined
            ? null
            : { number: BigInt(head.number!), hash: head.hash!, events: head.events! },
        finalized: finalized == null ? null : checkpointBlock(finalized),
        blocks: blocks.slice(0, MAX_BLOCKS).toSorted((a, b) => (a.number < b.number ? -1 : 1)),
        isCut: blocks.length > MAX_BLOCKS,
      }
    },
    async filled(tables, from, to) {
      const each = tables.map(
        (table) => sql`
          (SELECT ${table}::text AS name FROM ${sql.identifier(table)}
           WHERE block_number BETWEEN ${from.toString()} AND ${to.toString()} LIMIT 1)`,
      )
      const rows = await ask<{ name: string }>(sql.join(each, sql` UNION ALL `))
      return new Set(rows.map(({ name }) => name))
    },
    rows: (table, from, to) =>
      ask(sql`
        SELECT * FROM ${sql.identifier(table)}
        WHERE block_number BETWEEN ${from.toString()} AND ${to.toString()}`),
  }
}

function sourceBlock({ number, hash, timestamp, events, rows }: ViewRow): SourceBlock {
  return {
    number: BigInt(number!),
    hash: hash!,
    timestamp: BigInt(timestamp!),
    events: events!,
    rows: rows!,
  }
}
