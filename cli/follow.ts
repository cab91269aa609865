import { setTimeout as sleep } from 'node:timers/promises'
import type { Hex } from 'viem'
import { getBlock } from 'viem/actions'
import { contractError } from '../sdk/actions.ts'
import { MultiverseError } from '../sdk/errors.ts'
import { type HistoryLog, readLogs } from './history.ts'
import type { Ledger } from './ledger.ts'

/** An event that happened, or that the chain took back. */
export type Followed = { log: HistoryLog; isRemoved: boolean }

export type FollowOptions = {
  fromBlock: bigint
  /** Goes on with what happens; else it ends at the head. */
  isEndless: boolean
  /** Between two looks at the head. */
  pollMs?: number
}

/** A block with events that were given out. */
type Seen = { number: bigint; hash: Hex; logs: HistoryLog[] }
type Head = { number: bigint; hash: Hex }

/** Blocks are remembered for so long; a reorganisation that is deeper is not gone along with. */
const MEMORY_BLOCKS = 10_000n
/** How long a chain may not answer before following it ends. */
const PATIENCE_MS = 30_000
/** Blocks asked for at once. */
const RANGE = 5_000n

/**
 * Both contracts' events in the chain's order. When the chain is reorganised, the events that are no more are given again as
 * removed, the last first, and then those that are there instead.
 * @throws RPC_FAILED, REORG_TOO_DEEP
 */
export async function* followEvents(
  ledger: Ledger,
  { fromBlock, isEndless, pollMs = 250 }: FollowOptions,
): AsyncGenerator<Followed> {
  let seen: Seen[] = []
  /** Up to where everything has been given out; undefined before the first block. */
  let done: Head | undefined
  let answeredAt = performance.now()
  for (;;) {
    try {
      const head = await readHead(ledger)
      if (done !== undefined && !(await isOnChain(ledger, done, head))) {
        let removed = seen.at(-1)
        while (removed !== undefined && !(await isOnChain(ledger, removed, head))) {
          for (const log of removed.logs.toReversed()) yield { log, isRemoved: true }
          seen = seen.slice(0, -1)
          removed = seen.at(-1)
        }
        if (removed === undefined && done.number - fromBlock > MEMORY_BLOCKS)
          throw new MultiverseError(
            'REORG_TOO_DEEP',
            `the chain was reorganised over more than ${MEMORY_BLOCKS} blocks: begin again`,
          )
        done = removed
      }
      for (let from = done === undefined ? fromBlock : done.number + 1n; from <= head.number;) {
        const to = from + RANGE > head.number ? head.number : from + RANGE - 1n
        const logs = await readLogs(ledger, { from, to })
        const at = to === head.number ? head : await readHead(ledger, to)
        // The logs are this chain's only if it is still the same after they were read: else they are read again.
        if (!(await isOnChain(ledger, at, await readHead(ledger)))) break
        for (const log of logs) yield { log, isRemoved: false }
        seen = remember(seen, logs, head)
        done = at
        from = to + 1n
      }
      answeredAt = performance.now()
    } catch (error) {
      const failure = contractError(error)
      // A chain may be away for a moment, for one who stays.
      const isOver = performance.now() - answeredAt > PATIENCE_MS
      if (!isEndless || failure.code !== 'RPC_FAILED' || isOver) throw failure
    }
    if (!isEndless) return
    await sleep(pollMs)
  }
}

async function readHead({ client }: Ledger, blockNumber?: bigint): Promise<Head> {
  const { number, hash } = await getBlock(client, blockNumber === undefined ? {} : { blockNumber })
  return { number, hash }
}

/** Whether the chain with this head has the block. */
async function isOnChain(ledger: Ledger, { number, hash }: Head, head: Head): Promise<boolean> {
  if (number > head.number) return false
  if (number === head.number) return hash === head.hash
  return (await readHead(ledger, number)).hash === hash
}

function remember(seen: readonly Seen[], logs: readonly HistoryLog[], head: Head): Seen[] {
  const blocks = Map.groupBy(logs, ({ blockNumber }) => blockNumber)
  const added = [...blocks].map(([number, logs]) => ({ number, hash: logs[0]!.blockHash, logs }))
  return [...seen, ...added].filter(({ number }) => number + MEMORY_BLOCKS > head.number)
}
