import { assertDeployedOn, type Provider } from '../../deploy/identity.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import { networkOf } from '../../sdk/networks.ts'
import { readDeployment } from '../../sdk/node/data.ts'
import {
  createKeyring,
  type Keyring,
  type KeySource,
  keyVariables,
} from '../../sdk/node/keys/keyring.ts'
import type { RunOutput } from '../../sdk/networkOutput.ts'
import { readPassphrase } from '../../sdk/node/keys/passphrase.ts'
import { openTerminalPrompt } from '../../sdk/node/keys/prompt.ts'
import { chooseNetwork, createNetworkClient, type NetworkOptions, showUrl } from '../network.ts'
import { type Progress, type Result, table } from '../output.ts'
import { DEFAULT_PORT_BASE, portsFrom } from '../stack/ports.ts'
import { REMOTE_SERVICES, type RemoteService, startRemote } from '../stack/remote.ts'

export type RunOptions = NetworkOptions & { only?: RemoteService; portBase?: number }

type Deps = {
  progress: Progress
  signal: AbortSignal
  /** Takes what there is to know once everything is up. */
  ready: (result: Result<RunOutput>) => Promise<void>
}

/** Runs a keeper and an indexer on a deployment elsewhere, and stays up until the user ends it. */
export async function runVerb(
  options: RunOptions,
  { progress, signal, ready }: Deps,
): Promise<void> {
  const { network, rpcUrl, dataDir } = await chooseNetwork(options)
  const deployment = await readDeployment(dataDir)
  await assertDeployedOn(createNetworkClient(rpcUrl) as Provider, deployment)
  const services = options.only === undefined ? REMOTE_SERVICES : [options.only]
  const keeper = services.includes('keeper') ? await openKeeperKey(options) : null
  progress.begin(`starting ${services.join(' and ')} on ${network.title}`)
  const stack = await startRemote({
    dataDir,
    rpcUrl,
    deployment,
    services,
    keeper,
    ports: () => portsFrom(options.portBase ?? DEFAULT_PORT_BASE),
    say: progress.say,
    signal,
  })
  try {
    await Promise.race([stack.ready, stack.supervisor.failure, ended(signal)])
    if (!signal.aborted) {
      const { urls: all, keeper: address } = stack.record
      // Without the RPC's URL, which can hold a key.
      const { rpc: _, ...urls } = all
      await ready({
        json: { dataDir, deployment, services: [...services], keeper: address, urls },
        text: [
          table([
            ['network', `${network.title}, chain ${deployment.chainId}, by ${showUrl(rpcUrl)}`],
            ['confirmations', `${networkOf(deployment.chainId).confirmations}`],
            ...(address === null ? [] : [['keeper', `${address}  ${urls.keeper}/health`]]),
            ...(services.includes('indexer')
              ? [
                  ['GraphQL', urls.graphql],
                  ['SQL', `${urls.analytics}/sql`],
                ]
              : []),
            ['data', dataDir],
          ]),
          '',
          'Ctrl-C stops everything; the same command goes on from here.',
        ].join('\n'),
      })
      await Promise.race([stack.supervisor.failure, ended(signal)])
    }
  } finally {
    progress.begin('stopping')
    await stack.stop()
    progress.end()
  }
}

/**
 * Who the keeper is, by the rule of sdk/node/keys with KEEPER_ before its variables, or --as; and the variables for its
 * process, which has no terminal to ask for a passphrase at.
 * @throws NO_WALLET, and the codes of the keyring
 */
async function openKeeperKey({ as, passphraseFd }: RunOptions) {
  const prefix = 'KEEPER_'
  const { env } = process
  const keyring = createKeyring({ env, prefix, passphraseFd, openPrompt: openTerminalPrompt })
  const source = as === undefined ? await keyring.chosen() : await keyring.find(as)
  const names = keyVariables(prefix)
  if (source === undefined)
    throw new MultiverseError(
      'NO_WALLET',
      `the keeper needs a key: name a wallet with --as, or set ${names.wallet}, ${names.signerUrl} or ${names.privateKey}`,
    )
  return { address: await keyring.address(source), env: await handedOver(source, keyring) }
}

async function handedOver(source: KeySource, keyring: Keyring): Promise<Record<string, string>> {
  const names = keyVariables('KEEPER_')
  switch (source.kind) {
    case 'keystore':
      return {
        [names.wallet]: source.path,
        [names.passphrase]: await readPassphrase(keyring.passphrase, source.name),
      }
    case 'signer':
      return {
        [names.signerUrl]: source.signer.url,
        ...(source.signer.address === undefined
          ? {}
          : { [names.signerAddress]: source.signer.address }),
      }
    case 'variable':
      return { [source.name]: process.env[source.name] ?? '' }
    default:
      return source satisfies never
  }
}

/** Resolves when the user ends the program. */
function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
