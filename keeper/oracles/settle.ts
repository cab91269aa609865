import { encodeAbiParameters, type Hex } from 'viem'
import { priceOracleAbi, realityOracleAbi } from '../../sdk/abi.ts'
import { isMultiverseError } from '../../sdk/errors.ts'
import { decodeTerms } from '../../sdk/terms.ts'
import {
  type Asked,
  LEDGER_ERRORS,
  type Next,
  rest,
  type Serve,
  type ServeOptions,
} from './context.ts'
import { firstRoundAt } from './price.ts'

/** What is not decided elsewhere yet is asked for again after so many seconds. */
const ASK_AGAIN_S = 15

/** Settles questions whose answer is a feed's first round at or after a time, with the proof that it is that one. */
export function createPriceDuty(options: ServeOptions): Serve {
  return async function serve(asked) {
    const { feed, phase, time } = decodeTerms('price', asked.terms)
    if (BigInt(asked.now) < time)
      return rest('PRICE_PENDING', `the price of ${time} is not known yet`, Number(time))
    const found = await firstRoundAt(options.rpc, { feed, phase: BigInt(phase), time })
    if (found.kind === 'unprovable')
      return rest('PRICE_UNPROVABLE', `${feed} began phase ${phase} after ${time}`)
    if (found.kind === 'pending')
      return rest('PRICE_PENDING', `${feed} has no round since ${time}`, asked.now + ASK_AGAIN_S)
    const proof = encodeAbiParameters([{ type: 'uint80' }], [found.round.id])
    return settle(options, asked, proof)
  }
}

/** Settles questions whose answer reality.eth has. When it has it depends on the time alone, so it is asked. */
export function createRealityDuty(options: ServeOptions): Serve {
  return (asked) => settle(options, asked, '0x')
}

const ABI = {
  price: [...priceOracleAbi, ...LEDGER_ERRORS],
  reality: [...realityOracleAbi, ...LEDGER_ERRORS],
} as const

async function settle(
  { sender, config }: ServeOptions,
  { oracle, question, key, terms, now, record }: Asked,
  proof: Hex,
): Promise<Next> {
  if (!config.duties.has('settle')) return rest('SETTLE_OFF', 'settling is not among its duties')
  const abi = ABI[record.kind as keyof typeof ABI]
  try {
    await sender.perform(`settle:${question}`, {
      to: oracle,
      abi,
      functionName: 'settle',
      args: [key, terms, proof],
    })
    return rest('SETTLED', 'told the ledger')
  } catch (error) {
    // What reverts without a word of its own is broken: somebody has to see to it.
    const isRefused = isMultiverseError(error) && error.code !== 'CONTRACT_REVERT'
    if (!isRefused || error.isRetryable) throw error
    // Refused before it was sent. Only an answer that is not final yet comes by waiting.
    const until = error.code === 'NOT_FINAL' ? now + ASK_AGAIN_S : null
    return rest(error.code, error.message, until)
  }
}
