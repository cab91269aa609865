import { setTimeout as sleep } from 'node:timers/promises'
import { getHeader, type Rpc } from './chain/rpc.ts'
import type { ChainStore } from './store/chain.ts'
import type { Queue } from './store/queue.ts'

/** Whether there is anything left to do is looked at so often, milliseconds. */
const POLL_MS = 50

/** Resolves when the chain was followed to its head and nothing is left that can be done now, or when it is to stop. */
export async function untilSettled(options: {
  rpc: Rpc
  chain: ChainStore
  queue: Queue
  isStopping: () => boolean
}): Promise<void> {
  const { rpc, chain, queue, isStopping } = options
  while (!isStopping()) {
    // In this order: what a job sends changes the head, and what is at the head makes jobs.
    const isIdle = await queue.isIdle()
    const newest = await getHeader(rpc)
    const isAtHead = (chain.view().head?.number ?? -1) >= newest.number
    if (isIdle && isAtHead && (await queue.isIdle())) return
    await sleep(POLL_MS)
  }
}
