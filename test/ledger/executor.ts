import { type Address, type Hex, keccak256, numberToHex, toHex } from 'viem'
import type { LocalChain } from '../helpers/chain.ts'
import type { Trit } from '../../sdk/gf3.ts'

// An optimistic executor, as parallel chains have them: every transaction runs on one snapshot, results are committed in
// order, and what read something that an earlier commit wrote runs again.

/** A transaction of a batch, and the trit of the verse it belongs to. */
export type Job = { from: Address; to: Address; data: Hex; trit: Trit }

/** Storage of a contract, by `address:slot`. */
export type Slots = Map<string, Hex>

/** What one execution looked at and what it left. */
export type Effect = { reads: Set<string>; writes: Slots }

export type Batch = {
  /** Indices that ran again, in order. */
  reexecuted: number[]
  tritSum: number
}

type AccountState = { storage?: Record<Hex, Hex> }
type Prestate = Record<Address, AccountState>
type Diff = { pre: Prestate; post: Prestate }

/** Runs a transaction on the present state without leaving anything behind, and gives its storage accesses. */
export async function simulate(chain: LocalChain, job: Job): Promise<Effect> {
  const [touched, diff] = await Promise.all([
    trace<Prestate>(chain, job, {}),
    trace<Diff>(chain, job, { diffMode: true }),
  ])
  const reads = new Set(slotsOf(touched).keys())
  const writes = slotsOf(diff.post)
  // A slot that became 0 is named before and no more after.
  for (const key of slotsOf(diff.pre).keys()) if (!writes.has(key)) writes.set(key, ZERO)
  return { reads, writes }
}

/** Keys that both hold. */
export function shared(a: Iterable<string>, b: { has(key: string): boolean }): string[] {
  return [...a].filter((key) => b.has(key))
}

/**
 * Executes a batch optimistically: all jobs at once on one snapshot, then commits in order. Committing writes the effect's
 * slots and runs nothing.
 */
export async function executeOptimistically(
  chain: LocalChain,
  jobs: readonly Job[],
): Promise<Batch> {
  const effects = await Promise.all(jobs.map((job) => simulate(chain, job)))
  const committed = new Set<string>()
  const reexecuted: number[] = []
  for (const [index, job] of jobs.entries()) {
    let effect = effects[index]!
    if (shared(effect.reads, committed).length > 0) {
      reexecuted.push(index)
      effect = await simulate(chain, job)
    }
    for (const [key, value] of effect.writes) {
      const [address, slot] = key.split(':') as [Address, Hex]
      await chain.testClient.setStorageAt({ address, index: slot, value })
      committed.add(key)
    }
  }
  return { reexecuted, tritSum: jobs.reduce((sum, { trit }) => sum + trit, 0) }
}

const ZERO = numberToHex(0, { size: 32 })

function slotsOf(state: Prestate): Slots {
  return new Map(
    Object.entries(state).flatMap(([address, { storage }]) =>
      Object.entries(storage ?? {}).map(([slot, value]) => [`${address}:${slot}`, value] as const),
    ),
  )
}

/** @throws when the transaction would revert: a trace of that has no state to compare */
async function trace<T>(
  chain: LocalChain,
  job: Job,
  tracerConfig: { diffMode?: true },
): Promise<T> {
  const call = { from: job.from, to: job.to, data: job.data, gas: toHex(5_000_000) }
  await chain.publicClient.call({ account: job.from, to: job.to, data: job.data })
  return (await chain.publicClient.request({
    method: 'debug_traceCall',
    params: [call, 'latest', { tracer: 'prestateTracer', tracerConfig }],
  } as never)) as T
}

/** A digest of every slot named, as the chain has it now. */
export async function digest(chain: LocalChain, keys: Iterable<string>): Promise<Hex> {
  const parts = await Promise.all(
    [...new Set(keys)].toSorted().map(async (key) => {
      const [address, slot] = key.split(':') as [Address, Hex]
      const value = await chain.publicClient.getStorageAt({ address, slot })
      return `${key}=${value}`
    }),
  )
  return keccak256(toHex(parts.join('\n')))
}
