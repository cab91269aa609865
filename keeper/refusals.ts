import type { Address } from 'viem'
import { MultiverseError } from '../sdk/errors.ts'
import type { Network } from '../sdk/networks.ts'
import { type Rpc, rpcError } from './chain/rpc.ts'

// What a keeper looks at before it does anything, beside what the follower looks at each time the endpoint comes back.

/**
 * Refuses a chain of which nobody has said how deep a block must lie to stay.
 * @throws UNKNOWN_CHAIN
 */
export function requireKnown(network: Network, confirmations: number | null): void {
  if (network.name !== null || confirmations !== null) return
  throw new MultiverseError(
    'UNKNOWN_CHAIN',
    `chain ${network.chainId} is none that is known: say with KEEPER_CONFIRMATIONS how deep a block must lie to stay`,
  )
}

/**
 * Refuses a key that cannot pay for any transaction.
 * @throws NO_FUNDS; RPC_FAILED (retryable)
 */
export async function requireFunds(rpc: Rpc, address: Address, chainId: number): Promise<void> {
  const balance = await rpc.getBalance({ address }).catch((error: unknown) => {
    throw rpcError(error)
  })
  if (balance > 0n) return
  throw new MultiverseError(
    'NO_FUNDS',
    `${address} has nothing on chain ${chainId} to pay for transactions with: send it some ether`,
  )
}
