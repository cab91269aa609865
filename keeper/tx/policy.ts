import {
  type Abi,
  type Address,
  decodeFunctionData,
  type Hex,
  isAddressEqual,
  parseAbi,
  slice,
  toFunctionSelector,
} from 'viem'
import {
  committeeOracleAbi,
  multiverseAbi,
  optimisticOracleAbi,
  priceOracleAbi,
  realityOracleAbi,
  worldsAbi,
} from '../../sdk/abi.ts'
import type { ContractName, Deployment } from '../../sdk/deployment.ts'
import { MultiverseError } from '../../sdk/errors.ts'

/** One function of one contract that the key may call. `contract` is a name of the deployment's, or an address. */
export type AllowedCall = { contract: ContractName | Address; selector: Hex }

/** What is about to be signed. */
export type Outgoing = { to: Address; data: Hex; value: bigint }

/** @throws POLICY_REFUSED when the key may not sign it */
export type Policy = (tx: Outgoing) => void

/** What the keeper's own work calls, by contract. */
const DUTIES: Partial<Record<ContractName, { abi: Abi; functions: readonly string[] }>> = {
  multiverse: { abi: multiverseAbi, functions: ['narrow', 'expire', 'pullUpFor'] },
  worlds: { abi: worldsAbi, functions: ['report', 'updateProbabilities'] },
  optimisticOracle: {
    abi: optimisticOracleAbi,
    functions: ['propose', 'dispute', 'settle', 'claim'],
  },
  committeeOracle: { abi: committeeOracleAbi, functions: ['settle'] },
  realityOracle: { abi: realityOracleAbi, functions: ['settle'] },
  priceOracle: { abi: priceOracleAbi, functions: ['settle'] },
}

const wrapperAbi = parseAbi([
  'function multicall(bytes[] data)',
  'function approve(address spender, uint256 amount)',
])
const MULTICALL = toFunctionSelector(wrapperAbi[0])
const APPROVE = toFunctionSelector(wrapperAbi[1])

/** All that the keeper's own work needs. */
export const OWN_CALLS: readonly AllowedCall[] = Object.entries(DUTIES).flatMap(
  ([contract, { functions }]) =>
    functions.map((name) => allowed(contract as ContractName, selectorOf(contract, name)!)),
)

/**
 * Reads `multiverse.narrow` or `0xADDRESS.0xSELECTOR`; null when it is neither.
 */
export function parseAllowedCall(text: string): AllowedCall | null {
  const [, address, selector] = /^(0x[0-9a-fA-F]{40})\.(0x[0-9a-fA-F]{8})$/.exec(text) ?? []
  if (address && selector)
    return allowed(address.toLowerCase() as Address, selector.toLowerCase() as Hex)
  const [contract = '', name = ''] = text.split('.')
  const known = selectorOf(contract, name)
  return known === null ? null : allowed(contract as ContractName, known)
}

/**
 * A policy for a deployment: what is not allowed is refused. Calls inside `multicall` are looked at one by one. Tokens may be
 * approved, whichever they are, to contracts that may be called; nothing else about tokens is.
 */
export function createPolicy(
  calls: readonly AllowedCall[],
  addresses: Deployment['addresses'],
  self: Address,
): Policy {
  const known = calls.flatMap(({ contract, selector }) => {
    const address = contract.startsWith('0x')
      ? (contract as Address)
      : addresses[contract as ContractName]
    return address === undefined ? [] : [{ address, selector }]
  })
  const targets = known.map(({ address }) => address)

  function check({ to, data, value }: Outgoing): void {
    // What uses up a nonce.
    if (isAddressEqual(to, self) && data === '0x' && value === 0n) return
    const selector = data.length < 10 ? '0x' : slice(data, 0, 4)
    const isTarget = targets.some((address) => isAddressEqual(address, to))
    if (isTarget && selector === MULTICALL && value === 0n) {
      const { args } = decodeFunctionData({ abi: wrapperAbi, data })
      for (const each of args[0] as readonly Hex[]) check({ to, data: each, value: 0n })
      return
    }
    if (selector === APPROVE && value === 0n) {
      const { args } = decodeFunctionData({ abi: wrapperAbi, data })
      if (targets.some((address) => isAddressEqual(address, args[0] as Address))) return
    }
    const isAllowed = known.some(
      (each) => each.selector === selector && isAddressEqual(each.address, to),
    )
    if (!isAllowed)
      throw new MultiverseError(
        'POLICY_REFUSED',
        `the key may not call ${selector} of ${to}: KEEPER_ALLOWED_CALLS does not name it`,
      )
  }
  return check
}

function allowed(contract: AllowedCall['contract'], selector: Hex): AllowedCall {
  return { contract, selector }
}

function selectorOf(contract: string, name: string): Hex | null {
  const abi = Object.hasOwn(DUTIES, contract) ? DUTIES[contract as ContractName]!.abi : []
  const found = abi.find((item) => item.type === 'function' && item.name === name)
  return found?.type === 'function' ? toFunctionSelector(found) : null
}
