/** A wait that can be cut short. */
export type Pause = {
  /** Resolves after `ms` milliseconds or at the next {@link Pause.wake}, at once when it came since the last wait. */
  wait(ms: number): Promise<void>
  wake(): void
}

/** A pause for one waiter at a time. */
export function createPause(): Pause {
  let isWoken = false
  let end: (() => void) | undefined
  return {
    wait(ms) {
      if (isWoken) {
        isWoken = false
        return Promise.resolve()
      }
      return new Promise((resolve) => {
        const timer = setTimeout(finish, ms)
        end = finish
        function finish() {
          clearTimeout(timer)
          end = undefined
          resolve()
        }
      })
    },
    wake() {
      if (end) end()
      else isWoken = true
    },
  }
}
