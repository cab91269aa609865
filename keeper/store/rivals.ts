import { partitionKey } from '../jobs/key.ts'
import type { ChainListener } from './chain.ts'
import type { Database } from './database.ts'
import type { Ledger } from './facts.ts'

// What other keepers, who share nothing with this one but the chain, reported of partitions.

/** Writes down which partitions others reported. */
export function rivalListener({ chainId, multiverse }: Ledger): ChainListener {
  return async ({ query }, { facts, ancestor }) => {
    if (ancestor !== null) await query(`delete from keeper.rivals where block > $1`, [ancestor])
    const rows = facts.flatMap((fact) =>
      fact.kind === 'rivalled'
        ? [
            {
              partition: partitionKey(chainId, multiverse, fact),
              keeper: fact.keeper.toLowerCase(),
              block: fact.at.block,
            },
          ]
        : [],
    )
    if (rows.length > 0)
      await query(
        `insert into keeper.rivals (partition, keeper, block) select partition, keeper, block
        from jsonb_to_recordset($1::jsonb) as fact (partition text, keeper text, block int)
        on conflict do nothing`,
        [JSON.stringify(rows)],
      )
    return []
  }
}

/** How many partitions this keeper branched worlds for and another reported too: work that was done twice. */
export async function countDoubled({ query }: Pick<Database, 'query'>): Promise<number> {
  const [row] = await query<{ count: number }>(
    `select count(distinct rivals.partition)::int as count from keeper.rivals
    join keeper.steps on steps.partition = rivals.partition
    where steps.name = 'branch' and steps.state = 'done'`,
  )
  return row!.count
}
