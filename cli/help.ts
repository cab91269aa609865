import { helpWidth, wrap } from './output.ts'

/** A command line as one would type it, and what it is good for. */
export type Example = readonly [commandLine: string, purpose: string]

/**
 * The examples of a verb, for `addHelpText('after', examples(...))`. Command lines are given without `multiverse`. The
 * purpose stands above its command line as a comment, so that both fit a narrow terminal and can be pasted as they are.
 */
export function examples(...all: readonly Example[]): string {
  const width = helpWidth()
  const lines = all.flatMap(([commandLine, purpose]) => [
    ...wrap(purpose, width - 4)
      .split('\n')
      .map((line) => `  # ${line.trim()}`),
    pasteable(`  multiverse ${commandLine}`, width),
  ])
  return ['', 'Examples:', ...lines].join('\n')
}

/** A command line that is too wide goes on below, as a shell reads it. */
function pasteable(commandLine: string, width: number): string {
  return commandLine.length <= width ? commandLine : commandLine.replaceAll(' --', ' \\\n    --')
}
