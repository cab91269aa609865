import { oneLine } from '../errors.ts'

/** Set by a supervisor that keeps the child's standard input open for as long as it lives itself. */
export const SUPERVISED = 'MULTIVERSE_SUPERVISED'

/**
 * Runs `stop` once when the process is told to end: SIGINT, SIGTERM, or, when it is supervised, its standard input closing
 * (so a supervisor that was killed takes its children with it). A second signal ends the process at once; so does
 * `graceMs` running out. Exit codes: 0 stopped in order, 1 the stop failed or took too long.
 */
export function onStop(stop: (reason: string) => Promise<void>, graceMs = 10_000): void {
  let isStopping = false
  const begin = (reason: string) => {
    if (isStopping) {
      if (reason !== 'stdin') process.exit(1)
      return
    }
    isStopping = true
    setTimeout(() => {
      process.stderr.write(`not stopped within ${graceMs} ms\n`)
      process.exit(1)
    }, graceMs).unref()
    stop(reason).then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`stop failed: ${oneLine(error)}\n`)
        process.exit(1)
      },
    )
  }
  process.on('SIGINT', () => begin('SIGINT'))
  process.on('SIGTERM', () => begin('SIGTERM'))
  if (process.env[SUPERVISED] === '1') {
    process.stdin.resume()
    process.stdin.on('end', () => begin('stdin'))
    process.stdin.on('close', () => begin('stdin'))
    process.stdin.on('error', () => begin('stdin'))
  }
}
