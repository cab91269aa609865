import { type AskOptions, askVerb } from '../verbs/ask.ts'
import { type MoveOptions, pullUpVerb, pushDownVerb } from '../verbs/move.ts'
import { type ResolveOptions, resolveVerb } from '../verbs/resolve.ts'
import { type TransferOptions, transferVerb } from '../verbs/transfer.ts'
import type { Registry } from '../registry.ts'
import { PATH_HELP } from './options.ts'

/** Verbs that change the ledger. */
export function registerLedgerCommands({ chainVerb, finish }: Registry): void {
  chainVerb('ask', 'ask a question')
    .requiredOption('--spec <file>', 'JSON file of the spec')
    .requiredOption('--deadline <time>', '+1h, 2030-01-31T12:00Z or Unix seconds')
    .option('--oracle <address>', 'who answers: an address, or a local wallet', 'keeper')
    .option('--terms <hash>', "hash of the oracle's own terms")
    .action(async (options: AskOptions) => finish(await askVerb(options), options))

  const moveVerb = (name: string, description: string) =>
    chainVerb(name, description)
      .requiredOption('--question <question>', 'the question to split by')
      .requiredOption('--amount <amount>', 'in tokens, such as 12.5')
      .option('--path <path>', `parent verse: ${PATH_HELP}`, 'root')
      .option('--to <owner>', 'who gets it (default: the wallet)')
      .option('--token <address>', "the ERC-20 (default: the deployment's demo token)")

  moveVerb('push-down', 'split tokens of a verse into every answer of a question').action(
    async (options: MoveOptions) => finish(await pushDownVerb(options), options),
  )
  moveVerb('pull-up', 'merge complete sets back, or redeem winners').action(
    async (options: MoveOptions) => finish(await pullUpVerb(options), options),
  )

  chainVerb('transfer', 'give tokens inside a verse to another owner')
    .requiredOption('--verse <path>', PATH_HELP)
    .requiredOption('--to <owner>', 'address or local wallet')
    .requiredOption('--amount <amount>', 'in tokens, such as 12.5')
    .option('--token <address>', "the ERC-20 (default: the deployment's demo token)")
    .action(async (options: TransferOptions) => finish(await transferVerb(options), options))

  chainVerb('resolve', "answer a question through the running stack's keeper")
    .requiredOption('--question <question>', 'id or prefix')
    .requiredOption('--outcome <outcome>', 'label or number')
    .action(async (options: ResolveOptions) => finish(await resolveVerb(options), options))
}
