import { type BalanceOptions, balanceVerb } from '../verbs/balance.ts'
import { type VerseOptions, verseVerb } from '../verbs/verse.ts'
import type { Registry } from '../registry.ts'
import { PATH_HELP } from './options.ts'

/** Verbs that look at the chain and change nothing. */
export function registerLookCommands({ chainVerb, finish }: Registry): void {
  chainVerb('balance', 'show what an owner has in every verse')
    .option('--owner <owner>', 'address or local wallet (default: the wallet)')
    .option('--verse <path>', `one verse only: ${PATH_HELP}`)
    .option('--token <address>', "the ERC-20 (default: the deployment's demo token)")
    .action(async (options: BalanceOptions) => finish(await balanceVerb(options), options))

  chainVerb('verse', 'show a verse: parent, children, probability, state, world')
    .argument('[path]', PATH_HELP, 'root')
    .option('--keeper <address>', 'whose notebook', 'keeper')
    .action(async (path: string, options: VerseOptions) =>
      finish(await verseVerb(path, options), options),
    )
}
