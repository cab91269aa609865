import { MultiverseError } from '../sdk/errors.ts'
import { after } from './host/limits.ts'
import type { CallOptions, ExecutionResult, Limits, WorldRuntimeProvider } from './provider.ts'

/** How long a provider may leave its caller without an answer, milliseconds. */
export type Patience = {
  /** For what is no program's run. */
  answerMs: number
  /** Beside a run's own time limit, as runs wait for each other. */
  runMs: number
}

/** A provider that honours its deadlines answers within this of one. */
const GRACE_MS = 1_000

/**
 * A provider that is taken at its word no further than it must be. Every call ends: with a deadline where its caller gave none, and by itself where the provider heeds none.
 * What the call was about may be in any state then; DEADLINE_EXCEEDED says that it may go well the next time. An answer that is
 * not whole is none: RESULT_INVALID of a run, PROVIDER_FAILED of what else; branches of which some are missing are ended.
 * @param limits of a run that names none
 */
export function guarded(
  provider: WorldRuntimeProvider,
  limits: Pick<Limits, 'timeMs'>,
  { answerMs, runMs }: Patience,
): WorldRuntimeProvider {
  const within = async <options extends CallOptions, result>(
    what: string,
    options: options | undefined,
    ms: number,
    call: (options: options & { deadlineMs: number }) => Promise<result>,
  ): Promise<result> => {
    const deadlineMs = options?.deadlineMs ?? ms
    const late = Promise.withResolvers<never>()
    const cancel = after(deadlineMs + GRACE_MS, () => {
      const text = `${provider.id} has not answered ${what} within ${deadlineMs} ms`
      late.reject(new MultiverseError('DEADLINE_EXCEEDED', text, { isRetryable: true }))
    })
    try {
      const given = { ...options, deadlineMs } as options & { deadlineMs: number }
      return await Promise.race([call(given), late.promise])
    } finally {
      cancel()
    }
  }

  return {
    ...provider,
    create: (options) => within('create', options, answerMs, (all) => provider.create(all)),
    snapshot: (id, options) =>
      within('snapshot', options, answerMs, async (all) => {
        const snapshot = await provider.snapshot(id, all)
        if (has(snapshot, 'id') && has(snapshot, 'stateRoot')) return snapshot
        throw new MultiverseError('PROVIDER_FAILED', `${provider.id} gave no whole snapshot`, {
          isRetryable: true,
        })
      }),
    forget: (id, options) => within('forget', options, answerMs, (all) => provider.forget(id, all)),
    branch: (id, count, options) =>
      within('branch', options, answerMs, async (all) => {
        const instances = await provider.branch(id, count, all)
        if (instances.length === count) return instances
        for (const instance of instances) await provider.destroy(instance.id)
        const text = `${provider.id} gave ${instances.length} of ${count} branches`
        throw new MultiverseError('PROVIDER_FAILED', text, { isRetryable: true })
      }),
    execute: (id, code, options) => {
      const ms = (options?.timeMs ?? limits.timeMs) + runMs
      return within('execute', options, ms, async (all) =>
        whole(await provider.execute(id, code, all)),
      )
    },
    merge: (ids, oracle, options) =>
      within('merge', options, answerMs, (all) => provider.merge(ids, oracle, all)),
    destroy: async (id, options) => {
      await within('destroy', options, answerMs, (all) => provider.destroy(id, all))
    },
  }
}

/** @throws RESULT_INVALID */
function whole(run: unknown): ExecutionResult {
  const isWhole =
    ['stdout', 'stderr', 'stateRoot'].every((name) => has(run, name)) &&
    (run as { value?: unknown }).value !== undefined
  if (isWhole) return run as ExecutionResult
  const shown = JSON.stringify(run)?.slice(0, 80)
  throw new MultiverseError('RESULT_INVALID', `the world answered ${shown}, which is not whole`)
}

/** Whether something has a text under a name. */
function has(value: unknown, name: string): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as Record<string, unknown>)[name] === 'string'
  )
}
