import { examples } from '../help.ts'
import type { Registry } from '../registry.ts'
import type { CommonOptions } from '../context.ts'
import { checkVerb, type ExportOptions, exportVerb, rebuildVerb } from '../verbs/mirror.ts'

/** Verbs about the analytics' database as a whole. */
export function registerMirrorCommands({ program, verb, finish, progress }: Registry): void {
  const analytics = program
    .command('analytics')
    .description('check, rebuild and export the database behind the SQL')
    .helpCommand(false)
    .addHelpText(
      'after',
      examples(
        ['analytics check', 'is DuckDB what the chain says?'],
        ['analytics export --to lake', 'Parquet for any other engine'],
      ),
    )

  verb('check', 'compare DuckDB, the indexer and the contract; exits 1 if they differ', analytics)
    .addHelpText(
      'after',
      examples(
        ['analytics check', 'every owner and position, at one block'],
        ['analytics check --json', 'all differences'],
      ),
    )
    .action(async (options: CommonOptions) => finish(await checkVerb(options), options))

  verb('rebuild', 'make the database anew from nothing, and then put it in its place', analytics)
    .addHelpText('after', examples(['analytics rebuild', 'the old one answers meanwhile']))
    .action(async (options: CommonOptions) => finish(await rebuildVerb(options, progress), options))

  verb(
    'export',
    'write all that is settled to Parquet files, what is new since the last time',
    analytics,
  )
    .requiredOption('--to <dir>', 'folder of the files; made if it is not there')
    .addHelpText(
      'after',
      examples(
        ['analytics export --to lake', 'a folder a table, partitioned by chain and day'],
        ['analytics export --to lake', 'again, later: adds files, changes none'],
      ),
    )
    .action(async (options: ExportOptions) => finish(await exportVerb(options), options))
}
