import { examples } from '../help.ts'
import type { Registry } from '../registry.ts'
import { type AskOptions, askVerb } from '../verbs/ask.ts'
import { type MoveOptions, pullUpVerb, pushDownVerb } from '../verbs/move.ts'
import { type RedeemersOptions, redeemersVerb, redeemerVerb } from '../verbs/redeemer.ts'
import { type TransferOptions, transferVerb } from '../verbs/transfer.ts'
import type { CommonOptions } from '../context.ts'
import { PATH_HELP } from './options.ts'

/** Verbs that ask questions and move what is in verses. */
export function registerLedgerCommands(registry: Registry): void {
  const { chainVerb, finish } = registry
  chainVerb('ask', 'ask a question')
    .requiredOption('--spec <file>', 'JSON file of the spec')
    .requiredOption('--deadline <time>', '+1h, 2030-01-31T12:00Z or Unix seconds')
    .option('--oracle <address>', 'who answers: an address, or a local wallet', 'keeper')
    .option('--terms <hash>', "hash of the oracle's own terms")
    .addHelpText(
      'after',
      examples(
        ['ask --spec spec.json --deadline +7d', "a question that the stack's keeper answers"],
        ['ask --spec spec.json --deadline 2030-01-31T12:00Z --oracle bob', 'one that bob answers'],
      ),
    )
    .action(async (options: AskOptions) => finish(await askVerb(options), options))

  const moveVerb = (name: string, description: string) =>
    chainVerb(name, description)
      .requiredOption('--question <question>', 'the question to split by')
      .requiredOption('--amount <amount>', 'in tokens, such as 12.5')
      .option('--path <path>', `parent verse: ${PATH_HELP}`, 'root')
      .option('--to <owner>', 'who gets it (default: the wallet)')
      .option('--token <address>', "the ERC-20 (default: the deployment's demo token)")

  moveVerb('push-down', 'split tokens of a verse into every answer of a question')
    .addHelpText(
      'after',
      examples(
        ['push-down --question 1a2b3c --amount 12.5', 'own 12.5 in every answer'],
        [
          'push-down --question 4d5e6f --amount 5 --path 1a2b3c=yes',
          'split what you have in a verse once more',
        ],
      ),
    )
    .action(async (options: MoveOptions) => finish(await pushDownVerb(options), options))
  moveVerb('pull-up', 'merge complete sets back, or redeem winners')
    .addHelpText(
      'after',
      examples([
        'pull-up --question 1a2b3c --amount 12.5',
        'before the answer takes 12.5 of every outcome, after it of the winner alone',
      ]),
    )
    .action(async (options: MoveOptions) => finish(await pullUpVerb(options), options))

  chainVerb('transfer', 'give tokens inside a verse to another owner')
    .requiredOption('--verse <path>', PATH_HELP)
    .requiredOption('--to <owner>', 'address or local wallet')
    .requiredOption('--amount <amount>', 'in tokens, such as 12.5')
    .option('--token <address>', "the ERC-20 (default: the deployment's demo token)")
    .addHelpText(
      'after',
      examples(['transfer --verse 1a2b3c=yes --to bob --amount 5', 'sell one side of a question']),
    )
    .action(async (options: TransferOptions) => finish(await transferVerb(options), options))

  registerRedeemerCommands(registry)
}

function registerRedeemerCommands({ program, chainVerb, finish }: Registry): void {
  const redeemer = program
    .command('redeemer')
    .helpCommand(false)
    .description('say who may pull up for you, always to you')
  chainVerb('set', 'allow an address to pull up for the wallet', redeemer)
    .argument('<redeemer>', 'address or local wallet')
    .addHelpText(
      'after',
      examples(['redeemer set keeper --as alice', 'alice is paid without doing anything']),
    )
    .action(async (address: string, options: CommonOptions) =>
      finish(await redeemerVerb(address, true, options), options),
    )
  chainVerb('unset', 'no longer allow it', redeemer)
    .argument('<redeemer>', 'address or local wallet')
    .addHelpText('after', examples(['redeemer unset keeper --as alice', 'alice changed her mind']))
    .action(async (address: string, options: CommonOptions) =>
      finish(await redeemerVerb(address, false, options), options),
    )
  chainVerb('list', 'show who may pull up for an owner', redeemer)
    .option('--owner <owner>', 'address or local wallet (default: the wallet)')
    .addHelpText('after', examples(['redeemer list --owner alice', 'whom alice allowed']))
    .action(async (options: RedeemersOptions) => finish(await redeemersVerb(options), options))
}
