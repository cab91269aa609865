import { Argument } from 'commander'
import { bashCompletion } from '../completion/bash.ts'
import { fishCompletion } from '../completion/fish.ts'
import { commandWords } from '../completion/words.ts'
import { zshCompletion } from '../completion/zsh.ts'
import { examples } from '../help.ts'
import type { Registry } from '../registry.ts'

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const
const NAMES = Object.keys(SHELLS)

/** The verb that prints what a shell needs to complete all the others. */
export function registerCompletionCommand({ program, finish }: Registry): void {
  program
    .command('completion')
    .description('print a script that makes a shell complete verbs, options and choices')
    .addArgument(new Argument('<shell>', 'which shell').choices(NAMES))
    .addHelpText(
      'after',
      examples(
        ['completion bash > ~/.local/share/bash-completion/completions/multiverse', 'bash'],
        ['completion zsh > ~/.zfunc/_multiverse', 'zsh, with ~/.zfunc on its fpath'],
        ['completion fish > ~/.config/fish/completions/multiverse.fish', 'fish'],
      ),
    )
    .action(async (shell: keyof typeof SHELLS) => {
      const text = SHELLS[shell](program.name(), commandWords(program)).trimEnd()
      await finish({ json: { shell, script: text }, text, isRaw: true }, {})
    })
}
