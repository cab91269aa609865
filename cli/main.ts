import { once } from 'node:events'
import { type Command, CommanderError } from 'commander'
import { MultiverseError } from '../sdk/errors.ts'
import { EXIT, exitCodeOf, toFailure, usageError } from './errors.ts'
import { createProgress, helpWidth, outputWidth, wrap } from './output.ts'
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

// For verbs that have nothing to put in order; those that have ask for the signal instead.
const interrupt = () => {
  progress.end()
  fail(interrupted())
  process.exit(EXIT.interrupted)
}
process.on('SIGINT', interrupt)

const program = createProgram({
  progress,
  async finish({ json, text, exitCode, isRaw }, options) {
    progress.end()
    const shown = isRaw === true ? text : wrap(text, outputWidth())
    const hasRoom = process.stdout.write(
      `${options.json === true ? JSON.stringify(json) : shown}\n`,
    )
    process.exitCode = exitCode ?? EXIT.ok
    if (!hasRoom) await once(process.stdout, 'drain')
  },
  signal: untilEnded,
})
for (const command of withDescendants(program))
  command.exitOverride().configureOutput({
    outputError: () => {},
    getOutHelpWidth: helpWidth,
    getErrHelpWidth: helpWidth,
  })

try {
  await program.parseAsync()
} catch (error) {
  progress.end()
  if (!(error instanceof CommanderError)) fail(error)
  else if (error.code === 'commander.help') fail(usageError('name a verb: multiverse --help'))
  // Help was asked for, and has been printed.
  else if (error.exitCode === 0) process.exitCode = EXIT.ok
  // Whoever gave a private key as an argument is not shown it once more.
  else
    fail(
      usageError(error.message.replace(/^error: /, '').replace(/(0x)?[0-9a-f]{64}/gi, '(hidden)')),
    )
}

function withDescendants(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withDescendants)]
}

/** Says it on standard error, and with --json as the last line of standard output. */
function fail(error: unknown): void {
  const failure = toFailure(error)
  process.stderr.write(`error ${failure.error.code}: ${failure.error.message}\n`)
  if (isJson) process.stdout.write(`${JSON.stringify(failure)}\n`)
  process.exitCode = exitCodeOf(error)
}

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
