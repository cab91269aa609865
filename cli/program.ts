import { Command, InvalidArgumentError, Option } from 'commander'
import type { CommonOptions } from './context.ts'
import type { Registry, Surroundings } from './registry.ts'
import { OUTCOMES, type Outcome } from './scenario/spec.ts'
import { type AskOptions, askVerb } from './verbs/ask.ts'
import { type BalanceOptions, balanceVerb } from './verbs/balance.ts'
import { type MoveOptions, pullUpVerb, pushDownVerb } from './verbs/move.ts'
import { type ResolveOptions, resolveVerb } from './verbs/resolve.ts'
import { type SqlOptions, sqlVerb } from './verbs/sql.ts'
import { type TransferOptions, transferVerb } from './verbs/transfer.ts'
import { type VerseOptions, verseVerb } from './verbs/verse.ts'

type ScenarioOptions = { outcome: Outcome; degree: number }
export type UpOptions = CommonOptions &
  ScenarioOptions & { fresh?: boolean; portBase?: number; scenario?: boolean }
export type DemoOptions = CommonOptions & ScenarioOptions

const PATH_HELP = 'QUESTION=OUTCOME,... or root'

/** The command line of the multiverse. */
export function createProgram(surroundings: Surroundings): Command {
  const { progress, finish, signal } = surroundings
  const program = new Command('multiverse')
    .description(
      'Own a token in every future at once, run the futures, settle the one that comes true.',
    )
    .helpCommand(false)
    .showHelpAfterError(false)
    .addHelpText(
      'after',
      `
A QUESTION is an id or six or more of its first hex digits. An OUTCOME is a label or a number. A verse is a path of
answers, ${PATH_HELP}.

Exit codes: 0 done, 1 failed, 2 usage, 3 another chain or data folder, 4 nothing is running.`,
    )

  const verb: Registry['verb'] = (name, description, parent = program) =>
    parent
      .command(name)
      .description(description)
      .option('--json', 'print one JSON value as the last line')
      .option('--data <dir>', 'data folder (default: .data of this clone)')

  const chainVerb: Registry['chainVerb'] = (name, description, parent) =>
    verb(name, description, parent)
      .option('--rpc <url>', 'JSON-RPC of the chain (default: the running stack)')
      .option('--as <wallet>', 'local wallet: alice, bob, carol, deployer or keeper')

  const scenarioVerb = (name: string, description: string) =>
    verb(name, description)
      .addOption(
        new Option('--outcome <outcome>', 'which future comes true')
          .choices(OUTCOMES)
          .default('optimal'),
      )
      .option('--degree <d>', 'degree of the latency x^d, 1 to 4', integerFrom(1, 4), 1)

  scenarioVerb('up', 'start chain, contracts, keeper and indexer, and stay up until Ctrl-C')
    .option('--fresh', 'begin anew: removes what the stack keeps in the data folder')
    .option('--port-base <port>', 'first of four ports', integerFrom(1024, 65_000))
    .option('--scenario', 'run the default scenario, unless it has run in this data folder')
    .action(async (options: UpOptions) => {
      // Loaded when needed: deploying takes a library that would slow every other verb down.
      const { upVerb } = await import('./verbs/up.ts')
      await upVerb(options, {
        progress,
        signal: signal(),
        ready: (result) => finish(result, options),
      })
    })

  scenarioVerb('demo', 'run everything once in a temporary folder, check it, and clean up').action(
    async (options: DemoOptions) => {
      const { demoVerb } = await import('./verbs/demo.ts')
      finish(await demoVerb(options, { progress, signal: signal() }), options)
    },
  )

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

  chainVerb('resolve', "answer a question through the running stack's keeper")
    .requiredOption('--question <question>', 'id or prefix')
    .requiredOption('--outcome <outcome>', 'label or number')
    .action(async (options: ResolveOptions) => finish(await resolveVerb(options), options))

  verb('sql', 'ask DuckDB through the running stack')
    .argument('<query>', 'read-only SQL')
    .option('--csv', 'print CSV')
    .action(async (query: string, options: SqlOptions) =>
      finish(await sqlVerb(query, options), options),
    )

  return program
}

function integerFrom(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`)
    return value
  }
}
