import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import * as Keystore from 'ox/Keystore'
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  findWallet,
  keystoreFolder,
  readFolder,
  storeKeystore,
} from '../../sdk/node/keys/folder.ts'
import { lockKey, parseKeystore, unlockKey } from '../../sdk/node/keys/keystore.ts'
import { createPrompt } from '../../sdk/node/keys/prompt.ts'
import { readNewPassphrase, readPassphrase } from '../../sdk/node/keys/passphrase.ts'

// Keystore files, the folder they are in, and where their passphrases come from.

/** The examples of the Web3 Secret Storage definition: one key, encrypted in both ways with "testpassword". */
const KNOWN_KEY = '0x7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d'
const KNOWN = {
  pbkdf2: {
    crypto: {
      cipher: 'aes-128-ctr',
      cipherparams: { iv: '6087dab2f9fdbbfaddc31a909735c1e6' },
      ciphertext: '5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46',
      kdf: 'pbkdf2',
      kdfparams: {
        c: 262144,
        dklen: 32,
        prf: 'hmac-sha256',
        salt: 'ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd',
      },
      mac: '517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2',
    },
    id: '3198bc9c-6672-5ab3-d995-4942343ae5b6',
    version: 3,
  },
  scrypt: {
    crypto: {
      cipher: 'aes-128-ctr',
      cipherparams: { iv: '83dbcc02d8ccb40e466191a123791e0e' },
      ciphertext: 'd172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c',
      kdf: 'scrypt',
      kdfparams: {
        dklen: 32,
        n: 262144,
        r: 1,
        p: 8,
        salt: 'ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19',
      },
      mac: '2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097',
    },
    id: '3198bc9c-6672-5ab3-d995-4942343ae5b6',
    version: 3,
  },
}

const key = generatePrivateKey()
const address = privateKeyToAddress(key)
const PASSPHRASE = 'pässphrase of 3 wörds'
let file: string
let folder: string

beforeAll(() => {
  file = lockKey(key, PASSPHRASE, 'savings')
})
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multiverse-keystore-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

test.each(['pbkdf2', 'scrypt'] as const)('opens the example of the definition: %s', (kdf) => {
  const locked = parseKeystore(JSON.stringify(KNOWN[kdf]), kdf)
  expect(locked).toMatchObject({ address: null, name: null })
  expect(unlockKey(locked, 'testpassword', kdf)).toBe(KNOWN_KEY)
  expect(() => unlockKey(locked, 'testpasswort', kdf)).toThrow(
    expect.objectContaining({
      code: 'WRONG_PASSPHRASE',
      message: `wrong passphrase for ${kdf}`,
    }),
  )
})

test('opens what another program locked with scrypt, and the other way round', () => {
  const [derived, how] = Keystore.scrypt({ password: PASSPHRASE, n: 2 ** 12, r: 8, p: 2 })
  const theirs = JSON.stringify(Keystore.encrypt(key, derived, how))
  expect(unlockKey(parseKeystore(theirs, 'theirs'), PASSPHRASE, 'theirs')).toBe(key)
  const { keystore } = parseKeystore(file, 'ours')
  expect(Keystore.decrypt(keystore, Keystore.toKey(keystore, { password: PASSPHRASE }))).toBe(key)
})

test('what it locks it opens, tells its address without, and shows neither key nor passphrase', () => {
  const locked = parseKeystore(file, 'it')
  expect(locked).toMatchObject({ address, name: 'savings' })
  expect(unlockKey(locked, PASSPHRASE, 'it')).toBe(key)
  expect(file).not.toContain(key.slice(2))
  expect(file).not.toContain(PASSPHRASE)
  expect(JSON.parse(file)).toMatchObject({
    version: 3,
    crypto: { cipher: 'aes-128-ctr', kdf: 'scrypt', kdfparams: { n: 262144, r: 8, p: 1 } },
  })
})

test('notices that the key is not that of the address', () => {
  const other = { ...(JSON.parse(file) as object), address: '11'.repeat(20) }
  const locked = parseKeystore(JSON.stringify(other), 'it')
  expect(() => unlockKey(locked, PASSPHRASE, 'it')).toThrow(
    expect.objectContaining({ code: 'KEYSTORE_INVALID' }),
  )
})

