import { spawn, spawnSync } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Hex, parseEther } from 'viem'
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { lockKey, parseKeystore, unlockKey } from '../../sdk/node/keys/keystore.ts'
import { walletOutput, walletsOutput } from '../../sdk/output.ts'
import { startChain } from '../helpers/chain.ts'
import { alone, lastJson, main, multiverse, type Ran } from './harness.ts'

// `wallet new|import|list`, with a keystore folder of their own.

const PASSPHRASE = 'correct horse battery staple'
let keystore: string

beforeEach(async () => {
  keystore = await mkdtemp(join(tmpdir(), 'multiverse-keystore-'))
})
afterEach(() => rm(keystore, { recursive: true, force: true }))

type Stored = { name: string; address: Hex; path: string }
const secrets: string[] = [PASSPHRASE]

/** Runs a verb with what its standard input and further descriptors hold; nothing secret may be shown. */
async function wallet(line: string, ...inputs: string[]): Promise<Ran> {
  const args = ['wallet', ...line.split(' '), '--json']
  const env = { MULTIVERSE_KEYSTORE: keystore }
  // Only what reads from descriptors needs a process of its own.
  const ran = await (inputs.length > 0 ? multiverse(args, env, inputs) : alone(args, env))
  for (const secret of secrets) expect(ran.stdout + ran.stderr).not.toContain(secret)
  return ran
}

function newKey(): Hex {
  const key = generatePrivateKey()
  secrets.push(key.slice(2))
  return key
}

async function keyIn(path: string, passphrase = PASSPHRASE): Promise<Hex> {
  return unlockKey(parseKeystore(await readFile(path, 'utf8'), path), passphrase, path)
}

test('makes a wallet whose file its passphrase opens, and only one of a name', async () => {
  const made = await wallet('new savings --passphrase-fd 3', '', `${PASSPHRASE}\n`)
  expect(made.stderr).toBe('')
  const { name, address, path } = walletOutput.parse(lastJson(made))
  expect(name).toBe('savings')
  expect(privateKeyToAddress(await keyIn(path))).toBe(address)
  expect((await stat(path)).mode & 0o777).toBe(0o600)

  const again = await wallet('new Savings --passphrase-fd 3', '', PASSPHRASE)
  expect(again.stderr).toBe(`error WALLET_EXISTS: there is a wallet savings already: ${path}\n`)
  expect(again.code).toBe(2)
  expect(lastJson(await wallet('list'))).toEqual({
    folder: keystore,
    chainId: null,
    wallets: [{ name, address, path, kind: 'keystore', balance: null }],
    unreadable: [],
  })
})

test('takes in a key from standard input, a descriptor and a file', async () => {
  const [first, second, third] = [newKey(), newKey(), newKey()]
  const file = join(keystore, '.key')
  await writeFile(file, `${third.slice(2)}\n`)
  const ends = [
    await wallet('import a --passphrase-fd 3', `${first}\n`, PASSPHRASE),
    await wallet('import b --key-fd 3 --passphrase-fd 4', '', second, PASSPHRASE),
    await wallet(`import c --file ${file} --passphrase-fd 3`, '', PASSPHRASE),
  ]
  for (const [index, key] of [first, second, third].entries()) {
    const { address, path } = lastJson(ends[index]!) as Stored
    expect(address).toBe(privateKeyToAddress(key))
    expect(await keyIn(path)).toBe(key)
  }
  const twice = await wallet('import d --passphrase-fd 3', first, PASSPHRASE)
  expect(twice.stderr).toMatch(/^error WALLET_EXISTS: there is a wallet a already/)
})

test("takes in another wallet's file as it is, if its passphrase opens it", async () => {
  const key = newKey()
  const text = lockKey(key, PASSPHRASE, 'theirs')
  const wrong = await wallet('import mine --passphrase-fd 3', text, 'wrong')
  expect(wrong.stderr).toBe('error WRONG_PASSPHRASE: wrong passphrase for standard input\n')
  expect(await readdir(keystore)).toEqual([])
  const { path } = lastJson(
    await wallet('import mine --passphrase-fd 3', text, PASSPHRASE),
  ) as Stored
  const [before, after] = [text, await readFile(path, 'utf8')].map(
    (each) => JSON.parse(each) as { name: string; crypto: object },
  )
  expect(after).toMatchObject({ name: 'mine', crypto: before!.crypto })
  expect(await keyIn(path)).toBe(key)
})

