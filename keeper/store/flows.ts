import type { Hex } from 'viem'
import { childPaths, removeAnswer, verseId } from '../../sdk/ids.ts'
import { partitionKey } from '../jobs/key.ts'
import type { ChainListener } from './chain.ts'
import type { Database } from './database.ts'
import type { PartitionRecord } from './partitions.ts'

/** What was pushed down and pulled up, to tell what stands in a verse. */
export type FlowStore = {
  /**
   * What stands in the children of a partition after a block, of each of these tokens (addresses in lower case): of the child
   * that has most. Smallest units.
   */
  supplies(
    record: Pick<PartitionRecord, 'path' | 'question'>,
    tokens: readonly string[],
    block: number,
  ): Promise<ReadonlyMap<string, bigint>>
  listener: ChainListener
}

export function createFlowStore(
  db: Database,
  options: { chainId: number; multiverse: Hex; confirmations: number },
): FlowStore {
  const listener: ChainListener = async ({ query }, { facts, ancestor, view }) => {
    if (ancestor !== null) await query(`delete from keeper.flows where block > $1`, [ancestor])
    const flows = facts.filter((fact) => fact.kind === 'pushed' || fact.kind === 'pulled')
    if (flows.length === 0) return []
    await query(
      `insert into keeper.flows (block, index, parent, question, token, amount)
      select block, index, parent, question, token, amount from jsonb_to_recordset($1::jsonb) as flow
        (block int, index int, parent text, question text, token text, amount numeric)
      on conflict do nothing`,
      [
        JSON.stringify(
          flows.map(({ kind, at, parent, question, token, amount }) => ({
            block: at.block,
            index: at.index,
            parent,
            question,
            token: token.toLowerCase(),
            amount: (kind === 'pushed' ? amount : -amount).toString(),
          })),
        ),
      ],
    )
    // What was too little may be enough once this is deep.
    const pushed = flows
      .filter(({ kind }) => kind === 'pushed')
      .map((fact) => ({
        key: partitionKey(options.chainId, options.multiverse, fact),
        wait: fact.at.block + options.confirmations,
      }))
    const declined = await query<{ key: string; wait: number }>(
      `update keeper.partitions p set wait_block = again.wait
      from jsonb_to_recordset($1::jsonb) as again (key text, wait int)
      where p.key = again.key and p.state = 'declined' and p.error->>'code' = 'SUPPLY_TOO_SMALL'
      returning p.key, again.wait`,
      [JSON.stringify(pushed)],
    )
    const head = view?.head?.number ?? -1
    return [
      {
        name: 'partition',
        keys: declined.filter(({ wait }) => wait <= head).map(({ key }) => key),
      },
    ]
  }

  return {
    listener,
    async supplies({ path, question }, tokens, block) {
      const children = childPaths(path, question.id)
      // A verse is reached by any of its answers last: each is a partition whose push-downs gave to it.
      const into = children.flatMap((child, outcome) =>
        child.map((answer) => ({
          outcome,
          parent: verseId(removeAnswer(child, answer.question)),
          question: answer.question,
        })),
      )
      const outOf = children.map((child, outcome) => ({ outcome, verse: verseId(child) }))
      const rows = await db.query<{ token: string; supply: string }>(
        `with moved as (
          select e.outcome, f.token, f.amount
          from jsonb_to_recordset($1::jsonb) as e (outcome int, parent text, question text)
          join keeper.flows f on f.parent = e.parent and f.question = e.question
          where f.block <= $3 and f.token = any($4)
          union all
          select e.outcome, f.token, -f.amount
          from jsonb_to_recordset($2::jsonb) as e (outcome int, verse text)
          join keeper.flows f on f.parent = e.verse
          where f.block <= $3 and f.token = any($4)
        )
        select token, max(total)::text as supply
        from (select token, outcome, sum(amount) as total from moved group by 1, 2) as totals group by 1`,
        [JSON.stringify(into), JSON.stringify(outOf), block, tokens],
      )
      return new Map(rows.map(({ token, supply }) => [token, BigInt(supply)]))
    },
  }
}
