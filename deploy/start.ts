import { hexToNumber, type Hex } from 'viem'
import { MultiverseError } from '../sdk/errors.ts'
import { isLocalChain } from '../sdk/networks.ts'
import type { PlannedContract } from './contracts.ts'
import { type Provider, readBlockHash, readCode, request, type Start } from './identity.ts'

/**
 * Where a deployment begins: before the ledger, so that no log of it is missed, and so deep that the block stays, because its
 * hash is the deployment's identity. `given` overrides what can be found out.
 * @throws START_UNKNOWN when the ledger stands and the RPC does not tell since when, RPC_FAILED
 */
export async function findStart(
  provider: Provider,
  ledger: PlannedContract,
  chainId: number,
  confirmations: number,
  given: number | undefined,
): Promise<Start> {
  const head = hexToNumber((await request(provider, 'eth_blockNumber')) as Hex)
  const stands = (await readCode(provider, ledger.address)) !== '0x'
  const deep = Math.max(0, head - confirmations * 2)
  const first = given ?? (stands ? await createdAt(provider, ledger, chainId, head) : head)
  const startBlock = Math.min(first, deep)
  const startBlockHash = await readBlockHash(provider, startBlock)
  if (startBlockHash === null)
    throw new MultiverseError('RPC_FAILED', `chain ${chainId} gives no block ${startBlock}`)
  return { chainId, startBlock, startBlockHash }
}

/** The block that a contract came with, by halving: from it on there is code. */
async function createdAt(
  provider: Provider,
  { address, name }: PlannedContract,
  chainId: number,
  head: number,
): Promise<number> {
  let [before, from] = [-1, head]
  try {
    while (from - before > 1) {
      const middle = Math.floor((before + from) / 2)
      if ((await readCode(provider, address, middle)) === '0x') before = middle
      else from = middle
    }
    return from
  } catch (cause) {
    // From the beginning costs nothing there.
    if (isLocalChain(chainId)) return 0
    throw new MultiverseError(
      'START_UNKNOWN',
      `${name} stands at ${address} and the RPC does not tell since when: give a block before it with --start-block`,
      { cause },
    )
  }
}
