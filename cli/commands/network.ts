import { networkNames } from '../network.ts'
import { examples } from '../help.ts'
import type { Registry } from '../registry.ts'
import type { DeployVerbOptions } from '../verbs/deploy.ts'
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
}
