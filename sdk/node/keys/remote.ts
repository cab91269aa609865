import {
  type Address,
  createClient,
  getAddress,
  getTypesForEIP712Domain,
  type Hex,
  http,
  HttpRequestError,
  isAddress,
  isHex,
  type LocalAccount,
  numberToHex,
  parseTransaction,
  recoverTransactionAddress,
  recoverTypedDataAddress,
  serializeTransaction,
  serializeTypedData,
  type TransactionSerializable,
  type TransactionSerialized,
  type TypedDataDefinition,
} from 'viem'
import { toAccount } from 'viem/accounts'
import { MultiverseError } from '../../errors.ts'
import { rateLimited } from '../../retryAfter.ts'

/** A process that holds the keys and signs what it is asked to over JSON-RPC. */
export type RemoteSigner = {
  url: string
  /** The account to sign with; undefined when the signer has one only. */
  address: Address | undefined
}

/** A signer may ask a person or a machine of its own. */
const TIMEOUT_MS = 30_000
const ZERO = '0x0'
const TYPES = ['legacy', 'eip1559']

type Call = (
  method: 'eth_accounts' | 'eth_signTransaction' | 'eth_signTypedData_v4',
  params: unknown[],
) => Promise<unknown>

/**
 * An account whose key stays with a remote signer (`eth_accounts`, `eth_signTransaction`, `eth_signTypedData_v4`). What comes back is not
 * believed: it must be what was asked for, signed by this account.
 * @throws SIGNER_UNREACHABLE, SIGNER_REFUSED and RATE_LIMITED (retryable), SIGNER_NO_ACCOUNT, SIGNER_AMBIGUOUS; when signing also
 * SIGNER_MISMATCH
 */
export async function remoteAccount(signer: RemoteSigner): Promise<LocalAccount> {
  const { name, call } = connect(signer.url)
  const address = chooseAddress(await call('eth_accounts', []), signer.address, name)
  const unsupported = async (): Promise<never> => {
    throw new MultiverseError(
      'SIGNER_UNSUPPORTED',
      `${name} is asked for ordinary transactions and typed data only`,
    )
  }
  return toAccount({
    address,
    async signTransaction(transaction) {
      const wanted = unsigned(transaction as TransactionSerializable)
      if (!TYPES.includes(`${wanted.type}`)) return unsupported()
      const answer = await call('eth_signTransaction', [asRequest(wanted, address)])
      const raw = rawOf(answer)
      if (raw === null || !(await isWanted(raw, wanted, address)))
        throw new MultiverseError(
          'SIGNER_MISMATCH',
          `${name} did not sign for ${address} what it was asked to`,
        )
      return raw
    },
    signMessage: unsupported,
    async signTypedData(data) {
      const asked = data as TypedDataDefinition
      // The domain's own type says which of its fields are signed.
      const EIP712Domain = getTypesForEIP712Domain({ domain: asked.domain })
      const typed = { ...asked, types: { EIP712Domain, ...asked.types } } as TypedDataDefinition
      const answer = await call('eth_signTypedData_v4', [address, serializeTypedData(typed)])
      if (!isHex(answer) || !(await isSignedBy(address, typed, answer)))
        throw new MultiverseError(
          'SIGNER_MISMATCH',
          `${name} did not sign for ${address} what it was asked to`,
        )
      return answer
    },
  })
}

/** The address that a remote signer signs with. @throws as {@link remoteAccount} */
export async function remoteAddress(signer: RemoteSigner): Promise<Address> {
  if (signer.address !== undefined) return signer.address
  const { name, call } = connect(signer.url)
  return chooseAddress(await call('eth_accounts', []), undefined, name)
}

