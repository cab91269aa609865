import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEther } from 'viem'
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pigouSpec } from '../../cli/scenario/spec.ts'
import { mint } from '../../sdk/actions.ts'
import { storeKeystore } from '../../sdk/node/keys/folder.ts'
import { lockKey } from '../../sdk/node/keys/keystore.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'
import { alone, lastJson, multiverse, type Ran } from './harness.ts'

// Verbs that sign with keys of every kind, on a real chain. No output ever shows a key or a passphrase.

const PASSPHRASE = 'correct horse battery staple'
const key = generatePrivateKey()
const savings = privateKeyToAddress(key)
let dataDir: string
let keystore: string
let chain: LocalChain
let question: string

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'multiverse-cli-'))
  keystore = await mkdtemp(join(tmpdir(), 'multiverse-keystore-'))
  chain = await startChain()
  await writeFile(join(dataDir, 'deployment.json'), JSON.stringify(chain.deployment))
  const spec = join(dataDir, 'spec.json')
  await writeFile(spec, JSON.stringify(pigouSpec({ degree: 2 })))
  for (const to of [savings, chain.accounts[5]!.address]) {
    await chain.testClient.setBalance({ address: to, value: parseEther('1') })
    const { token } = chain.deployment.addresses
    await mint(chain.wallet(0), { token, to, amount: parseEther('5') })
  }
  const text = lockKey(key, PASSPHRASE, 'savings')
  await storeKeystore(keystore, { name: 'savings', address: savings, text })
  const asked = await run(`ask --spec ${spec} --deadline +1h --as bob`)
  question = (lastJson(asked) as { question: string }).question
})
afterAll(async () => {
  await chain?.stop()
  await rm(dataDir, { recursive: true, force: true })
  await rm(keystore, { recursive: true, force: true })
})

/** Runs a command line with the keystore folder, and sees to it that nothing secret is shown. */
async function run(
  line: string,
  env: Record<string, string> = {},
  inputs: string[] = [],
): Promise<Ran> {
  const args = [...line.split(' '), '--data', dataDir, '--rpc', chain.url, '--json']
  const settings = { MULTIVERSE_KEYSTORE: keystore, ...env }
  // Only what reads from descriptors needs a process of its own.
  const ran = await (inputs.length > 0 ? multiverse(args, settings, inputs) : alone(args, settings))
  for (const text of [ran.stdout, ran.stderr])
    for (const secret of [key.slice(2), PASSPHRASE, 'hunter2']) expect(text).not.toContain(secret)
  return ran
}

const push = (rest: string) => `push-down --question ${question} --amount 1 ${rest}`.trimEnd()

test.each<[string, string, Record<string, string>, string[]]>([
  ['a name and a file descriptor', '--as savings --passphrase-fd 3', {}, ['', `${PASSPHRASE}\n`]],
  ['standard input', '--as SAVINGS --passphrase-fd 0', {}, [PASSPHRASE]],
  ['an address and a variable', `--as ${savings}`, { MULTIVERSE_PASSPHRASE: PASSPHRASE }, []],
  [
    'the environment alone',
    '',
    { MULTIVERSE_WALLET: 'savings', MULTIVERSE_PASSPHRASE_FD: '3' },
    ['', PASSPHRASE],
  ],
])('signs with a keystore by %s', async (_, rest, env, inputs) => {
  const ran = await run(push(rest), env, inputs)
  expect(ran.stderr).toBe('')
  expect(lastJson(ran)).toMatchObject({ owner: savings })
})

test('signs with a remote signer', async () => {
  const { address } = chain.accounts[5]!
  const env = { MULTIVERSE_SIGNER_URL: chain.url, MULTIVERSE_SIGNER_ADDRESS: address }
  const ran = await run(push(''), env)
  expect(ran.stderr).toBe('')
  expect(lastJson(ran)).toMatchObject({ owner: address })
})

test('reads as a keystore, and gives to one by its name, without its passphrase', async () => {
  const ran = await run('balance --as savings')
  expect(lastJson(ran)).toMatchObject({ owner: savings })
  const to = await run(push('--as alice --to savings'))
  // Alice has none: she was understood that far.
  expect(to.stderr).toMatch(/^error INSUFFICIENT_BALANCE|^error \w+: /)
  expect(to.stderr).not.toContain('WALLET')
})

const wrongs: [string, Record<string, string>, RegExp, string[]?][] = [
  // In a process without a terminal, whatever this one has.
  ['--as savings', {}, /^error NO_PASSPHRASE: .* set MULTIVERSE_PASSPHRASE_FD /, ['']],
  ['--as savings', { MULTIVERSE_PASSPHRASE: 'wrong' }, /^error WRONG_PASSPHRASE: .*UTC--/],
  ['--as nobody', {}, /^error UNKNOWN_WALLET: no wallet named nobody: one of alice, .*, savings$/],
  [`--as ${generatePrivateKey()}`, {}, /^error INVALID_KEY: a private key is no name/],
  ['--as ./nowhere.json', {}, /^error KEYSTORE_NOT_FOUND: .*nowhere\.json/],
  ['', { MULTIVERSE_SIGNER_URL: 'hunter2' }, /^error INVALID_SETTING: MULTIVERSE_SIGNER_URL /],
  ['', { MULTIVERSE_PRIVATE_KEY: 'hunter2' }, /^error INVALID_KEY: MULTIVERSE_PRIVATE_KEY /],
  [
    '',
    { MULTIVERSE_WALLET: 'savings', MULTIVERSE_PRIVATE_KEY: key },
    /^error KEY_AMBIGUOUS: MULTIVERSE_WALLET and MULTIVERSE_PRIVATE_KEY /,
  ],
]
test.each(wrongs)('refuses %j with %j', async (rest, env, message, inputs) => {
  const ran = await run(push(rest), env, inputs)
  expect(ran.stderr.trimEnd()).toMatch(message)
  expect(ran.stderr.trimEnd()).not.toContain('\n')
  expect(ran.code).toBeGreaterThan(0)
})

test('off a local chain there are no local wallets', async () => {
  const elsewhere = await mkdtemp(join(tmpdir(), 'multiverse-cli-'))
  const other = await startChain({ args: ['--chain-id', '4242'], deployment: chain.deployment })
  try {
    const { hash } = await other.publicClient.getBlock({ blockNumber: 0n })
    const { addresses } = chain.deployment
    for (const address of Object.values(addresses).filter((each) => each !== undefined))
      await other.testClient.setCode({ address, bytecode: '0x00' })
    await writeFile(
      join(elsewhere, 'deployment.json'),
      JSON.stringify({
        ...chain.deployment,
        chainId: 4242,
        startBlock: 0,
        startBlockHash: hash,
      }),
    )
    const args = ['--data', elsewhere, '--rpc', other.url]
    const balance = (...rest: string[]) => multiverse(['balance', ...args, ...rest])
    expect((await balance()).stderr).toMatch(/^error NO_WALLET: .*wallet new/)
    expect((await balance('--as', 'alice')).stderr).toMatch(
      /^error UNKNOWN_WALLET: alice is a wallet of local chains only/,
    )
  } finally {
    await other.stop()
    await rm(elsewhere, { recursive: true, force: true })
  }
})
