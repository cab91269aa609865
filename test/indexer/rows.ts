import type { Database } from '../../indexer/analytics/database.ts'
import type { Deployment } from '../../sdk/deployment.ts'

// What tests of the analytics share that write their rows by hand.

/** A deployment that no chain has. */
export const NOWHERE: Deployment = {
  version: 1,
  chainId: 31_337,
  addresses: { multiverse: `0x${'11'.repeat(20)}`, worlds: `0x${'22'.repeat(20)}` },
  startBlock: 1,
  startBlockHash: `0x${'33'.repeat(32)}`,
}

export const ZERO = '0x0000000000000000000000000000000000000000'
export const ROOT = `0x${'00'.repeat(32)}`
export const MONDAY = Date.UTC(2026, 0, 5) / 1_000

/** Writes rows of a table; columns that are not given are null or their default. */
export async function insertRows(
  database: Database,
  table: string,
  rows: readonly Record<string, unknown>[],
): Promise<void> {
  await database.write(async (tx) => {
    for (const row of rows) {
      const names = Object.keys(row)
      const values = names.map((name) => literal(row[name]))
      await tx.run(`INSERT INTO ${table} (${names.join()}) VALUES (${values.join()})`)
    }
  })
}

function literal(value: unknown): string {
  if (value === null) return 'NULL'
  if (Array.isArray(value)) return `[${value.map((each) => literal(each)).join()}]`
  if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`
  return JSON.stringify(value)
}

/** What every row about an event has. A block a minute, from Monday. */
export function event(block: number, log = 0) {
  const stamp = new Date((MONDAY + block * 60) * 1_000).toISOString().slice(0, 19)
  return {
    event_id: `${block}-${log}`,
    block_number: block,
    block_hash: `0x${block}`,
    block_timestamp: stamp,
    tx_hash: `0x${block}${log}`,
    log_index: log,
  }
}
