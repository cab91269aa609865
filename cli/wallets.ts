import { type Address, getAddress, type Hex, isAddress, type LocalAccount, toHex } from 'viem'
import { mnemonicToAccount } from 'viem/accounts'
import { isMultiverseError, MultiverseError } from '../sdk/errors.ts'
import { findWallet, type StoredWallet } from '../sdk/node/keys/folder.ts'
import { type Keyring, type KeySource, keyVariables } from '../sdk/node/keys/keyring.ts'

/** The public development mnemonic of local chains. Whoever uses it on another chain loses what he has. */
const MNEMONIC = 'test test test test test test test test test test test junk'

/** The local chain's wallets by name, as index of the mnemonic's accounts. */
const LOCAL = { alice: 0, bob: 1, carol: 2, deployer: 8, keeper: 9 } as const
export type LocalName = keyof typeof LOCAL

/** The account of a local wallet. */
export function localAccount(name: LocalName) {
  return mnemonicToAccount(MNEMONIC, { addressIndex: LOCAL[name] })
}

/** Its private key, for a process that takes one. */
export function localPrivateKey(name: LocalName): Hex {
  const key = localAccount(name).getHdKey().privateKey
  if (key === null) throw new MultiverseError('NO_WALLET', `no private key of ${name}`)
  return toHex(key)
}

/** Whether this is a name of a local wallet. */
export function isLocalName(name: string): name is LocalName {
  return Object.hasOwn(LOCAL, name)
}

/** The local wallets. */
export function localNames(): LocalName[] {
  return Object.keys(LOCAL).filter(isLocalName)
}

/** A wallet that was chosen and is still closed. */
export type ChosenWallet = {
  address: () => Promise<Address>
  /** Its account, to sign with. Asks for the passphrase of a keystore. */
  open: () => Promise<LocalAccount>
}

/**
 * The wallet to sign with: the one that is named (a local one on a local chain, else a keystore by name, address or file),
 * else the environment's, else, on a local chain, alice.
 * @throws UNKNOWN_WALLET, NO_WALLET, and the codes of {@link Keyring}
 */
export async function chooseWallet(
  keyring: Keyring,
  name: string | undefined,
  isLocal: boolean,
): Promise<ChosenWallet> {
  if (name !== undefined && isLocal && isLocalName(name)) return localWallet(name)
  const source = name === undefined ? await keyring.chosen() : await find(keyring, name, isLocal)
  if (source !== undefined)
    return { address: () => keyring.address(source), open: () => keyring.open(source) }
  if (isLocal) return localWallet('alice')
  const { wallet, signerUrl, privateKey } = keyVariables('MULTIVERSE_')
  throw new MultiverseError(
    'NO_WALLET',
    `no wallet: make one with \`multiverse wallet new NAME\` and name it with --as, or set ${wallet}, ${signerUrl} or ${privateKey}`,
  )
}

/**
 * An address given as such or as a wallet's name: a local one's on a local chain, or a keystore's.
 * @throws UNKNOWN_WALLET, AMBIGUOUS_WALLET, INVALID_ADDRESS
 */
export function addressOf(
  text: string,
  isLocal: boolean,
  stored: readonly StoredWallet[],
): Address {
  if (isAddress(text)) return getAddress(text)
  if (text.startsWith('0x'))
    throw new MultiverseError('INVALID_ADDRESS', `${text} is not an address`)
  if (isLocal && isLocalName(text)) return localAccount(text).address
  if (stored.every(({ name }) => name?.toLowerCase() !== text.toLowerCase()))
    throw unknownWallet(text, isLocal, stored)
  const { address, path } = findWallet(stored, text)
  if (address === null)
    throw new MultiverseError('INVALID_ADDRESS', `${path} does not say its address: give that`)
  return address
}

/** The local wallet's name of an address, or the address. */
export function nameOf(address: Address, isLocal: boolean): string {
  if (!isLocal) return address
  return localNames().find((name) => localAccount(name).address === address) ?? address
}

function localWallet(name: LocalName): ChosenWallet {
  const account = localAccount(name)
  return { address: async () => account.address, open: async () => account }
}

async function find(keyring: Keyring, name: string, isLocal: boolean): Promise<KeySource> {
  try {
    return await keyring.find(name)
  } catch (error) {
    if (!isMultiverseError(error, 'UNKNOWN_WALLET')) throw error
    throw unknownWallet(name, isLocal, await keyring.wallets())
  }
}

function unknownWallet(
  name: string,
  isLocal: boolean,
  stored: readonly StoredWallet[],
): MultiverseError {
  const names = stored.flatMap((wallet) => wallet.name ?? wallet.address ?? [])
  const known = [...(isLocal ? localNames() : []), ...names]
  const isElsewhere = !isLocal && isLocalName(name)
  const why = isElsewhere ? `${name} is a wallet of local chains only` : `no wallet named ${name}`
  return new MultiverseError(
    'UNKNOWN_WALLET',
    known.length === 0
      ? `${why}: make one with \`multiverse wallet new NAME\``
      : `${why}: one of ${known.join(', ')}`,
  )
}
