import type { Address } from 'viem'
import { MultiverseError } from '../../sdk/errors.ts'
import { keeperSocketPath } from '../../sdk/node/keeperSocket.ts'
import { type Context, dataFolder, openContext } from '../context.ts'
import type { Progress } from '../output.ts'
import { createKeeperApi, type KeeperApi } from '../services.ts'
import { freePorts } from '../stack/ports.ts'
import { isRunning, readStack } from '../stack/record.ts'
import { startStack } from '../stack/stack.ts'
import type { TableOptions } from './rows.ts'

export type OwnedOptions = TableOptions & { owner: string }

/** A local stack that runs, and whose money is played with. */
export type Site = {
  context: Context
  keeper: KeeperApi
  /** The demo token. */
  token: Address
  owner: Address
  progress: Progress
}

/**
 * Works on the local stack of the data folder, which is started for this call when it does not run.
 * @throws NO_TOKEN where there is no demo token
 */
export async function onLocalStack<T>(
  options: OwnedOptions,
  { progress, signal }: { progress: Progress; signal: AbortSignal },
  work: (site: Site) => Promise<T>,
): Promise<T> {
  const dataDir = dataFolder(options)
  const running = await readStack(dataDir)
  if (running !== undefined && (await isRunning(running.supervisor)))
    return work(await openSite(options, progress))
  progress.begin('starting the stack for this call')
  const stack = await startStack({ dataDir, ports: freePorts, fresh: false, say: () => {}, signal })
  try {
    await Promise.race([stack.ready, stack.supervisor.failure])
    return await Promise.race([
      openSite(options, progress).then(work),
      stack.supervisor.failure,
      interrupted(signal),
    ])
  } finally {
    progress.begin('stopping')
    await stack.stop()
    progress.end()
  }
}

async function openSite(options: OwnedOptions, progress: Progress): Promise<Site> {
  const context = await openContext({ ...options, as: options.owner })
  const { token } = context.deployment.addresses
  if (token === undefined)
    throw new MultiverseError(
      'NO_TOKEN',
      'this chain has no demo token: use ask, push-down, resolve and pull-up',
    )
  const keeper = createKeeperApi(() => keeperSocketPath(context.dataDir))
  return { context, keeper, token, owner: await context.walletAddress(), progress }
}

/** Rejects when the user ends the program. */
function interrupted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = () => reject(new MultiverseError('INTERRUPTED', 'ended before it was done'))
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}
