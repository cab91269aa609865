import { createLinks, type Links } from '../links.ts'
import type { CallOptions } from '../provider.ts'
import { aborted, invalid, linkDenied, tooLate } from './errors.ts'
import { after } from './limits.ts'

/**
 * What every provider of worlds keeps beside them: who may call, which calls are under way, what was made under which key.
 * It knows nothing of any engine.
 */
export type Calls = {
  links: Links
  /** Withdraws a link, and with it the calls that it alone permitted. */
  withdraw(link: Parameters<Links['remove']>[0]): void
  /**
   * Does a task that the caller's signal or deadline, the end of its world, of its component's rights or of the provider
   * cuts short: the call rejects at once, the task is told by its signal.
   * @throws LINK_DENIED, ABORTED, DEADLINE_EXCEEDED, INVALID_ARGUMENT
   */
  perform<result>(
    what: string,
    instanceId: string | null,
    options: CallOptions & { component?: string },
    task: (signal: AbortSignal) => Promise<result>,
  ): Promise<result>
  /** Resolves when the tasks of all calls have ended, those that were cut short too. */
  settled(): Promise<void>
  /** Cuts short the calls on an instance, or all. */
  cut(instanceId: string | null, reason: unknown): void
  /**
   * What was made under a key, or is being made, until the key is released; made now when there is nothing. `what` tells
   * calls apart.
   * @throws INVALID_ARGUMENT when the key stands for another call
   */
  underKey<result>(
    key: string | undefined,
    what: string,
    make: () => Promise<result>,
  ): Promise<result>
  /** Forgets a key, so that it makes anew. */
  release(key: string | undefined): void
  clear(): void
}

type Call = {
  instanceId: string | null
  component: string | undefined
  controller: AbortController
}

type Keyed = { what: string; made: Promise<unknown> }

/** @param id the provider's */
export function createCalls(id: string): Calls {
  const links = createLinks(id)
  const calls = new Set<Call>()
  const tasks = new Set<Promise<unknown>>()
  const keyed = new Map<string, Keyed>()

  return {
    links,
    withdraw: (link) => {
      try {
        links.remove(link)
      } finally {
        // Rights end even when the disk cannot be told.
        for (const { component, controller } of calls)
          if (component !== undefined && !links.permits(component))
            controller.abort(linkDenied(id, component))
      }
    },

    perform: async (what, instanceId, { signal, deadlineMs, component }, task) => {
      if (component !== undefined && !links.permits(component)) throw linkDenied(id, component)
      if (deadlineMs !== undefined && !(deadlineMs > 0))
        throw invalid(`deadlineMs ${deadlineMs} is not above 0`)
      const controller = new AbortController()
      const leave = () => controller.abort(aborted(what, signal?.reason))
      if (signal?.aborted === true) leave()
      controller.signal.throwIfAborted()
      const cut = new Promise<never>((_, reject) => {
        controller.signal.addEventListener('abort', () => reject(controller.signal.reason as Error))
      })
      const call: Call = { instanceId, component, controller }
      calls.add(call)
      signal?.addEventListener('abort', leave)
      const cancel = after(deadlineMs ?? Number.POSITIVE_INFINITY, () =>
        controller.abort(tooLate(what, deadlineMs ?? 0)),
      )
      try {
        const doing = task(controller.signal)
        const done: Promise<unknown> = doing.then(
          () => tasks.delete(done),
          () => tasks.delete(done),
        )
        tasks.add(done)
        return await Promise.race([doing, cut])
      } finally {
        cancel()
        calls.delete(call)
        signal?.removeEventListener('abort', leave)
      }
    },

    settled: async () => {
      while (tasks.size > 0) await Promise.all(tasks)
    },

    cut: (instanceId, reason) => {
      for (const call of calls)
        if (instanceId === null || call.instanceId === instanceId) call.controller.abort(reason)
    },

    underKey: <result>(key: string | undefined, what: string, make: () => Promise<result>) => {
      if (key === undefined) return make()
      const before = keyed.get(key)
      if (before !== undefined && before.what !== what)
        throw invalid(`key ${key} stands for another call: ${before.what}`)
      // The same call gives the same kind of thing.
      if (before !== undefined) return before.made as Promise<result>
      const made = make()
      const entry: Keyed = { what, made }
      keyed.set(key, entry)
      made.catch(() => {
        if (keyed.get(key) === entry) keyed.delete(key)
      })
      return made
    },

    release: (key) => {
      if (key !== undefined) keyed.delete(key)
    },

    clear: () => {
      links.clear()
      keyed.clear()
    },
  }
}
