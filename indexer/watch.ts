import { setTimeout as sleep } from 'node:timers/promises'
import type { Hex } from 'viem'
import { isMultiverseError } from '../sdk/errors.ts'
import type { ChainReader } from './chain.ts'
import { contradiction, type FinalTables } from './prepare.ts'
import { createAsk } from './sql.ts'

// Ponder believes in what it once took as final: when the chain goes another way below that, it serves dead rows for good and
// calls itself ready. So its launcher looks at what is final with the chain's eyes.

/** Looks again and again until `signal`; resolves with what ponder takes as final and the chain does not have. */
export async function watchFinality(
  url: string,
  chain: ChainReader,
  { everyMs, signal }: { everyMs: number; signal: AbortSignal },
): Promise<string | null> {
  const tables = servedTables(url)
  while (!signal.aborted) {
    await sleep(everyMs, undefined, { signal }).catch(() => undefined)
    try {
      // While it fills its tables its checkpoint is none of a block.
      const { ok } = await fetch(new URL('ready', url), { signal: AbortSignal.timeout(5_000) })
      const reason = ok ? await contradiction(tables, chain, false) : null
      if (reason !== null) return reason
    } catch (error) {
      // Chain and ponder may be away for a while; both are watched by others.
      if (error instanceof TypeError || error instanceof DOMException) continue
      if (!isMultiverseError(error, 'RPC_FAILED')) throw error
    }
  }
  return null
}

function servedTables(url: string): FinalTables {
  const ask = createAsk(url)
  return {
    async checkpoint() {
      const rows = await ask<{ checkpoint: string | null }>(
        'SELECT finalized_checkpoint AS checkpoint FROM _ponder_checkpoint',
      )
      return rows[0]?.checkpoint ?? null
    },
    async blocks(upTo) {
      const rows = await ask<{ number: string; hash: Hex }>(
        'SELECT number, hash FROM block WHERE number <= $1 ORDER BY number DESC LIMIT 64',
        [upTo.toString()],
      )
      return rows.map(({ number, hash }) => ({ number: BigInt(number), hash }))
    },
  }
}
