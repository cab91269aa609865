import { oneLine } from '../../sdk/errors.ts'
import type { ExecutionResult, Output } from '../provider.ts'

/**
 * Hands a run's output on while it is written, and what an engine tells only in the end, then: the listener has been given
 * all of it, once, when the run's result is. What comes after the signal is nobody's.
 */
export function relay(
  listener: ((output: Output) => void) | undefined,
  signal: AbortSignal | undefined,
): {
  onOutput: (output: Output) => void
  finish: (result: ExecutionResult) => ExecutionResult
} {
  if (listener === undefined) return { onOutput: () => undefined, finish: (result) => result }
  const given = { stdout: 0, stderr: 0 }
  let isDeaf = false
  const onOutput = ({ stream, text }: Output) => {
    if (text === '' || signal?.aborted === true) return
    given[stream] += text.length
    if (isDeaf) return
    try {
      listener({ stream, text })
    } catch (error) {
      // The program has nothing to do with it, and is not to be stopped by it.
      isDeaf = true
      process.emitWarning(`a listener to a world's output failed: ${oneLine(error)}`)
    }
  }
  return {
    onOutput,
    finish: (result) => {
      for (const stream of ['stdout', 'stderr'] as const)
        onOutput({ stream, text: result[stream].slice(given[stream]) })
      return result
    },
  }
}
