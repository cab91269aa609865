import { Option } from 'commander'
import type { CommonOptions } from '../context.ts'
import { examples } from '../help.ts'
import type { Registry } from '../registry.ts'
import { type BalanceOptions, balanceVerb } from '../verbs/balance.ts'
import { type EventsOptions, eventsVerb } from '../verbs/events.ts'
import { questionVerb } from '../verbs/question.ts'
import { type QuestionsOptions, questionsVerb } from '../verbs/questions.ts'
import { type VerseOptions, verseVerb } from '../verbs/verse.ts'
import { type VersesOptions, versesVerb } from '../verbs/verses.ts'
import { type WorldsOptions, worldsVerb } from '../verbs/worlds.ts'
import { integerFrom, PATH_HELP } from './options.ts'

/** Verbs that look at the chain and change nothing. */
export function registerLookCommands({ chainVerb, finish }: Registry): void {
  chainVerb('questions', 'list questions')
    .addOption(new Option('--state <state>', 'only those').choices(['open', 'answered', 'expired']))
    .option('--oracle <oracle>', 'only those that it answers: address or local wallet')
    .addHelpText(
      'after',
      examples(
        ['questions', 'what has been asked'],
        ['questions --state open --oracle keeper', 'what the keeper has yet to answer'],
      ),
    )
    .action(async (options: QuestionsOptions) => finish(await questionsVerb(options), options))

  chainVerb('question', 'show everything about a question')
    .argument('<question>', 'id, first digits or title')
    .addHelpText(
      'after',
      examples(
        ['question 1a2b3c', 'by the first digits of its id'],
        ['question will-it-rain', 'by its title'],
      ),
    )
    .action(async (question: string, options: CommonOptions) =>
      finish(await questionVerb(question, options), options),
    )

  chainVerb('verses', 'draw every verse as a tree: probability, supply, state, world')
    .option('--keeper <address>', 'only worlds of this keeper')
    .addHelpText('after', examples(['verses', 'the whole multiverse']))
    .action(async (options: VersesOptions) => finish(await versesVerb(options), options))

  chainVerb('verse', 'show a verse: parent, children, probability, state, world')
    .argument('[path]', PATH_HELP, 'root')
    .option('--keeper <address>', 'whose notebook', 'keeper')
    .addHelpText(
      'after',
      examples(
        ['verse 1a2b3c=yes', 'the world in which the answer is yes'],
        ['verse 1a2b3c=yes,4d5e6f=no', 'where two questions were answered'],
      ),
    )
    .action(async (path: string, options: VerseOptions) =>
      finish(await verseVerb(path, options), options),
    )

  chainVerb('worlds', 'list the worlds that keepers ran for verses')
    .option('--keeper <address>', 'only those of this keeper')
    .addHelpText('after', examples(['worlds', 'what they cost, and which came true']))
    .action(async (options: WorldsOptions) => finish(await worldsVerb(options), options))

  chainVerb('balance', 'show what an owner has in every verse')
    .option('--owner <owner>', 'address or local wallet (default: the wallet)')
    .option('--verse <path>', `one verse only: ${PATH_HELP}`)
    .option('--token <address>', "the ERC-20 (default: the deployment's demo token)")
    .addHelpText(
      'after',
      examples(
        ['balance --as bob', 'what bob has'],
        ['balance --owner bob --verse 1a2b3c=yes --json', 'in one verse, for a program'],
      ),
    )
    .action(async (options: BalanceOptions) => finish(await balanceVerb(options), options))

  chainVerb('events', "print the contracts' events in order")
    .option('--follow', 'go on with what happens, until Ctrl-C')
    .option(
      '--from-block <number>',
      'begin there (default: where the contracts were deployed)',
      integerFrom(0, Number.MAX_SAFE_INTEGER),
    )
    .addHelpText(
      'after',
      examples(
        ['events', 'what has happened'],
        ['events --follow --json', 'one JSON value a line, with those that a reorg took back'],
      ),
    )
    .action(async (options: EventsOptions) =>
      eventsVerb(options, (event) => finish(event, options)),
    )
}
