import { type Address, type Hex, hexToNumber, numberToHex } from 'viem'
import { z } from 'zod'
import { type Deployment, requireCode } from '../sdk/deployment.ts'
import { MultiverseError, oneLine } from '../sdk/errors.ts'

/** An EIP-1193 provider. */
export type Provider = {
  request(args: { readonly method: string; readonly params?: readonly unknown[] }): Promise<unknown>
}

/** Where a deployment begins: what tells its chain from others. */
export type Start = Pick<Deployment, 'chainId' | 'startBlock' | 'startBlockHash'>

/**
 * Checks that the chain behind `provider` is the one the deployment is on, and has its contracts as they were deployed.
 * @throws OTHER_CHAIN naming both chain ids or both block hashes, NO_CONTRACT, OTHER_CODE, RPC_FAILED
 */
export async function assertDeployedOn(provider: Provider, deployment: Deployment): Promise<void> {
  await assertStart(provider, deployment)
  await requireCode(deployment, (address) => readCode(provider, address))
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

/** The code at an address, `0x` when there is none. `block` is a height, or the newest when left out. */
export async function readCode(provider: Provider, address: Address, block?: number): Promise<Hex> {
  const at = block === undefined ? 'latest' : numberToHex(block)
  return (await request(provider, 'eth_getCode', [address, at])) as Hex
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
  return answered(method, () => provider.request({ method, params }))
}

/** Asks the chain something. @throws RPC_FAILED naming what was asked */
export async function answered<T>(what: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (cause) {
    throw new MultiverseError('RPC_FAILED', `${what}: ${oneLine(cause)}`, {
      cause,
      isRetryable: true,
    })
  }
}
