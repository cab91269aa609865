import type { Command } from 'commander'
import type { CommonOptions } from './context.ts'
import type { Progress, Result } from './output.ts'

/** What the program needs from outside. */
export type Surroundings = {
  progress: Progress
  /** Takes a verb's result to the output. */
  finish: (result: Result, options: CommonOptions) => Promise<void>
  /** Aborted when the user wants to end. */
  signal: () => AbortSignal
}

/** What a group of verbs registers itself with: one function `registerX(registry)` a group, called in program.ts. */
export type Registry = Surroundings & {
  program: Command
  /** A verb with the options of all. `parent` makes it a word after another, as in `wallet new`. */
  verb: (name: string, description: string, parent?: Command) => Command
  /** A verb that speaks to a chain, and may sign for a wallet. */
  chainVerb: (name: string, description: string, parent?: Command) => Command
}
