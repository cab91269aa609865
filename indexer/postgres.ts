import { createRequire } from 'node:module'

// Ponder keeps the logs that it has fetched in a schema of its own beside the tables, by chain id, and reads its events from
// there. A local chain may be another one than the last of that id.

/** As much of ponder's own Postgres client as is used here. */
type Client = {
  connect(): Promise<unknown>
  query(sql: string, values?: unknown[]): Promise<{ rows: Record<string, string>[] }>
  end(): Promise<void>
}

const fromPonder = createRequire(import.meta.resolve('ponder'))
const { Client: PgClient } = fromPonder('pg') as {
  Client: new (options: { connectionString: string }) => Client
}

/** Has ponder forget every log, block and transaction that it keeps of this chain id. Its own tables stay as they are. */
export async function forgetKept(connectionString: string, chainId: number): Promise<void> {
  const client = new PgClient({ connectionString })
  await client.connect()
  try {
    const { rows } = await client.query(
      `SELECT table_name AS name FROM information_schema.columns
       WHERE table_schema = 'ponder_sync' AND column_name = 'chain_id'`,
    )
    for (const { name = '' } of rows)
      await client.query(`DELETE FROM ponder_sync."${name}" WHERE chain_id = $1`, [chainId])
  } finally {
    await client.end()
  }
}
