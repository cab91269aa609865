import { MultiverseError, oneLine } from '../sdk/errors.ts'
import type { Follower } from './chain/follow.ts'
import type { Service } from './http.ts'
import type { Database } from './store/database.ts'

/** Why current data cannot be served; null when it can. */
export async function notReady(follower: Follower, db: Database): Promise<string | null> {
  const { isCurrent, error } = follower.state()
  if (!isCurrent) return `chain: ${error ?? 'not followed to its head yet'}`
  try {
    await db.query('select 1')
    return null
  } catch (failed) {
    return `database: ${oneLine(failed)}`
  }
}

/** A service that answers from the first moment: until the keeper has started, that it has not. */
export function whenStarted(current: () => Service | null): Service {
  const started = () => {
    const service = current()
    if (!service)
      throw new MultiverseError('UNAVAILABLE', 'the keeper is starting', { isRetryable: true })
    return service
  }
  return {
    notReady: async () => (current() ? started().notReady() : 'the keeper is starting'),
    metrics: async () => started().metrics(),
    journal: async (after, limit) => started().journal(after, limit),
    status: async () => started().status(),
    verdicts: async (question) => started().verdicts(question),
    takeVerdict: async (verdict) => started().takeVerdict(verdict),
    duties: async () => started().duties(),
    worlds: async () => started().worlds(),
    partitions: async () => started().partitions(),
    partition: async (parent, question) => started().partition(parent, question),
    answer: async (question, outcome) => started().answer(question, outcome),
    jobs: async (filter) => started().jobs(filter),
    job: async (key) => started().job(key),
    retry: async (key) => started().retry(key),
    drop: async (key) => started().drop(key),
    reconcile: async () => started().reconcile(),
    txs: async (filter) => started().txs(filter),
  }
}
