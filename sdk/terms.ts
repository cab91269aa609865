import {
  type Address,
  type ContractFunctionReturnType,
  decodeAbiParameters,
  encodeAbiParameters,
  getAbiItem,
  type Hex,
  keccak256,
} from 'viem'
import { committeeOracleAbi, optimisticOracleAbi, priceOracleAbi, realityOracleAbi } from './abi.ts'
import type { Deployment } from './deployment.ts'
import { MultiverseError } from './errors.ts'
import { questionId, type QuestionTerms } from './ids.ts'

const ABIS = {
  optimistic: optimisticOracleAbi,
  committee: committeeOracleAbi,
  reality: realityOracleAbi,
  price: priceOracleAbi,
} as const

/** The project's oracle contracts. */
export type OracleKind = keyof typeof ABIS
export const ORACLE_KINDS: readonly OracleKind[] = ['optimistic', 'committee', 'reality', 'price']

/** The parameters an oracle of a kind is asked with: see its interface in contracts/interfaces. */
export type OracleTerms = {
  optimistic: ContractFunctionReturnType<typeof optimisticOracleAbi, 'pure', 'decodeTerms'>
  committee: ContractFunctionReturnType<typeof committeeOracleAbi, 'pure', 'decodeTerms'>
  reality: ContractFunctionReturnType<typeof realityOracleAbi, 'pure', 'decodeTerms'>
  price: ContractFunctionReturnType<typeof priceOracleAbi, 'pure', 'decodeTerms'>
}

/** What an oracle is shown of a question, so that it can derive the id itself. */
export type QuestionKey = Pick<QuestionTerms, 'outcomes' | 'deadline' | 'specHash'>

/** Where a deployment has its oracle of a kind, if it has one. */
export function oracleAddress({ addresses }: Deployment, kind: OracleKind): Address | undefined {
  return addresses[`${kind}Oracle`]
}

/** The oracles that a deployment has, by kind. */
export function oraclesOf(deployment: Deployment): Partial<Record<OracleKind, Address>> {
  return Object.fromEntries(
    ORACLE_KINDS.flatMap((kind) => {
      const address = oracleAddress(deployment, kind)
      return address === undefined ? [] : [[kind, address]]
    }),
  )
}

/** The ABI of an oracle, with what it is asked, its events and its errors. */
export function oracleAbi<K extends OracleKind>(kind: K): (typeof ABIS)[K] {
  return ABIS[kind]
}

/** Terms as a question binds them: `abi.encode(Terms)`, and the hash of that. */
export function encodeTerms<K extends OracleKind>(
  kind: K,
  terms: OracleTerms[K],
): { terms: Hex; termsHash: Hex } {
  const encoded = encodeAbiParameters(layoutOf(kind), [terms] as never)
  return { terms: encoded, termsHash: keccak256(encoded) }
}

/** @throws TERMS_INVALID when the bytes are not the terms of such an oracle */
export function decodeTerms<K extends OracleKind>(kind: K, terms: Hex): OracleTerms[K] {
  try {
    const [decoded] = decodeAbiParameters(layoutOf(kind), terms) as readonly unknown[]
    return decoded as OracleTerms[K]
  } catch (cause) {
    throw new MultiverseError(
      'TERMS_INVALID',
      `${terms.slice(0, 66)}… is not the ABI encoding of a ${kind} oracle's terms`,
      { cause },
    )
  }
}

/** Whether these terms are the ones that a question binds. */
export function areTermsOf(
  question: Hex,
  asked: QuestionKey & { oracle: Address },
  terms: Hex,
): boolean {
  return questionId({ ...asked, termsHash: keccak256(terms) }) === question
}

function layoutOf(kind: OracleKind) {
  return getAbiItem({ abi: ABIS[kind] as typeof optimisticOracleAbi, name: 'decodeTerms' }).outputs
}
