import { Argument, InvalidArgumentError, Option } from 'commander'
import { auditView, type Scope, SCOPES, SEED_VIEWS } from '../views.ts'
import { examples } from '../help.ts'
import type { Registry } from '../registry.ts'
import { providerStatusVerb } from '../verbs/provider.ts'
import { verseSelectVerb } from '../verbs/select.ts'
import { type ViewOptions, viewVerb } from '../verbs/views.ts'
import type { CommonOptions } from '../context.ts'
import { modes } from '../../providers/select.ts'

/** Verbs that ask the analytics, running or not. */
export function registerAnalyticsCommands({ verb, finish }: Registry): void {
  const viewCommand = (name: string, description: string) =>
    verb(name, description)
      .option('--csv', 'print CSV')
      .option('--parquet <file>', 'write a Parquet file')
      .addOption(
        new Option('--limit <rows>', 'rows of the table for people, at most; 0 for all')
          .argParser(rowsFrom)
          .default(1_000),
      )

  for (const view of SEED_VIEWS)
    viewCommand(view.name, view.description)
      .addHelpText(
        'after',
        examples(
          [view.name, 'a table, of what runs or of what an earlier run left'],
          [`${view.name} --parquet ${view.name}.parquet`, 'the same rows for other programs'],
        ),
      )
      .action(async (options: ViewOptions) => finish(await viewVerb(view, options), options))

  viewCommand(
    'gf3-audit',
    'check that the trits of every bundle come to 0; exits 1 if one does not',
  )
    .addArgument(new Argument('[scope]', 'one kind of bundle only').choices(SCOPES))
    .addHelpText(
      'after',
      examples(
        ['gf3-audit', 'the registry, each lane of a pipeline and each branching'],
        ['gf3-audit branch', 'the branchings only'],
      ),
    )
    .action(async (scope: Scope | undefined, options: ViewOptions) =>
      finish(await viewVerb(auditView(scope), options), options),
    )
}

/** Verbs about providers and the plans made of them. */
export function registerProviderCommands({ verb, finish }: Registry): void {
  verb('provider-status', 'one provider: what it can do, how it did, what is linked to it')
    .argument('<provider>', 'its id, as providers-list shows it')
    .addHelpText('after', examples(['provider-status quickjs', 'exits 1 when it is not available']))
    .action(async (id: string, options: CommonOptions) =>
      finish(await providerStatusVerb(id, options), options),
    )

  verb('verse-select', 'which providers work in which order, by the name of a mode')
    .addArgument(new Argument('<mode>', 'the plan').choices(modes))
    .addHelpText(
      'after',
      examples(
        ['verse-select full', 'the five of the seeds'],
        ['verse-select local', 'those of this machine'],
      ),
    )
    .action(async (mode: string, options: CommonOptions) => finish(verseSelectVerb(mode), options))
}

function rowsFrom(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('It must be a whole number, 0 for all.')
  return value
}
