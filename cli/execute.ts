import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { type Command, CommanderError } from 'commander'
import { EXIT, exitCodeOf, toFailure, usageError } from './errors.ts'
import { helpWidth, outputWidth, type Progress, wrap } from './output.ts'
import { createProgram } from './program.ts'

/** Where a command line's words go, and what it is told from outside. */
export type Console = {
  stdout: Writable
  stderr: Writable
  progress: Progress
  /** Asked for by verbs that have something to put in order before they end. */
  signal: () => AbortSignal
}

/**
 * Runs one command line. What fails is said on standard error in one line, and with --json as the last line of standard output.
 * @param args What is typed after `multiverse`.
 * @returns The exit code.
 */
export async function execute(args: readonly string[], to: Console): Promise<number> {
  let code: number = EXIT.ok
  const program = createProgram({
    progress: to.progress,
    async finish({ json, text, exitCode, isRaw }, options) {
      to.progress.end()
      const shown = isRaw === true ? text : wrap(text, outputWidth())
      const hasRoom = to.stdout.write(`${options.json === true ? JSON.stringify(json) : shown}\n`)
      code = exitCode ?? EXIT.ok
      if (!hasRoom) await once(to.stdout, 'drain')
    },
    signal: to.signal,
  })
  for (const command of withDescendants(program))
    command.exitOverride().configureOutput({
      outputError: () => {},
      getOutHelpWidth: helpWidth,
      getErrHelpWidth: helpWidth,
    })

  try {
    await program.parseAsync(args, { from: 'user' })
    return code
  } catch (error) {
    to.progress.end()
    // Help was asked for, and has been printed.
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok
    return fail(asFailure(error), args, to)
  }
}

/** Says what went wrong. @returns The exit code. */
export function fail(
  error: unknown,
  args: readonly string[],
  to: Pick<Console, 'stdout' | 'stderr'>,
): number {
  const failure = toFailure(error)
  to.stderr.write(`error ${failure.error.code}: ${failure.error.message}\n`)
  if (args.includes('--json')) to.stdout.write(`${JSON.stringify(failure)}\n`)
  return exitCodeOf(error)
}

/** Commander's errors as ours; others as they are. */
function asFailure(error: unknown): unknown {
  if (!(error instanceof CommanderError)) return error
  if (error.code === 'commander.help') return usageError('name a verb: multiverse --help')
  // Whoever gave a private key as an argument is not shown it once more.
  return usageError(
    error.message.replace(/^error: /, '').replace(/(0x)?[0-9a-f]{64}/gi, '(hidden)'),
  )
}

function withDescendants(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withDescendants)]
}
