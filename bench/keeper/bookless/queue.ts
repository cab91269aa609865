/** Keys to be worked on, each by one worker at a time; one that is asked for meanwhile is worked on again. */
export type MemoryQueue = {
  add: (key: string) => void
  work: (concurrency: number, run: (key: string) => Promise<void>) => void
  /** Resolves when nothing runs, and lets nothing begin. */
  stop: () => Promise<void>
}

export function createMemoryQueue(onError: (error: unknown) => void): MemoryQueue {
  const waiting = new Set<string>()
  const running = new Map<string, Promise<void>>()
  let free = 0
  let perform: ((key: string) => Promise<void>) | null = null

  function begin(): void {
    for (const key of waiting) {
      if (perform === null || free === 0) return
      if (running.has(key)) continue
      waiting.delete(key)
      free--
      const run = perform(key)
        .catch(onError)
        .finally(() => {
          running.delete(key)
          free++
          begin()
        })
      running.set(key, run)
    }
  }

  return {
    add(key) {
      waiting.add(key)
      begin()
    },
    work(concurrency, run) {
      free = concurrency
      perform = run
      begin()
    },
    async stop() {
      perform = null
      await Promise.all(running.values())
    },
  }
}
