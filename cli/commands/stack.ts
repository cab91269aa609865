import { Option } from 'commander'
import { examples } from '../help.ts'
import type { Registry } from '../registry.ts'
import { OUTCOMES } from '../scenario/spec.ts'
import type { DemoOptions } from '../verbs/demo.ts'
import { type SqlOptions, sqlVerb } from '../verbs/sql.ts'
import type { UpOptions } from '../verbs/up.ts'
import { PROVIDERS } from '../stack/worlds.ts'
import { integerFrom } from './options.ts'

/** Verbs that start a stack, or ask what runs in one. */
export function registerStackCommands({ verb, progress, finish, signal }: Registry): void {
  const scenarioVerb = (name: string, description: string) =>
    verb(name, description)
      .addOption(
        new Option('--outcome <outcome>', 'which future comes true')
          .choices(OUTCOMES)
          .default('optimal'),
      )
      .option('--degree <d>', 'degree of the latency x^d, 1 to 4', integerFrom(1, 4), 1)
      .addOption(
        new Option('--provider <provider>', 'what worlds run in')
          .choices(PROVIDERS)
          .default('quickjs'),
      )

  scenarioVerb('up', 'start chain, contracts, keeper and indexer, and stay up until Ctrl-C')
    .option('--fresh', 'begin anew: removes what the stack keeps in the data folder')
    .option('--port-base <port>', 'first of four ports', integerFrom(1024, 65_000))
    .option('--scenario', 'run the default scenario, unless it has run in this data folder')
    .addHelpText(
      'after',
      examples(
        ['up', 'a multiverse of your own, kept in .data'],
        ['up --scenario --outcome nash', 'the same with something in it'],
        ['up --data ./other --port-base 9000', 'a second one beside it'],
      ),
    )
    .action(async (options: UpOptions) => {
      // Loaded when needed: deploying takes a library that would slow every other verb down.
      const { upVerb } = await import('../verbs/up.ts')
      await upVerb(options, {
        progress,
        signal: signal(),
        ready: (result) => finish(result, options),
      })
    })

  scenarioVerb('demo', 'run everything once in a temporary folder, check it, and clean up')
    .addHelpText(
      'after',
      examples(
        ['demo', 'see it all work; exits 0 only if everything held'],
        ['demo --outcome void --degree 3 --json', 'another end of another game, for a program'],
      ),
    )
    .action(async (options: DemoOptions) => {
      const { demoVerb } = await import('../verbs/demo.ts')
      await finish(await demoVerb(options, { progress, signal: signal() }), options)
    })

  verb('sql', 'ask DuckDB through the running stack')
    .argument('<query>', 'read-only SQL')
    .option('--csv', 'print CSV')
    .addHelpText(
      'after',
      examples(
        ['sql "SELECT * FROM v_wev"', 'what each answer was worth'],
        ['sql --csv "SELECT * FROM v_wev"', 'the same for a spreadsheet'],
      ),
    )
    .action(async (query: string, options: SqlOptions) =>
      finish(await sqlVerb(query, options), options),
    )
}
