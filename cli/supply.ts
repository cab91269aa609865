import { type Address, formatUnits, type Hex } from 'viem'
import { isMultiverseError } from '../sdk/errors.ts'
import type { VersesOutput } from '../sdk/output.ts'
import type { Context } from './context.ts'
import { plain } from './output.ts'
import type { Universe } from './universe.ts'

type Supply = VersesOutput['verses'][number]['supply']

/** Reads what is in a verse, in whole tokens. A token that tells no symbol is shown by its address, in smallest units. */
export function createSupplies(
  context: Pick<Context, 'token'>,
  universe: Universe,
): (verse: Hex) => Promise<Supply> {
  const known = new Map<Address, Promise<{ symbol: string; decimals: number }>>()
  const describe = async (token: Address) => {
    try {
      return await context.token(token)
    } catch (error) {
      if (isMultiverseError(error, 'INVALID_TOKEN'))
        return { symbol: token.slice(0, 10), decimals: 0 }
      throw error
    }
  }
  return (verse) =>
    Promise.all(
      universe.supply(verse).map(async ({ token, amount }) => {
        const described = known.get(token) ?? describe(token)
        known.set(token, described)
        const { symbol, decimals } = await described
        return { token, symbol, amount: formatUnits(amount, decimals) }
      }),
    )
}

/** `12.5 mUSD, 3 WETH`, or `0`. */
export function showSupply(supply: Supply): string {
  return supply.map(({ amount, symbol }) => `${amount} ${plain(symbol)}`).join(', ') || '0'
}
