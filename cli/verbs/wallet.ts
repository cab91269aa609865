import { readFile } from 'node:fs/promises'
import { type Address, formatEther, type Hex } from 'viem'
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import { getBalance, getChainId } from 'viem/actions'
import { contractError, type ReadClient } from '../../sdk/actions.ts'
import { isMultiverseError, MultiverseError, oneLine } from '../../sdk/errors.ts'
import { isLocalChain } from '../../sdk/networks.ts'
import {
  assertNew,
  assertWalletName,
  keystoreFolder,
  readFolder,
  storeKeystore,
  type StoredWallet,
} from '../../sdk/node/keys/folder.ts'
import { lockKey, parseKeystore, parsePrivateKey, unlockKey } from '../../sdk/node/keys/keystore.ts'
import {
  readDescriptor,
  readNewPassphrase,
  readPassphrase,
} from '../../sdk/node/keys/passphrase.ts'
import { openTerminalPrompt } from '../../sdk/node/keys/prompt.ts'
import type { WalletOutput, WalletsOutput } from '../../sdk/output.ts'
import { type CommonOptions, createReadClient, openKeyring, runningStack } from '../context.ts'
import { usageError } from '../errors.ts'
import { type Result, table } from '../output.ts'
import { isLocalName, localAccount, localNames } from '../wallets.ts'

export type ImportWalletOptions = CommonOptions & { file?: string; keyFd?: number }

/** Makes a key, encrypts it with a passphrase, and stores it under a name. */
export async function newWalletVerb(
  name: string,
  options: CommonOptions,
): Promise<Result<WalletOutput>> {
  await assertFree(name)
  const passphrase = await readNewPassphrase(openKeyring(options).passphrase, name)
  const key = generatePrivateKey()
  return store(name, privateKeyToAddress(key), lockKey(key, passphrase, name))
}

/** Takes in a private key, encrypting it with a passphrase, or a keystore file with the passphrase that it has. */
export async function importWalletVerb(
  name: string,
  options: ImportWalletOptions,
): Promise<Result<WalletOutput>> {
  const { text, where } = await readSecret(options)
  await assertFree(name)
  const { passphrase: sources } = openKeyring(options)
  if (!text.startsWith('{')) {
    const key = parsePrivateKey(text, where)
    const passphrase = await readNewPassphrase(sources, name)
    return store(name, privateKeyToAddress(key), lockKey(key, passphrase, name))
  }
  const locked = parseKeystore(text, where)
  // Whoever cannot open it now would find out when he needs it.
  const key = unlockKey(locked, await readPassphrase(sources, where), where)
  const address = privateKeyToAddress(key)
  const file = { ...(JSON.parse(text) as object), address: address.slice(2).toLowerCase(), name }
  return store(name, address, `${JSON.stringify(file)}\n`)
}

/** Lists the wallets of this machine and, where a chain answers, what each has to pay fees with. */
export async function listWalletsVerb(options: CommonOptions): Promise<Result<WalletsOutput>> {
  const folder = keystoreFolder(process.env)
  const { wallets: stored, unreadable } = await readFolder(folder)
  const chain = await reachChain(options)
  const local: Listed[] = chain?.isLocal
    ? localNames().map((name) => ({
        name,
        address: localAccount(name).address,
        kind: 'local',
        path: null,
      }))
    : []
  const listed = [...stored.map((each) => ({ ...each, kind: 'keystore' as const })), ...local]
  const wallets = await Promise.all(
    listed.map(async (each) => ({
      ...each,
      balance: await balanceOf(chain?.client, each.address),
    })),
  )
  const files = unreadable.map(({ path, error }) => ({
    path,
    error: { code: error.code, message: error.message },
  }))
  const rows = wallets.map(({ name, address, balance, path }) => [
    name ?? '(unnamed)',
    address ?? '(not told)',
    balance ?? '?',
    path ?? '(on local chains)',
  ])
  return {
    json: { folder, chainId: chain?.chainId ?? null, wallets, unreadable: files },
    text: [
      rows.length === 0
        ? `no wallets in ${folder}: make one with \`multiverse wallet new NAME\``
        : table(rows, ['name', 'address', 'ether', 'file']),
      ...files.map(({ error }) => error.message),
    ].join('\n'),
  }
}

type Listed = Omit<StoredWallet, 'path'> & { kind: 'local' | 'keystore'; path: string | null }

async function store(name: string, address: Address, text: string): Promise<Result<WalletOutput>> {
  const { path } = await storeKeystore(keystoreFolder(process.env), { name, address, text })
  return {
    json: { name, address, path },
    text: [
      table([
        ['wallet', name],
        ['address', address],
        ['file', path],
      ]),
      '',
      'Keep a copy of the file, and the passphrase apart from it: without both the key is lost.',
      `Any verb signs with it: multiverse balance --as ${name}`,
    ].join('\n'),
  }
}

/** Before anything is asked for: a name that can be had. */
async function assertFree(name: string): Promise<void> {
  assertWalletName(name)
  if (isLocalName(name.toLowerCase()))
    throw new MultiverseError(
      'INVALID_WALLET_NAME',
      `${name} is a wallet of local chains: choose another name`,
    )
  await assertNew(keystoreFolder(process.env), name)
}

/** What is to be taken in, and where it comes from. */
async function readSecret(options: ImportWalletOptions): Promise<{ text: string; where: string }> {
  const { file, keyFd, passphraseFd } = options
  if (file !== undefined && keyFd !== undefined)
    throw usageError('give --file or --key-fd, not both')
  if (file !== undefined) return { text: (await readText(file)).trim(), where: file }
  const fd = keyFd ?? 0
  if (fd === passphraseFd)
    throw usageError(`file descriptor ${fd} cannot hold both the key and the passphrase`)
  if (fd === 0 && process.stdin.isTTY) return { text: await askForKey(), where: 'what was typed' }
  const where = fd === 0 ? 'standard input' : `file descriptor ${fd}`
  return { text: (await readDescriptor(fd)).trim(), where }
}

async function askForKey(): Promise<string> {
  const prompt = openTerminalPrompt()
  if (prompt === null) throw usageError('no terminal to ask for the key: use --file or --key-fd')
  try {
    return (await prompt.ask('Private key, or the text of a keystore file: ')).trim()
  } finally {
    prompt.close()
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new MultiverseError('KEYSTORE_NOT_FOUND', `no such file: ${oneLine(cause)}`, { cause })
  }
}

type Chain = { client: ReadClient; chainId: number; isLocal: boolean }

/** The chain that was named, which must answer, or that of the stack, if one runs. */
async function reachChain(options: CommonOptions): Promise<Chain | undefined> {
  let url = options.rpc
  try {
    url ??= (await runningStack(options)).urls.rpc
  } catch (error) {
    if (isMultiverseError(error, 'NO_STACK')) return undefined
    throw error
  }
  const client = createReadClient(url)
  try {
    const chainId = await getChainId(client)
    return { client, chainId, isLocal: isLocalChain(chainId) }
  } catch (error) {
    const { code, message } = contractError(error)
    throw new MultiverseError(code, `${url}: ${message}`, { cause: error })
  }
}

/** In ether; null where it cannot be known. */
async function balanceOf(client: ReadClient | undefined, address: Hex | null) {
  if (client === undefined || address === null) return null
  return formatEther(await getBalance(client, { address }))
}
