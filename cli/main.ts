import { type Command, CommanderError } from 'commander'
import { EXIT, exitCodeOf, toFailure, usageError } from './errors.ts'
import { createProgress } from './output.ts'
import { createProgram } from './program.ts'

/** A second request to end that comes so much later than the first ends at once. */
const IMPATIENCE_MS = 1000

const isJson = process.argv.includes('--json')
const progress = createProgress(process.stderr)

// A reader that has seen enough, such as `head`, is no error.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.ok)
    throw error
  })

const program = createProgram({
  progress,
  finish({ json, text, exitCode }, options) {
    progress.end()
    process.stdout.write(`${options.json === true ? JSON.stringify(json) : text}\n`)
    process.exitCode = exitCode ?? EXIT.ok
  },
  signal: untilEnded,
})
for (const command of withDescendants(program))
  command.exitOverride().configureOutput({ outputError: () => {} })

try {
  await program.parseAsync()
} catch (error) {
  progress.end()
  if (!(error instanceof CommanderError)) fail(error)
  else if (error.code === 'commander.help') fail(usageError('name a verb: multiverse --help'))
  // Help was asked for, and has been printed.
  else if (error.exitCode === 0) process.exitCode = EXIT.ok
  else fail(usageError(error.message.replace(/^error: /, '')))
}

function withDescendants(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withDescendants)]
}

function fail(error: unknown): void {
  const failure = toFailure(error)
  process.stderr.write(`error ${failure.error.code}: ${failure.error.message}\n`)
  if (isJson) process.stdout.write(`${JSON.stringify(failure)}\n`)
  process.exitCode = exitCodeOf(error)
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
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, abort)
  process.on('disconnect', () => controller.abort())
  process.channel?.unref()
  return controller.signal
}
