/** A command line as one would type it, and what it is good for. */
export type Example = readonly [commandLine: string, purpose: string]

/**
 * The examples of a verb, for `addHelpText('after', examples(...))`. Command lines are given without `multiverse`. The
 * purpose stands above its command line as a comment, so that both fit a narrow terminal and can be pasted as they are.
 */
export function examples(...all: readonly Example[]): string {
  const lines = all.flatMap(([commandLine, purpose]) => [
    `  # ${purpose}`,
    `  multiverse ${commandLine}`,
  ])
  return ['', 'Examples:', ...lines].join('\n')
}
