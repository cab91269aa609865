import { type Account, type Address, getAddress, type Hex, isAddress, toHex } from 'viem'
import { mnemonicToAccount, privateKeyToAccount } from 'viem/accounts'
import { MultiverseError } from '../sdk/errors.ts'

/** The public development mnemonic of local chains. Whoever uses it on another chain loses what he has. */
const MNEMONIC = 'test test test test test test test test test test test junk'

/** The local chain's wallets by name, as index of the mnemonic's accounts. */
const LOCAL = { alice: 0, bob: 1, carol: 2, deployer: 8, keeper: 9 } as const
export type LocalName = keyof typeof LOCAL

/** Where the private key of another wallet is taken from. Never an argument: those can be seen by everybody. */
export const KEY_VARIABLE = 'MULTIVERSE_PRIVATE_KEY'

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
function isLocalName(name: string): name is LocalName {
  return Object.hasOwn(LOCAL, name)
}

/**
 * The account to sign with: the named local one, else that of the environment's key, else, on a local chain, alice.
 * @throws UNKNOWN_WALLET, NO_WALLET, INVALID_KEY
 */
export function chooseAccount(name: string | undefined, isLocal: boolean): Account {
  const key = process.env[KEY_VARIABLE]
  if (name === undefined && key !== undefined) return accountOfKey(key)
  if (!isLocal)
    throw new MultiverseError(
      'NO_WALLET',
      name === undefined
        ? `no wallet: set ${KEY_VARIABLE}`
        : `${name} is a wallet of local chains only: set ${KEY_VARIABLE} instead of --as`,
    )
  const chosen = name ?? 'alice'
  if (!isLocalName(chosen)) throw unknownWallet(chosen)
  return localAccount(chosen)
}

/** An address given as such or, on a local chain, as a wallet's name. @throws UNKNOWN_WALLET, INVALID_ADDRESS */
export function addressOf(text: string, isLocal: boolean): Address {
  if (isAddress(text)) return getAddress(text)
  if (text.startsWith('0x'))
    throw new MultiverseError('INVALID_ADDRESS', `${text} is not an address`)
  if (isLocal && isLocalName(text)) return localAccount(text).address
  throw unknownWallet(text)
}

/** The local wallet's name of an address, or the address. */
export function nameOf(address: Address, isLocal: boolean): string {
  if (!isLocal) return address
  const names = Object.keys(LOCAL).filter(isLocalName)
  return names.find((name) => localAccount(name).address === address) ?? address
}

function accountOfKey(key: string): Account {
  try {
    return privateKeyToAccount(key as Hex)
  } catch {
    // The cause stays out: it might hold the key.
    throw new MultiverseError('INVALID_KEY', `${KEY_VARIABLE} holds no private key`)
  }
}

function unknownWallet(name: string): MultiverseError {
  const known = Object.keys(LOCAL).join(', ')
  return new MultiverseError('UNKNOWN_WALLET', `no wallet named ${name}: one of ${known}`)
}
