import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  type Hex,
  hexToBigInt,
  hexToNumber,
  type TransactionSerializable,
  type TypedDataDefinition,
} from 'viem'
import { type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'

// A stand-in for a remote signer such as Web3Signer or Clef: it holds keys, answers eth_accounts,
// eth_signTransaction and eth_signTypedData_v4 over HTTP with JSON-RPC 2.0, and never tells a key.

type Call = { id: number; method: string; params: unknown[] }
type Asked = Record<string, Hex | undefined>

/** What it does to a transaction before it signs, to be caught at it. */
type Tamper = (transaction: TransactionSerializable) => TransactionSerializable

export type Signer = {
  url: string
  /** The methods that it was asked for, in order. */
  calls: string[]
  stop: () => Promise<void>
}

export type SignerOptions = {
  keys: readonly Hex[]
  tamper?: Tamper
  /** Signs with the first key whoever is asked for. */
  isDeaf?: boolean
  /** Answers as geth does, with an object that holds the bytes. */
  isWrapped?: boolean
  /** Refuses to sign, in these words. */
  refusal?: string
  /** Answers 429 to that many requests, and asks to wait for so many seconds. */
  busy?: { times: number; retryAfterS: number }
}

/** Starts a signer on a free port. */
export async function startSigner(options: SignerOptions): Promise<Signer> {
  const accounts = options.keys.map((key) => privateKeyToAccount(key))
  const calls: string[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const call = JSON.parse(Buffer.concat(chunks).toString()) as Call
      calls.push(call.method)
      if (options.busy !== undefined && options.busy.times-- > 0) {
        response.writeHead(429, { 'retry-after': `${options.busy.retryAfterS}` }).end()
        return
      }
      answer(call, accounts, options).then(
        (result) => reply({ result }),
        (error: unknown) => reply({ error: { code: -32000, message: (error as Error).message } }),
      )
      function reply(body: object) {
        response.writeHead(200, { 'content-type': 'application/json' })
        response.end(JSON.stringify({ jsonrpc: '2.0', id: call.id, ...body }))
      }
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(
  { method, params }: Call,
  accounts: readonly PrivateKeyAccount[],
  { tamper = (transaction) => transaction, isDeaf, isWrapped, refusal }: SignerOptions,
): Promise<unknown> {
  switch (method) {
    case 'eth_accounts':
      return accounts.map(({ address }) => address.toLowerCase())
    case 'eth_signTransaction': {
      if (refusal !== undefined) throw new Error(refusal)
      const asked = params[0] as Asked
      const from = asked['from']?.toLowerCase()
      const account = isDeaf
        ? accounts[0]
        : accounts.find(({ address }) => address.toLowerCase() === from)
      if (account === undefined) throw new Error(`no key of ${from}`)
      const raw = await account.signTransaction(tamper(read(asked)))
      return isWrapped ? { raw, tx: {} } : raw
    }
    case 'eth_signTypedData_v4': {
      if (refusal !== undefined) throw new Error(refusal)
      const from = (params[0] as string).toLowerCase()
      const account = isDeaf
        ? accounts[0]
        : accounts.find(({ address }) => address.toLowerCase() === from)
      if (account === undefined) throw new Error(`no key of ${from}`)
      return account.signTypedData(JSON.parse(params[1] as string) as TypedDataDefinition)
    }
    default:
      throw new Error(`the method ${method} does not exist`)
  }
}

function read(asked: Asked): TransactionSerializable {
  const quantity = (name: string) => hexToBigInt(asked[name] ?? '0x0')
  const common = {
    chainId: hexToNumber(asked['chainId']!),
    nonce: hexToNumber(asked['nonce']!),
    gas: quantity('gas'),
    value: quantity('value'),
    data: asked['data'] ?? '0x',
    ...(asked['to'] === undefined ? {} : { to: asked['to'] }),
  }
  return asked['gasPrice'] === undefined
    ? {
        ...common,
        type: 'eip1559',
        maxFeePerGas: quantity('maxFeePerGas'),
        maxPriorityFeePerGas: quantity('maxPriorityFeePerGas'),
      }
    : { ...common, type: 'legacy', gasPrice: quantity('gasPrice') }
}
