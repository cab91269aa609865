import { Command, Help } from 'commander'
import { registerAnalyticsCommands, registerProviderCommands } from './commands/analytics.ts'
import { registerAnswerCommands } from './commands/answer.ts'
import { registerChartCommand } from './commands/chart.ts'
import { registerCompletionCommand } from './commands/completion.ts'
import { registerDoctorCommand } from './commands/doctor.ts'
import { registerKeeperCommands } from './commands/keeper.ts'
import { registerLedgerCommands } from './commands/ledger.ts'
import { registerLookCommands } from './commands/look.ts'
import { registerMirrorCommands } from './commands/mirror.ts'
import { registerNetworkCommands } from './commands/network.ts'
import { integerFrom, PATH_HELP } from './commands/options.ts'
import { registerRuntimeCommands } from './commands/runtime.ts'
import { registerStackCommands } from './commands/stack.ts'
import { registerWalletCommands } from './commands/wallet.ts'
import { helpWidth, wrap } from './output.ts'
import type { Registry, Surroundings } from './registry.ts'

/** The fewest columns for a description beside what it describes. */
const NARROW = 44

/** The command line of the multiverse: every group of verbs is a file in commands/. */
export function createProgram(surroundings: Surroundings): Command {
  const program = new Command('multiverse')
    .description(
      'Own a token in every future at once, run the futures, settle the one that comes true.',
    )
    .helpCommand(false)
    .configureHelp({ formatItem })
    .showHelpAfterError(false)
    .addHelpText(
      'after',
      wrap(
        `
A QUESTION is an id, six or more of its first hex digits, or its title in words joined by dashes. An OUTCOME is a label or a number. A verse is a path of answers, ${PATH_HELP}.

Exit codes: 0 done, 1 failed, 2 usage, 3 another chain or data folder, 4 nothing is running, 130 ended by Ctrl-C.`,
        helpWidth(),
      ),
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
      .option(
        '--as <wallet>',
        'who signs: a keystore by name or address; on a local chain also alice, bob, carol, deployer or keeper',
      )
      .option(
        '--passphrase-fd <n>',
        "file descriptor to read the keystore's passphrase from",
        integerFrom(0, 9999),
      )

  const registry = { ...surroundings, program, verb, chainVerb }
  registerStackCommands(registry)
  registerLedgerCommands(registry)
  registerAnswerCommands(registry)
  registerLookCommands(registry)
  registerWalletCommands(registry)
  registerKeeperCommands(registry)
  registerNetworkCommands(registry)
  registerAnalyticsCommands(registry)
  registerProviderCommands(registry)
  registerRuntimeCommands(registry)
  registerChartCommand(registry)
  registerMirrorCommands(registry)
  registerDoctorCommand(registry)
  registerCompletionCommand(registry)
  return program
}

/** On a terminal too narrow for two columns, a description stands below what it describes. */
function formatItem(this: Help, term: string, termWidth: number, text: string, helper: Help) {
  const width = helper.helpWidth ?? helpWidth()
  if (termWidth + NARROW <= width)
    return Help.prototype.formatItem.call(this, term, termWidth, text, helper)
  const below = text.trim() === '' ? [] : wrap(text, width - 6).split('\n')
  return [`  ${term}`, ...below.map((line) => `      ${line}`)].join('\n')
}
