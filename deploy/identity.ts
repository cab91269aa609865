import { type Hex, hexToNumber, numberToHex } from 'viem'
import { z } from 'zod'
import type { Deployment } from '../sdk/deployment.ts'
import { MultiverseError, oneLine } from '../sdk/errors.ts'

/** The chain id of local development chains. */
export const LOCAL_CHAIN_ID = 31_337

/** An EIP-1193 provider. */
export type Provider = {
  request(args: { readonly method: string; readonly params?: readonly unknown[] }): Promise<unknown>
}

/** Where a deployment begins: what tells its chain from others. */
export type Start = Pick<Deployment, 'chainId' | 'startBlock' | 'startBlockHash'>

/**
 * Checks that the chain behind `provider` is the one the deployment is on.
 * @throws OTHER_CHAIN naming both chain ids or both block hashes, RPC_FAILED
 */
export async function assertDeployedOn(provider: Provider, deployment: Deployment): Promise<void> {
  await assertStart(provider, deployment)
  const { multiverse } = deployment.addresses
  const code = await request(provider, 'eth_getCode', [multiverse, 'latest'])
  if (code === '0x')
    throw new MultiverseError(
      'OTHER_CHAIN',
      `no contract at ${multiverse}: chain ${deployment.chainId} was rolled back to before the deployment`,
    )
}

/** Checks the chain id and the start block. @throws OTHER_CHAIN, RPC_FAILED */
export async function assertStart(provider: Provider, start: Start): Promise<void> {
  const chainId = await readChainId(provider)
  if (chainId !== start.chainId)
    throw new MultiverseError(
      'OTHER_CHAIN',
      `the data folder belongs to chain ${start.chainId}, the RPC serves chain ${chainId}`,
    )
  const hash = await readBlockHash(provider, start.startBlock)
  if (hash !== start.startBlockHash)
    throw new MultiverseError(
      'OTHER_CHAIN',
      `block ${start.startBlock} is ${start.startBlockHash} in the data folder and ${hash ?? 'missing'} on the chain`,
    )
}

export async function readChainId(provider: Provider): Promise<number> {
  return hexToNumber((await request(provider, 'eth_chainId')) as Hex)
}

/** Null when there is no such block. */
export async function readBlockHash(provider: Provider, number: number): Promise<Hex | null> {
  const block = await request(provider, 'eth_getBlockByNumber', [numberToHex(number), false])
  return (z.nullable(z.object({ hash: z.string() })).parse(block)?.hash ?? null) as Hex | null
}

/** @throws RPC_FAILED */
export async function request(
  provider: Provider,
  method: string,
  params: readonly unknown[] = [],
): Promise<unknown> {
  try {
    return await provider.request({ method, params })
  } catch (cause) {
    throw new MultiverseError('RPC_FAILED', `${method}: ${oneLine(cause)}`, {
      cause,
      isRetryable: true,
    })
  }
}
