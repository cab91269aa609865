import type { Database } from './database.ts'
import type { Follower, Problem } from './follow.ts'
import { type Cursor, readCursors } from './journal.ts'
import type { Tick } from './mirror.ts'

/** What `/status` shows; `reason` says why it is not ready. */
export type Status = {
  chainId: number
  /** The block up to which everything is mirrored. */
  block: { number: number; hash: string } | null
  journals: Cursor[]
  /** What does not work at this moment. */
  problems: Problem[]
  ready: boolean
  reason: string | null
}

export type StatusBoard = {
  now: () => Status
  tick(tick: Tick): void
  /** Whose problems are shown. */
  follow(follower: Follower): void
  /** Looks again how far the journals are read. */
  readCursors: () => Promise<void>
}

/** A mirror that was last level with the chain longer ago than this is not ready. */
const STALE_MS = 5_000

/** Where the analytics stand, told by those who follow. */
export async function createStatus(chainId: number, database: Database): Promise<StatusBoard> {
  let block: Status['block'] = null
  let journals: Cursor[] = []
  let reason = 'starting'
  let levelAt = -Infinity
  let follower: Follower | undefined
  const board: StatusBoard = {
    now() {
      const problems = follower?.problems() ?? []
      const ready = performance.now() - levelAt < STALE_MS
      const problem = problems.find(({ of }) => of === 'mirror')
      const why = problem === undefined ? reason : `${problem.code}: ${problem.message}`
      return { chainId, block, journals, problems, ready, reason: ready ? null : why }
    },
    tick(tick) {
      block =
        tick.block === null ? null : { number: Number(tick.block.number), hash: tick.block.hash }
      if (tick.kind === 'current') levelAt = performance.now()
      else reason = tick.reason
    },
    follow(next) {
      follower = next
    },
    async readCursors() {
      journals = await readCursors(database)
    },
  }
  await board.readCursors()
  return board
}