const wrongs: [string, string[], string, number][] = [
  ['new alice', [], 'INVALID_WALLET_NAME: alice is a wallet of local chains', 2],
  ['new a/b', [], 'INVALID_WALLET_NAME: a/b is no name', 2],
  [`new ${newKey()}`, [], 'INVALID_KEY: a private key is no name', 2],
  [`import x ${newKey()}`, [], 'USAGE: too many arguments', 2],
  [`import x --key=${newKey()}`, [], "USAGE: unknown option '--key=(hidden)'", 2],
  ['new x', [''], 'NO_PASSPHRASE: no passphrase and no terminal to ask: set ', 2],
  ['new x --passphrase-fd 3', ['', ''], 'PASSPHRASE_EMPTY: ', 1],
  ['new x --passphrase-fd 999', [], 'PASSPHRASE_UNREADABLE: file descriptor 999 ', 1],
  ['new x --passphrase-fd hunter2', [], "USAGE: option '--passphrase-fd <n>' argument", 2],
  ['import x --passphrase-fd 3', [PASSPHRASE, ''], 'INVALID_KEY: standard input holds no ', 2],
  ['import x --passphrase-fd 3', ['{}', ''], 'KEYSTORE_INVALID: standard input is no keystore', 1],
  ['import x --passphrase-fd 0', [PASSPHRASE], 'USAGE: file descriptor 0 cannot hold both', 2],
  ['import x --file /nowhere', [], 'KEYSTORE_NOT_FOUND: ', 1],
  ['import x --file /nowhere --key-fd 3', [], 'USAGE: give --file or --key-fd, not both', 2],
]
test.each(wrongs)('wallet %s is refused', async (line, inputs, message, code) => {
  const ran = await wallet(line, ...inputs)
  expect(ran.stderr.slice(0, message.length + 6)).toBe(`error ${message}`)
  expect(ran.stderr.trimEnd()).not.toContain('\n')
  expect(lastJson(ran)).toMatchObject({ error: { code: message.split(':', 1)[0] } })
  expect(ran.code).toBe(code)
  expect(await readdir(keystore)).toEqual([])
})

test('lists balances where a chain answers, and the wallets of a local chain with them', async () => {
  const { address } = lastJson(await wallet('new savings --passphrase-fd 3', '', 'x')) as Stored
  await writeFile(join(keystore, 'notes.txt'), 'buy milk')
  const chain = await startChain()
  try {
    await chain.testClient.setBalance({ address, value: parseEther('1.5') })
    const listed = walletsOutput.parse(lastJson(await wallet(`list --rpc ${chain.url}`)))
    expect(listed).toMatchObject({
      chainId: 31337,
      wallets: expect.arrayContaining([
        expect.objectContaining({ name: 'savings', kind: 'keystore', balance: '1.5' }),
        expect.objectContaining({ name: 'bob', kind: 'local', path: null, balance: '10000' }),
      ]) as unknown,
      unreadable: [{ path: join(keystore, 'notes.txt'), error: { code: 'KEYSTORE_INVALID' } }],
    })
  } finally {
    await chain.stop()
  }
  const gone = await wallet(`list --rpc ${chain.url}`)
  expect(gone.stderr).toMatch(/^error RPC_FAILED: /)
})

const hasTerminals = process.platform === 'linux' && spawnSync('script', ['--version']).status === 0

test.skipIf(!hasTerminals)('asks on a terminal, which never shows what is typed', async () => {
  const line = `${process.execPath} ${main} wallet new savings`
  const child = spawn('script', ['--quiet', '--return', '--command', line, '/dev/null'], {
    env: { ...process.env, MULTIVERSE_KEYSTORE: keystore },
    stdio: ['pipe', 'pipe', 'inherit'],
    timeout: 50_000,
  })
  let shown = ''
  const questions = ['New passphrase of savings: ', 'The same once more: ']
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString()
    if (questions[0] !== undefined && shown.endsWith(questions[0])) {
      questions.shift()
      child.stdin.write(`${PASSPHRASE}\r`)
    }
  })
  const code = await new Promise((resolve) => child.on('close', resolve))
  expect(shown).toContain('address')
  expect(code).toBe(0)
  for (const word of PASSPHRASE.split(' ')) expect(shown).not.toContain(word)
  const [file] = await readdir(keystore)
  await keyIn(join(keystore, file!))
})