function connect(url: string): { name: string; call: Call } {
  // The rest of a URL may hold secrets.
  const name = `the signer at ${new URL(url).host}`
  const client = createClient({
    transport: http(url, { retryCount: 0, timeout: TIMEOUT_MS }),
  })
  return {
    name,
    async call(method, params) {
      try {
        return await client.request({ method, params } as never)
      } catch (error) {
        const { code, details } = error as { code?: unknown; details?: unknown }
        if (error instanceof HttpRequestError && error.status === 429)
          throw rateLimited(name, error.headers?.get('retry-after'))
        // Causes stay out: they quote the URL.
        if (typeof code === 'number')
          throw new MultiverseError(
            'SIGNER_REFUSED',
            `${name} refuses ${method}: ${line(details)}`,
            {
              isRetryable: true,
            },
          )
        throw new MultiverseError('SIGNER_UNREACHABLE', `${name} does not answer ${method}`, {
          isRetryable: true,
        })
      }
    },
  }
}

function chooseAddress(answer: unknown, wanted: Address | undefined, name: string): Address {
  const given = Array.isArray(answer) ? answer : []
  const addresses = given
    .filter((each): each is Address => typeof each === 'string' && isAddress(each, LAX))
    .map((each) => getAddress(each))
  if (wanted !== undefined && !addresses.includes(getAddress(wanted)))
    throw new MultiverseError('SIGNER_NO_ACCOUNT', `${name} does not sign for ${wanted}`)
  const [only, another] = addresses
  if (wanted !== undefined) return getAddress(wanted)
  if (only === undefined)
    throw new MultiverseError('SIGNER_NO_ACCOUNT', `${name} signs for no account`)
  if (another !== undefined)
    throw new MultiverseError(
      'SIGNER_AMBIGUOUS',
      `${name} signs for ${addresses.length} accounts: say which by its address`,
    )
  return only
}

const LAX = { strict: false }

/** The fields that are signed, and no others. */
function unsigned(transaction: TransactionSerializable): TransactionSerializable {
  return parseTransaction(serializeTransaction(transaction)) as TransactionSerializable
}

const quantity = (amount: bigint | number | undefined) =>
  amount === undefined ? ZERO : numberToHex(amount)

function asRequest(transaction: TransactionSerializable, from: Address) {
  const { type, chainId, to, data, value, gas, nonce } = transaction
  const { gasPrice, maxFeePerGas, maxPriorityFeePerGas, accessList } = transaction
  const fees =
    type === 'eip1559'
      ? {
          type: '0x2',
          maxFeePerGas: quantity(maxFeePerGas),
          maxPriorityFeePerGas: quantity(maxPriorityFeePerGas),
          accessList: accessList ?? [],
        }
      : { gasPrice: quantity(gasPrice) }
  return {
    from,
    ...(to ? { to } : {}),
    data: data ?? '0x',
    value: quantity(value),
    gas: quantity(gas),
    nonce: quantity(nonce),
    chainId: quantity(chainId),
    ...fees,
  }
}

async function isSignedBy(address: Address, data: TypedDataDefinition, signature: Hex) {
  try {
    return (await recoverTypedDataAddress({ ...data, signature })) === address
  } catch {
    // What is no signature is not one by this account.
    return false
  }
}

/** Most signers answer with the signed bytes, geth's with an object that holds them. */
function rawOf(answer: unknown): Hex | null {
  const raw: unknown =
    typeof answer === 'object' && answer !== null && 'raw' in answer ? answer.raw : answer
  return isHex(raw) ? raw : null
}

async function isWanted(
  raw: Hex,
  wanted: TransactionSerializable,
  address: Address,
): Promise<boolean> {
  const serializedTransaction = raw as TransactionSerialized
  try {
    const { r: _r, s: _s, v: _v, yParity: _parity, ...got } = parseTransaction(raw) as Signed
    if (serializeTransaction(got) !== serializeTransaction(wanted)) return false
    return (await recoverTransactionAddress({ serializedTransaction })) === address
  } catch {
    // What cannot be parsed is not what was asked for.
    return false
  }
}

type Signed = TransactionSerializable & { r?: Hex; s?: Hex; v?: bigint; yParity?: number }

const line = (details: unknown) =>
  typeof details === 'string' ? (details.split('\n', 1)[0] ?? '').slice(0, 200) : 'no reason given'
