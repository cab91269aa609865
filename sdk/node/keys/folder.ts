import { randomUUID } from 'node:crypto'
import { link, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { type Address, getAddress, isAddress } from 'viem'
import { MultiverseError, oneLine } from '../../errors.ts'
import { acquireLock } from '../lock.ts'
import { type LockedKey, parseKeystore } from './keystore.ts'

/** Says where the keystore folder is, instead of the user's configuration folder. */
export const KEYSTORE_VARIABLE = 'MULTIVERSE_KEYSTORE'

const LOCK = '.lock'
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** A keystore file of the folder. */
export type StoredWallet = {
  /** Null for another program's file that gives none. */
  name: string | null
  address: Address | null
  path: string
}

/** What a keystore folder holds. */
export type FolderContents = {
  /** In order of their files' names, which begin with the time they were made. */
  wallets: StoredWallet[]
  /** Files that are no keystores, and why. */
  unreadable: { path: string; error: MultiverseError }[]
}

type Environment = Record<string, string | undefined>

/** The folder of keystore files: MULTIVERSE_KEYSTORE, else `multiverse/keystore` among the user's configuration. */
export function keystoreFolder(env: Environment): string {
  const given = env[KEYSTORE_VARIABLE]
  if (given) return resolve(given)
  return join(env['XDG_CONFIG_HOME'] || join(homedir(), '.config'), 'multiverse', 'keystore')
}

/** The keystores of a folder; none when there is no such folder. */
export async function readFolder(folder: string): Promise<FolderContents> {
  const contents: FolderContents = { wallets: [], unreadable: [] }
  for (const file of await filesOf(folder)) {
    const path = join(folder, file)
    try {
      const { name, address } = await readKeystore(path)
      contents.wallets.push({ name: name ?? nameOfFile(file), address, path })
    } catch (error) {
      if (!(error instanceof MultiverseError)) throw error
      contents.unreadable.push({ path, error })
    }
  }
  return contents
}

/** Reads a keystore file. @throws KEYSTORE_NOT_FOUND, KEYSTORE_INVALID, KEYSTORE_UNSUPPORTED */
export async function readKeystore(path: string): Promise<LockedKey> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    throw new MultiverseError('KEYSTORE_NOT_FOUND', `no keystore file: ${oneLine(cause)}`, {
      cause,
    })
  }
  return parseKeystore(text, path)
}

/**
 * Finds a wallet by its name or address, upper or lower case.
 * @throws UNKNOWN_WALLET, AMBIGUOUS_WALLET; INVALID_KEY for a private key, which is nothing to be named by
 */
export function findWallet(wallets: readonly StoredWallet[], text: string): StoredWallet {
  assertNoKey(text)
  const found = matching(wallets, text)
  const [first, second] = found
  if (first === undefined) {
    const names = wallets.map(({ name, address }) => name ?? address ?? '(unnamed)')
    throw new MultiverseError(
      'UNKNOWN_WALLET',
      names.length === 0
        ? `no wallet named ${text}: make one with \`multiverse wallet new ${isAddress(text) ? 'NAME' : text}\``
        : `no wallet named ${text}: one of ${names.join(', ')}`,
    )
  }
  if (second !== undefined)
    throw new MultiverseError(
      'AMBIGUOUS_WALLET',
      `${text} stands for ${found.length} wallets: name the file, ${found.map(({ path }) => path).join(' or ')}`,
    )
  return first
}

/**
 * Puts a keystore file into the folder, whole or not at all, readable by its owner only.
 * @throws INVALID_WALLET_NAME, WALLET_EXISTS when the name or the address is there already, LOCKED
 */
export async function storeKeystore(
  folder: string,
  wallet: { name: string; address: Address; text: string },
): Promise<StoredWallet> {
  const { name, address, text } = wallet
  assertWalletName(name)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  // Names stand inside the files, so that only a lock keeps two of the same apart.
  const lock = await acquireLock(join(folder, LOCK))
  const draft = join(folder, `.${randomUUID()}.draft`)
  try {
    await assertNew(folder, name, address)
    const path = join(folder, fileName(address, new Date()))
    await writeFile(draft, text, { mode: 0o600, flag: 'wx', flush: true })
    await link(draft, path)
    return { name, address, path }
  } finally {
    await rm(draft, { force: true })
    await lock.release()
  }
}

/** @throws WALLET_EXISTS when the folder has a wallet of that name or address */
export async function assertNew(folder: string, name: string, address?: Address): Promise<void> {
  const { wallets } = await readFolder(folder)
  const same = wallets.find(
    (each) =>
      each.name?.toLowerCase() === name.toLowerCase() ||
      (address !== undefined && each.address === address),
  )
  if (same !== undefined)
    throw new MultiverseError(
      'WALLET_EXISTS',
      `there is a wallet ${same.name ?? same.address} already: ${same.path}`,
    )
}

/** @throws INVALID_WALLET_NAME; INVALID_KEY for a private key */
export function assertWalletName(name: string): void {
  assertNoKey(name)
  if (!NAME.test(name) || /^0x/i.test(name) || name.startsWith('UTC--'))
    throw new MultiverseError(
      'INVALID_WALLET_NAME',
      `${name} is no name of a wallet: 1 to 64 letters, digits, dots, dashes and underscores, not beginning with 0x`,
    )
}

/** Whoever took an argument for a private key is told what he did, without it being shown once more. */
function assertNoKey(text: string): void {
  if (/^(0x)?[0-9a-f]{64}$/i.test(text))
    throw new MultiverseError(
      'INVALID_KEY',
      'a private key is no name: whoever can list processes has seen it. Use it no more, and import its successor',
    )
}

function matching(wallets: readonly StoredWallet[], text: string): StoredWallet[] {
  if (isAddress(text, { strict: false })) {
    const address = getAddress(text)
    return wallets.filter((wallet) => wallet.address === address)
  }
  return wallets.filter(({ name }) => name?.toLowerCase() === text.toLowerCase())
}

async function filesOf(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    const files = entries.filter((entry) => entry.isFile() || entry.isSymbolicLink())
    // Locks, drafts and whatever file managers leave are hidden.
    return files
      .map(({ name }) => name)
      .filter((name) => !name.startsWith('.'))
      .toSorted()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return []
  }
}

/** As every wallet program names them: the time in UTC and the address. */
function fileName(address: Address, at: Date): string {
  const time = at.toISOString().replaceAll(':', '-').replace('Z', '000000Z')
  return `UTC--${time}--${address.slice(2).toLowerCase()}`
}

/** Some programs name the file after the wallet. */
function nameOfFile(file: string): string | null {
  return file.startsWith('UTC--') ? null : file.replace(/\.json$/, '')
}
