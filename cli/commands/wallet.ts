import type { Command } from 'commander'
import { examples } from '../help.ts'
import type { Registry } from '../registry.ts'
import {
  importWalletVerb,
  type ImportWalletOptions,
  listWalletsVerb,
  newWalletVerb,
} from '../verbs/wallet.ts'
import type { CommonOptions } from '../context.ts'
import { integerFrom } from './options.ts'

const descriptor = integerFrom(0, 9999)

/** Verbs about the keys of this machine. */
export function registerWalletCommands({ program, verb, finish }: Registry): void {
  const wallet = program
    .command('wallet')
    .description('make, list and import wallets: encrypted keystore files')
    .helpCommand(false)
    .addHelpText(
      'after',
      examples(
        ['wallet new savings', 'a new key, encrypted with a passphrase that is asked for'],
        ['wallet list', 'which wallets there are, and what they have'],
        ['balance --as savings', 'any verb can sign with one'],
      ),
    )
  const walletVerb = (name: string, description: string) =>
    withPassphrase(verb(name, description, wallet))

  walletVerb('new', 'make a new key')
    .argument('<name>', 'what to call it')
    .addHelpText(
      'after',
      examples(
        ['wallet new savings', 'asks twice for a passphrase'],
        ['wallet new keeper-1 --passphrase-fd 3 3<passphrase.txt', 'takes it from a file'],
      ),
    )
    .action(async (name: string, options: CommonOptions) =>
      finish(await newWalletVerb(name, options), options),
    )

  walletVerb('import', 'take in a private key or a keystore file, from standard input')
    .argument('<name>', 'what to call it')
    .option('--file <file>', 'read it from a file instead')
    .option('--key-fd <n>', 'read it from a file descriptor instead', descriptor)
    .addHelpText(
      'after',
      examples(
        ['wallet import savings', 'asks for the private key, which is not shown'],
        ['wallet import savings --file UTC--2026-01-31T12-00-00Z--1a2b', "another wallet's file"],
        ['wallet import ci --key-fd 3 --passphrase-fd 4 3<key 4<passphrase', 'asks nothing'],
      ),
    )
    .action(async (name: string, options: ImportWalletOptions) =>
      finish(await importWalletVerb(name, options), options),
    )

  verb('list', 'list wallets, with their balances where a chain can be reached', wallet)
    .option('--rpc <url>', 'JSON-RPC of the chain (default: the running stack)')
    .addHelpText(
      'after',
      examples(
        ['wallet list', 'wallets and files; balances on the running stack'],
        ['wallet list --rpc https://rpc.example.org --json', 'balances on another chain, as JSON'],
      ),
    )
    .action(async (options: CommonOptions) => finish(await listWalletsVerb(options), options))
}

function withPassphrase(command: Command): Command {
  return command.option(
    '--passphrase-fd <n>',
    'file descriptor to read the passphrase from',
    descriptor,
  )
}
