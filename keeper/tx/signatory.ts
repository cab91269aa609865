import { type Address, formatEther, keccak256, type LocalAccount } from 'viem'
import { MultiverseError } from '../../sdk/errors.ts'
import type { Signed, TxStore } from '../store/txs.ts'
import type { Conditions } from './conditions.ts'
import type { Fees } from './fees.ts'
import type { Outgoing, Policy } from './policy.ts'

/** All of a transaction but nonce and fees. `gas` is its limit. */
export type Request = Outgoing & { gas: bigint }

/** Signs what the key may sign, and nothing else. */
export type Signatory = {
  address: Address
  /**
   * Whether it may be signed. `replaced` is what a transaction may take, in wei, that it is signed in the place of.
   * @throws POLICY_REFUSED, SPEND_LIMIT (retryable)
   */
  check(request: Request, fees: Fees, replaced?: bigint): Promise<void>
  sign(request: Request, fees: Fees, nonce: number): Promise<Signed>
}

export function createSignatory(options: {
  account: LocalAccount
  chainId: number
  txs: Pick<TxStore, 'spent'>
  policy: Policy
  /** Wei that any 24 hours may take, gas and value; null for no limit. */
  spendPerDay: bigint | null
  conditions: Conditions
}): Signatory {
  const { account, chainId, txs, policy, spendPerDay, conditions } = options

  return {
    address: account.address,
    async check(request, fees, replaced = 0n) {
      policy(request)
      if (spendPerDay === null) return
      const spent = await txs.spent(account.address)
      const would = spent - replaced + costOf(request, fees)
      if (would <= spendPerDay) return conditions.set('spend', null)
      const message =
        `${formatEther(would)} ether would be spent in 24 hours, ` +
        `KEEPER_SPEND_LIMIT_ETH is ${formatEther(spendPerDay)}`
      conditions.set('spend', message)
      throw new MultiverseError('SPEND_LIMIT', message, { isRetryable: true })
    },
    async sign(request, fees, nonce) {
      // Again, right before the signature: nothing gets past it, whoever calls.
      policy(request)
      const raw = await account.signTransaction({
        type: 'eip1559',
        chainId,
        nonce,
        ...request,
        ...fees,
      })
      return { raw, hash: keccak256(raw), cost: costOf(request, fees) }
    },
  }
}

/** The most it may take, in wei. */
function costOf({ gas, value }: Request, { maxFeePerGas }: Fees): bigint {
  return gas * maxFeePerGas + value
}
