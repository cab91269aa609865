import type { Hex } from 'viem'
import { MultiverseError } from '../../sdk/errors.ts'
import type { Query, Transact } from './database.ts'
import type { Transition } from './partitions.ts'

/**
 * Writes a transition. Gives the attempt of the step that it intends, else 0.
 * @throws STEP_SUPERSEDED (retryable) when the attempt that is done is not the one that stands
 */
export async function write(tx: Transact, key: Hex, transition: Transition): Promise<number> {
  if (transition.restart) await forgetSteps(tx.query, key)
  const attempt = await writeSteps(tx.query, key, transition)
  await writePartition(tx.query, key, transition)
  return attempt
}

async function writeSteps(query: Query, key: Hex, { done, intend }: Transition): Promise<number> {
  if (done) await endStep(query, key, done)
  if (!intend) return 0
  const [row] = await query<{ attempt: number }>(
    `insert into keeper.steps (partition, name, state, attempt) values ($1, $2, 'intended', 1)
    on conflict (partition, name) do update set state = 'intended', attempt = steps.attempt + 1
    returning attempt`,
    [key, intend],
  )
  return row!.attempt
}

/**
 * A step is done only where its own attempt is the newest that was intended: the chain may have taken the partition back
 * meanwhile, or another keeper taken it over.
 */
async function endStep(
  query: Query,
  key: Hex,
  { step, output, attempt }: NonNullable<Transition['done']>,
): Promise<void> {
  const values = [key, step, JSON.stringify(output)]
  const rows =
    attempt === null
      ? await query(
          `insert into keeper.steps (partition, name, state, attempt, output) values ($1, $2, 'done', 1, $3)
          on conflict (partition, name) do update set state = 'done', output = excluded.output returning 1`,
          values,
        )
      : await query(
          `update keeper.steps set state = 'done', output = $3
          where partition = $1 and name = $2 and attempt = $4 returning 1`,
          [...values, attempt],
        )
  if (rows.length === 0)
    throw new MultiverseError(
      'STEP_SUPERSEDED',
      `step ${step} of partition ${key} was taken back, or begun anew, while it was done`,
      { isRetryable: true },
    )
}

async function writePartition(query: Query, key: Hex, transition: Transition): Promise<void> {
  const { state, error, waiting, waitBlock, report, timings } = transition
  if (
    !state &&
    error === undefined &&
    waiting === undefined &&
    waitBlock === undefined &&
    !report &&
    !timings
  )
    return
  await query(
    `update keeper.partitions set
      state = coalesce($2, state),
      error = case when $3 then $4::jsonb else error end,
      wait_block = coalesce($5, wait_block),
      report_tx = coalesce($6, report_tx),
      report_block = coalesce($7, report_block),
      timings = timings || $8::jsonb,
      waiting = case when $9 then $10::jsonb else waiting end
    where key = $1`,
    [
      key,
      state ?? null,
      error !== undefined,
      error ? JSON.stringify(error) : null,
      waitBlock ?? null,
      report?.tx ?? null,
      report?.block ?? null,
      JSON.stringify(timings ?? {}),
      waiting !== undefined,
      waiting ? JSON.stringify(waiting) : null,
    ],
  )
}

/** All that a partition came to is done again, unless it was reported: then it stands. The spec is kept. */
async function forgetSteps(query: Query, key: Hex): Promise<void> {
  const [reported] = await query(
    `select 1 from keeper.steps where partition = $1 and name = 'report' and state = 'done'`,
    [key],
  )
  if (reported) return
  await query(`delete from keeper.steps where partition = $1 and name <> 'spec'`, [key])
  await query(`delete from keeper.verse_snapshots where partition = $1`, [key])
}
