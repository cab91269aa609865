import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { openDatabase } from '../../indexer/analytics/database.ts'
import { ROSTER } from '../../providers/roster.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import type { Deployment } from '../../sdk/deployment.ts'

/** The second goes on with what the first left in temporary tables. */
const SCRIPTS = ['ledger.sql', 'worlds.sql']

/** How much there is in a warehouse. */
export type Size = { events: number; positions: number }

/** The chain's block at which the history ends: from here on the mirror goes on by itself. Seconds, and seconds a block. */
export type Anchor = { number: bigint; hash: string; timestamp: bigint; interval: number }

/** Makes the analytics' database of a data folder, by its own migrations, and fills it with a history that DuckDB draws itself. */
export async function buildWarehouse(
  dataDir: string,
  deployment: Deployment,
  { events, positions }: Size,
  anchor: Anchor,
): Promise<string> {
  const scripts = await Promise.all(
    SCRIPTS.map((name) => readFile(new URL(name, import.meta.url), 'utf8')),
  )
  const folder = dataPaths(dataDir).analytics
  await (await openDatabase(folder, deployment)).close()
  const path = join(folder, 'multiverse.duckdb')
  const instance = await DuckDBInstance.create(path, { memory_limit: '6GB' })
  try {
    const connection = await instance.connect()
    for (const [name, value] of Object.entries({
      events,
      positions,
      chain_id: deployment.chainId,
      last_block: anchor.number,
      last_timestamp: anchor.timestamp,
      interval: anchor.interval,
    }))
      await connection.run(`SET VARIABLE ${name} = ${value}::BIGINT`)
    await connection.run(`SET VARIABLE last_hash = '${anchor.hash}'`)
    for (const { id, name, trit, kind } of ROSTER)
      await connection.run(
        `INSERT INTO runtime_providers VALUES ($1, $2, $3, '{}', NULL, NULL, $4, TIMESTAMP '2026-01-01')`,
        [id, name, trit, kind === 'remote' ? 'unavailable' : 'available'],
      )
    for (const script of scripts) await connection.run(script)
    await connection.run('CHECKPOINT')
    connection.closeSync()
  } finally {
    instance.closeSync()
  }
  return path
}
