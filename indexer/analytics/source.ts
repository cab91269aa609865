import type { Hex } from 'viem'
import { MultiverseError, oneLine } from '../../sdk/errors.ts'
import { checkpointBlock } from '../prepare.ts'
import { createAsk } from '../sql.ts'

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
  const askIndexer = createAsk(url)
  const ask = async <T>(statement: string, params: readonly string[]): Promise<T[]> => {
    try {
      return await askIndexer<T>(statement, params)
    } catch (cause) {
      throw new MultiverseError('INDEXER_UNREACHABLE', `${url}: ${oneLine(cause)}`, {
        cause,
        isRetryable: true,
      })
    }
  }
  return {
    async view(above) {
      // One statement, so that everything in it is of one moment.
      const rows = await ask<ViewRow>(
        `(SELECT 'head' AS kind, number, hash, timestamp, events, 0 AS rows, NULL AS checkpoint FROM head)
        UNION ALL
        (SELECT 'finalized', NULL, NULL, NULL, NULL, NULL, finalized_checkpoint FROM _ponder_checkpoint)
        UNION ALL
        (SELECT 'block', number, hash, timestamp, events, rows, NULL FROM block
         WHERE number > $1 ORDER BY number LIMIT ${MAX_BLOCKS + 1})`,
        [above.toString()],
      )
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
        (table) =>
          `(SELECT '${table}' AS name FROM "${table}" WHERE block_number BETWEEN $1 AND $2 LIMIT 1)`,
      )
      const rows = await ask<{ name: string }>(each.join(' UNION ALL '), range(from, to))
      return new Set(rows.map(({ name }) => name))
    },
    rows: (table, from, to) =>
      ask(`SELECT * FROM "${table}" WHERE block_number BETWEEN $1 AND $2`, range(from, to)),
  }
}

function range(from: bigint, to: bigint): [string, string] {
  return [from.toString(), to.toString()]
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
