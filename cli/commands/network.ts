import { Option } from 'commander'
import { networkNames } from '../network.ts'
import { examples } from '../help.ts'
import { helpWidth, wrap } from '../output.ts'
import type { Registry } from '../registry.ts'
import type { DeployVerbOptions } from '../verbs/deploy.ts'
import type { RunOptions } from '../verbs/run.ts'
import { REMOTE_SERVICES } from '../stack/remote.ts'
import { integerFrom } from './options.ts'

/** Verbs for chains of the user's own choice. */
export function registerNetworkCommands({ chainVerb, progress, finish, signal }: Registry): void {
  const networkVerb = (name: string, description: string) =>
    chainVerb(name, description).option(
      '--network <name>',
      `a network by name: ${networkNames().join(', ')}`,
    )

  networkVerb('deploy', 'make the contracts stand on a chain, at the same addresses as everywhere')
    .option('--dry-run', 'show addresses, gas, cost and balance, and send nothing')
    .option('--yes', 'do not ask before money is spent')
    .option(
      '--verify',
      'publish the sources on Sourcify, and on Etherscan if ETHERSCAN_API_KEY is set',
    )
    .option('--token', 'deploy the demo token too, which anybody can mint')
    .option('--no-oracles', 'leave out the oracle contracts')
    .option('--confirmations <n>', 'blocks to wait for at the end', integerFrom(0, 1_000))
    .option('--start-block <n>', 'a block before the contracts', integerFrom(0, 999_999_999))
    .addHelpText(
      'after',
      examples(
        [
          'deploy --network sepolia --dry-run',
          'addresses, gas and cost; SEPOLIA_RPC_URL says where the chain is',
        ],
        ['deploy --network sepolia --verify', 'send it, and publish the sources'],
        ['deploy --rpc http://127.0.0.1:9545 --data ./elsewhere --yes', 'a chain of your own'],
      ),
    )
    .action(async (options: DeployVerbOptions) => {
      // Loaded when needed: it would slow every other verb down.
      const { deployVerb } = await import('../verbs/deploy.ts')
      await finish(await deployVerb(options, { progress, signal: signal() }), options)
    })

  networkVerb('run', 'run a keeper and an indexer on a deployment elsewhere, until Ctrl-C')
    .addOption(new Option('--only <what>', 'run one of them').choices(REMOTE_SERVICES))
    .option('--port-base <port>', 'first of four ports', integerFrom(1024, 65_000))
    .addHelpText(
      'after',
      () =>
        wrap(
          "\nThe keeper's key: a keystore named with --as or KEEPER_WALLET, a remote signer at KEEPER_SIGNER_URL, or KEEPER_PRIVATE_KEY.",
          helpWidth(),
        ) +
        '\n' +
        examples(
          ['run --network sepolia --as operator', 'both; SEPOLIA_RPC_URL says where the chain is'],
          ['run --data ./elsewhere --rpc http://127.0.0.1:9545 --only indexer', 'one of them'],
        ),
    )
    .action(async (options: RunOptions) => {
      const { runVerb } = await import('../verbs/run.ts')
      await runVerb(options, {
        progress,
        signal: signal(),
        ready: (result) => finish(result, options),
      })
    })
}
