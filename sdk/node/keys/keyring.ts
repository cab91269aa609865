import { type Address, getAddress, type Hex, isAddress, type LocalAccount } from 'viem'
import { privateKeyToAccount, privateKeyToAddress } from 'viem/accounts'
import { MultiverseError } from '../../errors.ts'
import {
  findWallet,
  keystoreFolder,
  readFolder,
  readKeystore,
  type StoredWallet,
} from './folder.ts'
import { parsePrivateKey, unlockKey } from './keystore.ts'
import { type PassphraseSources, readPassphrase } from './passphrase.ts'
import type { Prompt } from './prompt.ts'
import { remoteAccount, remoteAddress, type RemoteSigner } from './remote.ts'

// The one rule of where keys come from, for the command (MULTIVERSE_...) and the keeper (KEEPER_...): an encrypted keystore
// file, a remote signer or, as the last resort, a private key in the environment. Never an argument, never a log.

export type Environment = Record<string, string | undefined>

/** Whose variables these are. */
export type Prefix = 'MULTIVERSE_' | 'KEEPER_'

/** Where a key is. */
export type KeySource =
  | { kind: 'keystore'; path: string; name: string; address: Address | null }
  | { kind: 'signer'; signer: RemoteSigner }
  | { kind: 'variable'; name: string }

/** The environment variables of the rule. */
export function keyVariables(prefix: Prefix) {
  return {
    /** A keystore by name or address in the keystore folder, or the path of a keystore file. */
    wallet: `${prefix}WALLET`,
    /** A file descriptor to read its passphrase from. */
    passphraseFd: `${prefix}PASSPHRASE_FD`,
    /** The passphrase itself. */
    passphrase: `${prefix}PASSPHRASE`,
    /** URL of a remote signer. */
    signerUrl: `${prefix}SIGNER_URL`,
    /** The account it is to sign with. */
    signerAddress: `${prefix}SIGNER_ADDRESS`,
    /** A raw private key: for continuous integration, and where nothing else will do. */
    privateKey: `${prefix}PRIVATE_KEY`,
  } as const
}

/** Every variable that says where a key is, or holds one: not for a process that has a key of its own. */
export function allKeyVariables(): string[] {
  const prefixes: Prefix[] = ['MULTIVERSE_', 'KEEPER_']
  return prefixes.flatMap((prefix) => Object.values(keyVariables(prefix)))
}

/** The keys that this process may use. */
export type Keyring = {
  /** The keystores of the folder. */
  wallets: () => Promise<StoredWallet[]>
  /** What the environment names; undefined when nothing. @throws as {@link checkKeySettings} and `find` */
  chosen: () => Promise<KeySource | undefined>
  /** A keystore by name or address, or by the path of its file. @throws UNKNOWN_WALLET, AMBIGUOUS_WALLET, KEYSTORE_NOT_FOUND */
  find: (text: string) => Promise<KeySource>
  /** Its address, without a passphrase where the file tells. */
  address: (source: KeySource) => Promise<Address>
  /** The account to sign with. Asks for the passphrase of a keystore. */
  open: (source: KeySource) => Promise<LocalAccount>
  /** Where passphrases come from. */
  passphrase: PassphraseSources
}

export type KeyringOptions = {
  env: Environment
  prefix: Prefix
  /** Given on the command line; the environment's otherwise. */
  passphraseFd?: number | undefined
  openPrompt: () => Prompt | null
}

/** The keys that an environment gives access to. @throws INVALID_SETTING when PASSPHRASE_FD is no number */
export function createKeyring(options: KeyringOptions): Keyring {
  const { env, prefix } = options
  const names = keyVariables(prefix)
  const passphrase: PassphraseSources = {
    fd: options.passphraseFd ?? readDescriptorNumber(env, names.passphraseFd),
    variable: { name: names.passphrase, value: env[names.passphrase] },
    openPrompt: options.openPrompt,
    hint: `set ${names.passphraseFd} to a file descriptor that holds it, or ${names.passphrase}`,
  }
  const wallets = async () => (await readFolder(keystoreFolder(env))).wallets

  const find = async (text: string): Promise<KeySource> => {
    if (isPath(text)) {
      const { address, name } = await readKeystore(text)
      return { kind: 'keystore', path: text, name: name ?? text, address }
    }
    const { path, name, address } = findWallet(await wallets(), text)
    return { kind: 'keystore', path, name: name ?? text, address }
  }

  const openKeystore = async (path: string, name: string): Promise<Hex> => {
    const locked = await readKeystore(path)
    return unlockKey(locked, await readPassphrase(passphrase, name), path)
  }
  const readKey = (name: string) => parsePrivateKey(env[name] ?? '', name)

  const open = async (source: KeySource): Promise<LocalAccount> => {
    if (source.kind === 'signer') return remoteAccount(source.signer)
    const isFile = source.kind === 'keystore'
    const key = isFile ? await openKeystore(source.path, source.name) : readKey(source.name)
    return privateKeyToAccount(key)
  }

  return {
    wallets,
    passphrase,
    find,
    open,
    async chosen() {
      const problem = checkKeySettings(env, prefix)
      if (problem !== null) throw problem
      const wallet = env[names.wallet]
      if (wallet) return find(wallet)
      const url = env[names.signerUrl]
      if (url) {
        const address = env[names.signerAddress]
        const signer = { url, address: address ? getAddress(address) : undefined }
        return { kind: 'signer', signer }
      }
      return env[names.privateKey] ? { kind: 'variable', name: names.privateKey } : undefined
    },
    async address(source) {
      if (source.kind === 'signer') return remoteAddress(source.signer)
      if (source.kind === 'variable') return privateKeyToAddress(readKey(source.name))
      return source.address ?? (await open(source)).address
    },
  }
}

/**
 * What is wrong with the settings of keys, as far as can be told without opening anything; null when nothing is. Setting
 * none is not wrong here.
 * INVALID_KEY, INVALID_SETTING, KEY_AMBIGUOUS when more than one says where the key is
 */
export function checkKeySettings(env: Environment, prefix: Prefix): MultiverseError | null {
  const names = keyVariables(prefix)
  const sources = [names.wallet, names.signerUrl, names.privateKey].filter((name) => env[name])
  if (sources.length > 1)
    return new MultiverseError(
      'KEY_AMBIGUOUS',
      `${sources.join(' and ')} each name a key: set only one of them`,
    )
  const key = env[names.privateKey]
  const url = env[names.signerUrl]
  const address = env[names.signerAddress]
  // No value is shown: what stands in the wrong variable may be a secret.
  try {
    if (key) parsePrivateKey(key, names.privateKey)
    readDescriptorNumber(env, names.passphraseFd)
  } catch (error) {
    if (error instanceof MultiverseError) return error
    throw error
  }
  if (url && !['http:', 'https:'].includes(URL.parse(url)?.protocol ?? ''))
    return invalidSetting(names.signerUrl, 'is no http or https URL')
  if (address && !isAddress(address)) return invalidSetting(names.signerAddress, 'is no address')
  if (address && !url)
    return invalidSetting(names.signerAddress, `is set and ${names.signerUrl} is not`)
  return null
}

/** Whether a text means a file rather than a wallet's name. */
const isPath = (text: string) => /[/\\]/.test(text)

function readDescriptorNumber(env: Environment, name: string): number | undefined {
  const text = env[name]
  if (!text) return undefined
  if (!/^\d{1,4}$/.test(text)) throw invalidSetting(name, 'is no number of a file descriptor')
  return Number(text)
}

function invalidSetting(name: string, why: string): MultiverseError {
  return new MultiverseError('INVALID_SETTING', `${name} ${why}`)
}
