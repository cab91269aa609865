import { expect, it } from 'vitest'
import { guarded } from '../../providers/guard.ts'
import type { CallOptions, WorldRuntimeProvider } from '../../providers/provider.ts'
import { createQuickjsProvider } from '../../providers/quickjs/provider.ts'

// What a caller that trusts no provider makes of one.

/** A provider that never answers, and keeps what it was called with. */
function mute(): { provider: WorldRuntimeProvider; deadlines: (number | undefined)[] } {
  const deadlines: (number | undefined)[] = []
  const never = (options?: CallOptions) => {
    deadlines.push(options?.deadlineMs)
    return new Promise<never>(() => {})
  }
  const provider: WorldRuntimeProvider = {
    ...createQuickjsProvider(),
    create: never,
    snapshot: (_, options) => never(options),
    forget: (_, options) => never(options),
    branch: (_id, _count, options) => never(options),
    execute: (_id, _code, options) => never(options),
    merge: (_ids, _oracle, options) => never(options),
    destroy: (_, options) => never(options),
  }
  return { provider, deadlines }
}

it('ends every call, with a deadline of its own where there is none', async () => {
  const { provider, deadlines } = mute()
  const careful = guarded(provider, { timeMs: 10 }, { answerMs: 20, runMs: 5 })
  const calls = [
    careful.create({ seed: 1n }),
    careful.snapshot('a'),
    careful.forget('a'),
    careful.branch('a', 1),
    careful.execute('a', '1'),
    careful.execute('a', '1', { timeMs: 30 }),
    careful.execute('a', '1', { deadlineMs: 7 }),
    careful.merge(['a'], { winner: 'a' }),
    careful.destroy('a'),
  ]
  const late = { code: 'DEADLINE_EXCEEDED', isRetryable: true }
  for (const call of await Promise.allSettled(calls))
    expect(call).toMatchObject({ status: 'rejected', reason: late })
  expect(deadlines).toEqual([20, 20, 20, 20, 15, 35, 7, 20, 20])
})

it('takes no answer that is not whole', async () => {
  const { provider } = mute()
  const ended: string[] = []
  const instance = (id: string) => ({ id, providerId: 'quickjs', snapshotId: null, bootMs: 1 })
  const careful = guarded(
    {
      ...provider,
      execute: async () => ({ value: 1 }) as never,
      snapshot: async () => null as never,
      branch: async () => [instance('one'), instance('two')],
      destroy: async (id) => void ended.push(id),
    },
    { timeMs: 10 },
    { answerMs: 1_000, runMs: 1_000 },
  )
  await expect(careful.execute('a', '1')).rejects.toMatchObject({ code: 'RESULT_INVALID' })
  await expect(careful.snapshot('a')).rejects.toMatchObject({ code: 'PROVIDER_FAILED' })
  await expect(careful.branch('a', 3)).rejects.toMatchObject({
    code: 'PROVIDER_FAILED',
    message: 'quickjs gave 2 of 3 branches',
  })
  expect(ended).toEqual(['one', 'two'])
  expect(await careful.branch('a', 2)).toHaveLength(2)
})