const { crypto } = KNOWN.scrypt
const changed = (changes: object) => ({ ...KNOWN.scrypt, crypto: { ...crypto, ...changes } })
const withScrypt = (changes: object) => changed({ kdfparams: { ...crypto.kdfparams, ...changes } })
test.each<[object | string, string, RegExp]>([
  [KNOWN_KEY, 'KEYSTORE_INVALID', /it is not JSON/],
  ['[]', 'KEYSTORE_INVALID', /no version/],
  [{ version: 3 }, 'KEYSTORE_INVALID', /crypto/],
  [{ ...KNOWN.scrypt, version: 1 }, 'KEYSTORE_UNSUPPORTED', /version 1/],
  [{ ...KNOWN.scrypt, address: 'alice' }, 'KEYSTORE_INVALID', /address/],
  [changed({ cipher: 'aes-256-gcm' }), 'KEYSTORE_UNSUPPORTED', /cipher aes-256-gcm/],
  [changed({ kdf: 'argon2id' }), 'KEYSTORE_UNSUPPORTED', /key derivation argon2id/],
  [changed({ mac: '00' }), 'KEYSTORE_INVALID', /crypto\.mac/],
  [withScrypt({ n: 262143 }), 'KEYSTORE_INVALID', /power of two/],
  [withScrypt({ n: 2 ** 28 }), 'KEYSTORE_UNSUPPORTED', /too much work/],
  [withScrypt({ p: 2 ** 28 }), 'KEYSTORE_UNSUPPORTED', /too much work/],
  [
    {
      ...KNOWN.pbkdf2,
      crypto: { ...KNOWN.pbkdf2.crypto, kdfparams: { ...KNOWN.pbkdf2.crypto.kdfparams, c: 1e9 } },
    },
    'KEYSTORE_UNSUPPORTED',
    /too much work/,
  ],
])('refuses %.60j: %s %s', (content, code, message) => {
  const text = typeof content === 'string' ? content : JSON.stringify(content)
  let error: unknown
  try {
    parseKeystore(text, 'the file')
  } catch (thrown) {
    error = thrown
  }
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) as string })
  expect((error as Error).message).toMatch(/^the file .*$/)
  expect((error as Error).message).not.toContain(KNOWN_KEY.slice(2))
})

test('stores a file that only its owner can read, under the name every wallet program gives', async () => {
  const inner = join(folder, 'a', 'keystore')
  const stored = await storeKeystore(inner, { name: 'savings', address, text: file })
  expect(await readdir(inner)).toEqual([
    expect.stringMatching(
      new RegExp(
        `^UTC--\\d{4}-\\d\\d-\\d\\dT\\d\\d-\\d\\d-\\d\\d\\.\\d{9}Z--${address.slice(2).toLowerCase()}$`,
      ),
    ),
  ])
  expect((await stat(stored.path)).mode & 0o777).toBe(0o600)
  expect((await stat(inner)).mode & 0o777).toBe(0o700)
  expect(await readFile(stored.path, 'utf8')).toBe(file)
  expect(await readFolder(inner)).toEqual({ wallets: [stored], unreadable: [] })
})

test('two wallets of one name, or of one address, are refused, also at the same time', async () => {
  const other = privateKeyToAddress(generatePrivateKey())
  const store = (name: string, of: typeof address) =>
    storeKeystore(folder, { name, address: of, text: renamed(name, of) })
  const ends = await Promise.allSettled([
    store('savings', address),
    store('Savings', other),
    store('savings', other),
  ])
  expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  await expect(store('SAVINGS', other)).rejects.toMatchObject({ code: 'WALLET_EXISTS' })
  const { wallets } = await readFolder(folder)
  expect(wallets).toHaveLength(1)
  await expect(store('more', wallets[0]!.address!)).rejects.toMatchObject({
    code: 'WALLET_EXISTS',
  })
  expect((await readdir(folder)).filter((each) => each.startsWith('.'))).toEqual([])
})

test.each(['', '0xsavings', 'a/b', '..', '.lock', 'UTC--now', 'a b', 'x'.repeat(65)])(
  'refuses the name %j',
  async (name) => {
    await expect(storeKeystore(folder, { name, address, text: file })).rejects.toMatchObject({
      code: 'INVALID_WALLET_NAME',
    })
    expect(await readdir(folder)).toEqual([])
  },
)

