import {
  type Abi,
  type Address,
  type BaseError,
  encodeFunctionData,
  getContractError,
  type Hex,
  parseTransaction,
} from 'viem'
import { call as ethCall, estimateContractGas } from 'viem/actions'
import { contractError, withAllErrors } from '../../sdk/actions.ts'
import type { MultiverseError } from '../../sdk/errors.ts'
import type { Rpc } from '../chain/rpc.ts'
import type { TxRecord } from '../store/txs.ts'

/** A contract call to be made. `value` in wei. */
export type Call = {
  to: Address
  abi: Abi
  functionName: string
  args: readonly unknown[]
  value?: bigint
}

/** A call as bytes, with the gas it takes by the node's estimate. */
export type Simulated = { call: Call; data: Hex; gas: bigint }

/**
 * Runs the call on the newest state without sending it.
 * @throws the custom error's own code and arguments when it would revert, CONTRACT_REVERT; RPC_FAILED (retryable)
 */
export async function simulate(rpc: Rpc, from: Address, call: Call): Promise<Simulated> {
  const gas = await estimateContractGas(rpc, {
    // As an address, or viem would look up nonce and fees too.
    account: from,
    address: call.to,
    abi: withAllErrors(call.abi),
    functionName: call.functionName,
    args: call.args,
    value: call.value ?? 0n,
  }).catch((error: unknown) => {
    throw contractError(error)
  })
  return { call, data: encodeFunctionData(call), gas }
}

/** Several calls of one contract as one that makes them in order, all or none. Null when it cannot. */
export function combined(calls: readonly Simulated[]): Call | null {
  const [first] = calls
  if (!first || calls.length < 2) return null
  const { to, abi } = first.call
  const isWhole = calls.every(({ call }) => call.to === to && (call.value ?? 0n) === 0n)
  const canCombine = abi.some((item) => item.type === 'function' && item.name === 'multicall')
  if (!isWhole || !canCombine) return null
  return { to, abi, functionName: 'multicall', args: [calls.map(({ data }) => data)] }
}

/**
 * Why a signed transaction reverts: in the block where it was mined, or on the newest state. Null when it does not.
 * RPC_FAILED (retryable) when that cannot be told.
 */
export async function revertOf(
  rpc: Rpc,
  { sender, raw, block }: Pick<TxRecord, 'sender' | 'raw' | 'block'>,
): Promise<MultiverseError | null> {
  const { to, data = '0x', value = 0n } = parseTransaction(raw)
  const at = block === null ? {} : { blockNumber: BigInt(block) }
  try {
    await ethCall(rpc, { account: sender, to: to!, data, value, ...at })
    return null
  } catch (error) {
    const abi = withAllErrors([])
    const known = { abi, address: to!, args: [], functionName: 'unknown' }
    return contractError(getContractError(error as BaseError, known))
  }
}
