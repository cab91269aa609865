import { type Address, BaseError, ContractFunctionExecutionError, createClient, http } from 'viem'
import { readContract } from 'viem/actions'
import { tokenAbi } from '../../sdk/abi.ts'
import { MultiverseError } from '../../sdk/errors.ts'

/** What a token says of itself; null where it does not. */
export type Token = {
  token: Address
  name: string | null
  symbol: string | null
  decimals: number | null
}

/** Asks each token once. @throws RPC_FAILED (retryable) when the chain does not answer */
export type TokenReader = { read(token: Address): Promise<Token> }

export function createTokenReader(url: string): TokenReader {
  const client = createClient({ transport: http(url, { retryCount: 1, timeout: 5_000 }) })
  const known = new Map<Address, Token>()
  return {
    async read(token) {
      const present = known.get(token)
      if (present !== undefined) return present
      const call = { address: token, abi: tokenAbi } as const
      const [name, symbol, decimals] = await Promise.all([
        field(() => readContract(client, { ...call, functionName: 'name' })),
        field(() => readContract(client, { ...call, functionName: 'symbol' })),
        field(() => readContract(client, { ...call, functionName: 'decimals' })),
      ])
      const read = { token, name, symbol, decimals }
      known.set(token, read)
      return read
    },
  }
}

/** One answer of a token; null when the call went through and there was no (fitting) one. */
async function field<T>(read: () => Promise<T>): Promise<T | null> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof ContractFunctionExecutionError && !isTransport(error)) return null
    throw new MultiverseError('RPC_FAILED', 'the chain does not answer for a token', {
      cause: error,
      isRetryable: true,
    })
  }
}

function isTransport(error: BaseError): boolean {
  const names = ['HttpRequestError', 'TimeoutError', 'SocketClosedError', 'WebSocketRequestError']
  return error.walk((cause) => cause instanceof BaseError && names.includes(cause.name)) !== null
}
