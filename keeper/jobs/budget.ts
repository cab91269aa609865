import { childVerse, ROOT } from '../../sdk/ids.ts'
import type { Config } from '../config.ts'
import type { Database } from '../store/database.ts'
import type { PartitionRecord } from '../store/partitions.ts'
import type { Admit } from './admission.ts'

const DAY_MS = 86_400_000
/** Beyond midnight, so that the clocks of keeper and database agree on the day. */
const SLACK_MS = 2_000

/**
 * Holds new work back while providers have spent what they may: in core-seconds, by UTC day and by verse. What has begun goes
 * to its end, so a bound may be passed by what ran when it was reached.
 */
export function createBudget(
  db: Database,
  { perDay, perVerse }: Config['budget'],
  now: () => number = Date.now,
): Admit {
  async function spentOn(day: string): Promise<number> {
    const [row] = await db.query<{ units: number }>(
      `select coalesce(sum(units), 0)::float8 as units from keeper.costs where day = $1::date`,
      [day],
    )
    return row!.units
  }

  /** The verse of a partition that has cost most. */
  async function dearest(record: PartitionRecord): Promise<{ verse: string; units: number }> {
    const [row] = await db.query<{ verse: string; units: number }>(
      `select verse, sum(units)::float8 as units from keeper.costs where verse = any($1)
      group by verse order by units desc limit 1`,
      [versesOf(record)],
    )
    return row ?? { verse: ROOT, units: 0 }
  }

  return async (record) => {
    if (record.steps.verify?.isDone) return { kind: 'admit' }
    if (perDay !== null) {
      const at = now()
      const day = new Date(at).toISOString().slice(0, 10)
      const units = await spentOn(day)
      if (units >= perDay)
        return {
          kind: 'wait',
          waiting: {
            reason: 'budget',
            message: `providers spent ${units.toFixed(3)} core-seconds on ${day} (UTC), KEEPER_BUDGET_DAY is ${perDay}`,
          },
          resume: { kind: 'time', afterMs: DAY_MS - (at % DAY_MS) + SLACK_MS },
        }
    }
    if (perVerse !== null) {
      const { verse, units } = await dearest(record)
      if (units >= perVerse)
        return {
          kind: 'wait',
          waiting: {
            reason: 'budget',
            message: `providers spent ${units.toFixed(3)} core-seconds on verse ${verse}, KEEPER_BUDGET_VERSE is ${perVerse}`,
          },
          resume: null,
        }
    }
    return { kind: 'admit' }
  }
}

/** The verses that a partition's worlds are of: its children, and the one that is split, unless that is everybody's. */
function versesOf({ parent, question }: PartitionRecord): string[] {
  const children = Array.from({ length: question.outcomes - 1 }, (_, outcome) =>
    childVerse(parent, question.id, outcome),
  )
  return parent === ROOT ? children : [parent, ...children]
}
