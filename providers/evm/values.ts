import { type Abi, type AbiParameter, decodeErrorResult, isHex } from 'viem'
import { MultiverseError } from '../../sdk/errors.ts'

/** What JSON can say. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/**
 * JSON as the values that an ABI wants: integers from numbers and from decimal or hexadecimal strings; tuples from lists and
 * from objects.
 * @throws INVALID_ARGUMENT
 */
export function toAbi(parameters: readonly AbiParameter[], values: readonly Json[]): unknown[] {
  if (values.length !== parameters.length)
    throw invalid(`${parameters.length} arguments are wanted, ${values.length} are given`)
  return parameters.map((parameter, i) => one(parameter, values[i] ?? null))
}

function one(parameter: AbiParameter, value: Json): unknown {
  const { type } = parameter
  const list = /^(.*)\[(\d*)\]$/.exec(type)
  if (list !== null) {
    if (!Array.isArray(value)) throw invalid(`${JSON.stringify(value)} is not a list for ${type}`)
    return value.map((each) => one({ ...parameter, type: list[1] ?? '' }, each))
  }
  if (type === 'tuple') {
    const { components } = parameter as AbiParameter & { components: readonly AbiParameter[] }
    if (Array.isArray(value)) return toAbi(components, value)
    if (typeof value !== 'object' || value === null)
      throw invalid(`${JSON.stringify(value)} is not a tuple`)
    return Object.fromEntries(
      components.map((each) => [each.name, one(each, value[each.name ?? ''] ?? null)]),
    )
  }
  if (/^u?int\d*$/.test(type)) return toInteger(value)
  return value
}

/** An integer from JSON. @throws INVALID_ARGUMENT */
export function toInteger(value: Json): bigint {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value)
  if (typeof value === 'string' && /^(-?\d+|0x[0-9a-fA-F]+)$/.test(value)) return BigInt(value)
  throw invalid(`${JSON.stringify(value)} is not an integer`)
}

/** Decoded ABI values as JSON: integers of up to 48 bits are numbers, larger ones decimal strings. */
export function toJson(value: unknown): Json {
  if (typeof value === 'bigint') return value.toString()
  if (Array.isArray(value)) return value.map(toJson)
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, toJson(each)]))
  return value as Json
}

/** What the data of a revert says, in one line. */
export function revertReason(data: string | null): string {
  if (data === null || !isHex(data) || data === '0x') return 'reverted'
  try {
    const { errorName, args } = decodeErrorResult({ abi: [] as Abi, data })
    const [first] = args as [unknown]
    if (errorName === 'Panic') return `panicked with code ${String(first)}`
    return `reverted: ${String(first).split('\n', 1)[0] ?? ''}`
  } catch {
    return `reverted with ${data.slice(0, 10)}`
  }
}

function invalid(text: string): MultiverseError {
  return new MultiverseError('INVALID_ARGUMENT', text)
}
