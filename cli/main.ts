import { MultiverseError } from '../sdk/errors.ts'
import { EXIT } from './errors.ts'
import { execute, fail } from './execute.ts'
import { createProgress } from './output.ts'

/** A second request to end that comes so much later than the first ends at once. */
const IMPATIENCE_MS = 1000

const args = process.argv.slice(2)
const progress = createProgress(process.stderr)

// A reader that has seen enough, such as `head`, is no error.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.ok)
    throw error
  })

// For verbs that have nothing to put in order; those that have ask for the signal instead.
const interrupt = () => {
  progress.end()
  process.exit(fail(interrupted(), args, process))
}
process.on('SIGINT', interrupt)

process.exitCode = await execute(args, {
  stdout: process.stdout,
  stderr: process.stderr,
  progress,
  signal: untilEnded,
})

function interrupted(): MultiverseError {
  return new MultiverseError(
    'INTERRUPTED',
    'ended by Ctrl-C: a transaction that was sent before may still be mined',
  )
}

/** A signal that is aborted when the process is told to end, or when the one that started it is gone. */
function untilEnded(): AbortSignal {
  const controller = new AbortController()
  let toldAt: number | undefined
  const abort = () => {
    // One Ctrl-C may arrive twice, from the terminal and from npm; one that comes later is impatience.
    if (toldAt !== undefined && performance.now() - toldAt > IMPATIENCE_MS)
      process.exit(EXIT.failed)
    toldAt ??= performance.now()
    controller.abort()
  }
  process.off('SIGINT', interrupt)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, abort)
  process.on('disconnect', () => controller.abort())
  process.channel?.unref()
  return controller.signal
}
