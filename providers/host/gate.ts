/** Lets some tasks in at a time; the others wait in their order. */
export type Gate = <result>(task: () => Promise<result>) => Promise<result>

/** Lets so many tasks run at a time. */
export function createGate(width: number): Gate {
  const waiting: (() => void)[] = []
  let free = width
  return async (task) => {
    if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve))
    else free--
    try {
      return await task()
    } finally {
      const next = waiting.shift()
      if (next === undefined) free++
      else next()
    }
  }
}
