import { Option } from 'commander'
import { JOB_STATES, TX_STATES } from '../../sdk/keeperOutput.ts'
import type { CommonOptions } from '../context.ts'
import { examples } from '../help.ts'
import type { Registry } from '../registry.ts'
import {
  type ActOptions,
  type JobsOptions,
  keeperDropVerb,
  keeperDutiesVerb,
  keeperJobsVerb,
  keeperReconcileVerb,
  keeperRetryVerb,
  keeperStatusVerb,
  keeperTxsVerb,
  keeperWorldsVerb,
  type TxsOptions,
} from '../verbs/keeper.ts'
import { integerFrom } from './options.ts'

const limit = () =>
  new Option('--limit <n>', 'so many at most').argParser(integerFrom(1, 1000)).default(100)

/** Verbs of whoever operates a keeper. */
export function registerKeeperCommands({ program, verb, finish }: Registry): void {
  const keeper = program
    .command('keeper')
    .description('look after the keeper of a data folder: jobs, dead letters, transactions')
    .helpCommand(false)
    .addHelpText(
      'after',
      examples(
        ['keeper status', 'how it is doing'],
        ['keeper jobs --state dead', 'what it gave up on'],
      ),
    )
  verb('status', 'show how the keeper is doing: chain, jobs, transactions, spending', keeper)
    .addHelpText('after', examples(['keeper status', 'from its books when it does not run']))
    .action(async (options: CommonOptions) => finish(await keeperStatusVerb(options), options))

  verb('jobs', 'list the jobs that are not done, or show everything about one', keeper)
    .argument('[key]', 'a job, by its key or how that begins')
    .addOption(new Option('--state <state>', 'only those').choices(JOB_STATES))
    .addOption(limit())
    .addHelpText(
      'after',
      examples(
        ['keeper jobs --state dead', 'the dead letters'],
        ['keeper jobs 0x1a2b3c4d', 'how one failed, each time'],
      ),
    )
    .action(async (key: string | undefined, options: JobsOptions) =>
      finish(await keeperJobsVerb(key, options), options),
    )

  verb('retry', 'try a job again now; a dead letter is begun anew', keeper)
    .argument('[key]', 'the job, by its key or how that begins')
    .option('--all', 'every dead letter')
    .addHelpText(
      'after',
      examples(
        ['keeper retry 0x1a2b3c4d', 'one, whose cause was mended'],
        ['keeper retry --all', 'after an outage that took too long'],
      ),
    )
    .action(async (key: string | undefined, options: ActOptions) =>
      finish(await keeperRetryVerb(key, options), options),
    )

  verb('drop', 'take a dead letter off the list: nothing brings its work back', keeper)
    .argument('[key]', 'the job, by its key or how that begins')
    .option('--all', 'every dead letter')
    .addHelpText(
      'after',
      examples(['keeper drop 0x1a2b3c4d', 'a question that is not worth the trouble']),
    )
    .action(async (key: string | undefined, options: ActOptions) =>
      finish(await keeperDropVerb(key, options), options),
    )

  verb('worlds', "list the worlds that live in the keeper's process", keeper)
    .addHelpText('after', examples(['keeper worlds', 'with their instances at the provider']))
    .action(async (options: CommonOptions) => finish(await keeperWorldsVerb(options), options))

  verb('duties', 'list what is done for oracles: answers, bonds at stake, what comes next', keeper)
    .addHelpText('after', examples(['keeper duties', 'also from its books when it does not run']))
    .action(async (options: CommonOptions) => finish(await keeperDutiesVerb(options), options))

  verb('reconcile', 'compare chain, jobs and worlds now, and put right what differs', keeper)
    .addHelpText(
      'after',
      examples([
        'keeper reconcile',
        "an instance that is nobody's is destroyed when it is found a second time",
      ]),
    )
    .action(async (options: CommonOptions) => finish(await keeperReconcileVerb(options), options))

  verb('txs', 'list the transactions that the keeper signed, newest first', keeper)
    .addOption(new Option('--state <state>', 'only those').choices(TX_STATES))
    .addOption(limit())
    .addHelpText('after', examples(['keeper txs --state signed', 'what is on its way to a block']))
    .action(async (options: TxsOptions) => finish(await keeperTxsVerb(options), options))
}