test('finds by name and address, knows foreign files, and says what it cannot read', async () => {
  const foreign = privateKeyToAddress(KNOWN_KEY)
  await storeKeystore(folder, { name: 'savings', address, text: file })
  await writeFile(
    join(folder, 'from-elsewhere.json'),
    JSON.stringify({ ...KNOWN.scrypt, address: foreign.slice(2).toLowerCase() }),
  )
  await writeFile(join(folder, 'twin'), renamed('SAVINGS', foreign))
  await writeFile(join(folder, 'notes.txt'), 'nothing')
  await writeFile(join(folder, '.hidden'), 'nothing')
  await mkdir(join(folder, 'sub'))
  const { wallets, unreadable } = await readFolder(folder)
  expect(findWallet(wallets, address.toLowerCase()).name).toBe('savings')
  expect(findWallet(wallets, 'from-elsewhere').address).toBe(foreign)
  expect(unreadable).toMatchObject([
    { path: join(folder, 'notes.txt'), error: { code: 'KEYSTORE_INVALID' } },
  ])
  const lookup = (text: string) => () => findWallet(wallets, text)
  expect(lookup('savings')).toThrow(
    expect.objectContaining({
      code: 'AMBIGUOUS_WALLET',
      message: expect.stringContaining(join(folder, 'twin')) as string,
    }),
  )
  expect(lookup(foreign)).toThrow(expect.objectContaining({ code: 'AMBIGUOUS_WALLET' }))
  expect(lookup('mallory')).toThrow(
    'no wallet named mallory: one of savings, from-elsewhere, SAVINGS',
  )
  expect(lookup(key)).toThrow(expect.objectContaining({ code: 'INVALID_KEY' }))
  expect(lookup(key)).not.toThrow(key.slice(2))
})

test('the folder is among the configuration of the user, unless he says otherwise', () => {
  expect(keystoreFolder({ MULTIVERSE_KEYSTORE: '/keys', XDG_CONFIG_HOME: '/config' })).toBe('/keys')
  expect(keystoreFolder({ XDG_CONFIG_HOME: '/config' })).toBe('/config/multiverse/keystore')
  expect(keystoreFolder({})).toMatch(/\/\.config\/multiverse\/keystore$/)
})

test('a prompt shows what it asks and never what is typed', async () => {
  const { terminal, shown, type } = fakeTerminal()
  const prompt = createPrompt(terminal)
  const answer = prompt.ask('Passphrase: ')
  type('secrex\u007ft')
  type(' wörds\r')
  expect(await answer).toBe('secret wörds')
  // What was typed ahead is kept for the next question.
  type('one\rtwo\r')
  expect(await prompt.ask('1: ')).toBe('one')
  expect(await prompt.ask('2: ')).toBe('two')
  prompt.close()
  expect(shown()).toBe('Passphrase: \n1: \n2: \n')
})

test('Ctrl-C and the end of input end a prompt', async () => {
  const first = fakeTerminal()
  const interrupted = createPrompt(first.terminal).ask('? ')
  first.type('sec\u0003')
  await expect(interrupted).rejects.toMatchObject({ code: 'INTERRUPTED' })
  const second = fakeTerminal()
  const ended = createPrompt(second.terminal).ask('? ')
  second.type('\u0004')
  await expect(ended).rejects.toMatchObject({ code: 'NO_PASSPHRASE' })
})

test('a new passphrase is typed twice, the same, and not empty', async () => {
  expect(await newPassphrase('secret\rsecret\r')).toBe('secret')
  await expect(newPassphrase('secret\rsecrets\r')).rejects.toMatchObject({
    code: 'PASSPHRASE_MISMATCH',
  })
  await expect(newPassphrase('\r')).rejects.toMatchObject({ code: 'PASSPHRASE_EMPTY' })
})

test('without a descriptor, a variable or a terminal it says what to do', async () => {
  const sources = {
    fd: undefined,
    variable: { name: 'X', value: '' },
    openPrompt: () => null,
    hint: 'set X',
  }
  await expect(readPassphrase(sources, 'it')).rejects.toMatchObject({
    code: 'NO_PASSPHRASE',
    message: 'no passphrase and no terminal to ask: set X',
  })
  expect(await readPassphrase({ ...sources, variable: { name: 'X', value: 'abc\n' } }, 'it')).toBe(
    'abc\n',
  )
  await expect(readPassphrase({ ...sources, fd: 9998 }, 'it')).rejects.toMatchObject({
    code: 'PASSPHRASE_UNREADABLE',
  })
})

/** The file again, as if of another wallet. */
function renamed(name: string, of: string): string {
  return JSON.stringify({ ...(JSON.parse(file) as object), name, address: of.slice(2) })
}

function fakeTerminal() {
  const input = new PassThrough()
  const output = new PassThrough()
  let text = ''
  output.on('data', (chunk: Buffer) => (text += chunk.toString()))
  return {
    terminal: { input, output },
    shown: () => text,
    type: (keys: string) => void input.write(keys),
  }
}

/** The passphrase that comes of what is typed. */
function newPassphrase(typed: string): Promise<string> {
  const { terminal, type } = fakeTerminal()
  const sources = {
    fd: undefined,
    variable: { name: 'X', value: undefined },
    openPrompt: () => createPrompt(terminal),
    hint: '',
  }
  type(typed)
  return readNewPassphrase(sources, 'savings')
}
