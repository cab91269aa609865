import { examples } from '../help.ts'
import type { Registry } from '../registry.ts'
import {
  type ExpireOptions,
  expireVerb,
  type NarrowOptions,
  narrowVerb,
  type ResolveOptions,
  resolveVerb,
} from '../verbs/resolve.ts'
import { type SignOptions, signVerb } from '../verbs/sign.ts'

/** Verbs that decide a question, or have a say in it. */
export function registerAnswerCommands({ chainVerb, finish }: Registry): void {
  const answerVerb = (name: string, description: string) =>
    chainVerb(name, description).requiredOption(
      '--question <question>',
      'id, first digits or title',
    )

  answerVerb('resolve', "answer a question: as its oracle, or through the running stack's keeper")
    .requiredOption('--outcome <outcome>', 'label or number')
    .addHelpText(
      'after',
      examples(
        ['resolve --question 1a2b3c --outcome yes', "a question of the keeper's, or of alice's"],
        ['resolve --question 1a2b3c --outcome 0 --as bob', "one of bob's, by the outcome's number"],
      ),
    )
    .action(async (options: ResolveOptions) => finish(await resolveVerb(options), options))

  answerVerb('sign', "sign an answer as a committee's member, with your own key")
    .requiredOption('--outcome <outcome>', 'label or number')
    .addHelpText(
      'after',
      examples(
        [
          'sign --question 1a2b3c --outcome yes --as bob',
          'the keeper submits what a majority signs',
        ],
        ['sign --question 1a2b3c --outcome yes --json', 'without a keeper: for whoever runs one'],
      ),
    )
    .action(async (options: SignOptions) => finish(await signVerb(options), options))

  answerVerb('narrow', 'rule outcomes out, as the oracle of a question')
    .requiredOption('--survivors <outcomes>', 'what stays possible: labels or numbers, with void')
    .addHelpText(
      'after',
      examples([
        'narrow --question 1a2b3c --survivors red,green,void --as bob',
        'it is not going to be blue',
      ]),
    )
    .action(async (options: NarrowOptions) => finish(await narrowVerb(options), options))

  answerVerb('expire', 'write down that the deadline has decided a question')
    .addHelpText(
      'after',
      examples(['expire --question 1a2b3c', 'void won as nobody answered in time']),
    )
    .action(async (options: ExpireOptions) => finish(await expireVerb(options), options))
}
