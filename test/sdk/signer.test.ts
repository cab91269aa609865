import {
  createClient,
  http,
  parseEther,
  type TransactionSerializableEIP1559,
  zeroAddress,
  recoverTypedDataAddress,
} from 'viem'
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { mint } from '../../sdk/actions.ts'
import { remoteAccount, remoteAddress } from '../../sdk/node/keys/remote.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'
import { type Signer, type SignerOptions, startSigner } from '../stand-ins/signer.ts'

// Accounts whose keys a remote signer holds: anvil for its own accounts, and a signer that can be made to cheat.

const keys = [generatePrivateKey(), generatePrivateKey()] as const
const addresses = keys.map((key) => privateKeyToAddress(key))
const transaction = {
  type: 'eip1559',
  chainId: 31337,
  nonce: 7,
  to: zeroAddress,
  value: 3n,
  data: '0x1234',
  gas: 50_000n,
  maxFeePerGas: 10n ** 9n,
  maxPriorityFeePerGas: 1n,
} satisfies TransactionSerializableEIP1559

let chain: LocalChain
const signers: Signer[] = []

beforeAll(async () => {
  chain = await startChain()
})
afterEach(async () => {
  for (const signer of signers.splice(0)) await signer.stop()
})
afterAll(() => chain?.stop())

async function signer(options: Partial<SignerOptions> = {}): Promise<Signer> {
  const started = await startSigner({ keys, ...options })
  signers.push(started)
  return started
}

test('anvil signs for one of its accounts, and the chain takes what it signed', async () => {
  const address = chain.accounts[3]!.address
  const account = await remoteAccount({ url: chain.url, address })
  expect(account).toMatchObject({ address, type: 'local' })
  const client = createClient({ account, transport: http(chain.url), pollingInterval: 20 })
  const { token } = chain.deployment.addresses
  const { receipt } = await mint(client, { token, to: address, amount: parseEther('5') })
  expect(receipt).toMatchObject({ status: 'success', from: address.toLowerCase() })
})

test.each([{}, { isWrapped: true }])(
  'takes the bytes of a signer that answers %j',
  async (options) => {
    const { url, calls } = await signer(options)
    const account = await remoteAccount({ url, address: addresses[1] })
    const { signTransaction } = chain.accounts[0]!
    const raw = await account.signTransaction(transaction)
    expect(raw).not.toBe(await signTransaction(transaction))
    expect(calls).toEqual(['eth_accounts', 'eth_signTransaction'])
    const { to: _, ...creation } = transaction
    await account.signTransaction(creation)
    const { chainId, nonce, to, gas } = transaction
    const gasPrice = 10n ** 9n
    await account.signTransaction({ type: 'legacy', chainId, nonce, to, gas, gasPrice })
  },
)

test.each<[string, Partial<SignerOptions>]>([
  ['another amount', { tamper: (tx) => ({ ...tx, value: 4n }) }],
  ['another receiver', { tamper: (tx) => ({ ...tx, to: addresses[0]! }) }],
  ['other data', { tamper: (tx) => ({ ...tx, data: '0x12' }) }],
  ['another nonce', { tamper: (tx) => ({ ...tx, nonce: 8 }) }],
  ['another chain', { tamper: (tx) => ({ ...tx, chainId: 1 }) }],
  ['more gas', { tamper: (tx) => ({ ...tx, gas: 60_000n }) }],
  [
    'higher fees',
    { tamper: (tx) => ({ ...tx, maxFeePerGas: 10n ** 12n }) as TransactionSerializableEIP1559 },
  ],
  ['another account', { isDeaf: true }],
])('refuses what was signed with %s', async (_, options) => {
  const { url } = await signer(options)
  const account = await remoteAccount({ url, address: addresses[1] })
  await expect(account.signTransaction(transaction)).rejects.toMatchObject({
    code: 'SIGNER_MISMATCH',
    isRetryable: false,
  })
})

test('signs for the only account there is, and asks which when there are more', async () => {
  const { url } = await signer({ keys: keys.slice(0, 1) })
  expect(await remoteAddress({ url, address: undefined })).toBe(addresses[0])
  expect((await remoteAccount({ url, address: undefined })).address).toBe(addresses[0])
  const both = await signer()
  await expect(remoteAccount({ url: both.url, address: undefined })).rejects.toMatchObject({
    code: 'SIGNER_AMBIGUOUS',
  })
  const none = await signer({ keys: [] })
  const failed = { code: 'SIGNER_NO_ACCOUNT' }
  await expect(remoteAccount({ url: none.url, address: undefined })).rejects.toMatchObject(failed)
  await expect(remoteAccount({ url, address: addresses[1] })).rejects.toMatchObject(failed)
})

test('says that a signer refuses or does not answer, and never shows its URL', async () => {
  const { url, stop } = await signer({ refusal: 'the vault is locked' })
  const secret = url.replace('http://', 'http://user:hunter2@') + '/?token=hunter3'
  const account = await remoteAccount({ url: secret, address: addresses[0] })
  const refused = await account.signTransaction(transaction).catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'SIGNER_REFUSED', isRetryable: true })
  expect((refused as Error).message).toMatch(
    /^the signer at 127\.0\.0\.1:\d+ refuses eth_signTransaction: the vault is locked$/,
  )
  await stop()
  const gone = await account.signTransaction(transaction).catch((error: unknown) => error)
  expect(gone).toMatchObject({ code: 'SIGNER_UNREACHABLE', isRetryable: true })
  for (const error of [refused, gone]) expect(describe(error)).not.toMatch(/hunter/)
})

/** All that an error could show, its causes included. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return `${error.message} ${error.stack} ${JSON.stringify(error)} ${describe(error.cause)}`
}

test('asks for typed data to be signed, and believes no other signature', async () => {
  const data = {
    domain: { name: 'Multiverse CommitteeOracle', version: '1', chainId: 1 },
    types: { Verdict: [{ name: 'survivors', type: 'uint256' }] },
    primaryType: 'Verdict',
    message: { survivors: 2n ** 200n },
  } as const
  const { url, calls } = await signer({})
  const account = await remoteAccount({ url, address: addresses[0] })
  const signature = await account.signTypedData(data)
  expect(await recoverTypedDataAddress({ ...data, signature })).toBe(addresses[0])
  expect(calls.at(-1)).toBe('eth_signTypedData_v4')

  const deaf = await signer({ isDeaf: true })
  const other = await remoteAccount({ url: deaf.url, address: addresses[1] })
  await expect(other.signTypedData(data)).rejects.toMatchObject({ code: 'SIGNER_MISMATCH' })
})

test('says how long a signer asks to be left alone', async () => {
  const { url } = await signer({ busy: { times: 1, retryAfterS: 12 } })
  const account = await remoteAccount({ url, address: addresses[0] }).catch(
    (error: unknown) => error,
  )
  expect(account).toMatchObject({ code: 'RATE_LIMITED', isRetryable: true, retryAfterMs: 12_000 })
  await remoteAccount({ url, address: addresses[0] })
})
