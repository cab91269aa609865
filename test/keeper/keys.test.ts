import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { ROOT } from '../../sdk/ids.ts'
import { storeKeystore } from '../../sdk/node/keys/folder.ts'
import { lockKey } from '../../sdk/node/keys/keystore.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'
import { type KeeperProcess, spawnKeeper } from './child.ts'
import {
  askQuestion,
  createFolders,
  type Folders,
  fund,
  isState,
  KEEPER,
  keeperClient,
  keeperEnv,
  PATIENT,
  push,
  reportsOf,
  spec,
} from './world.ts'

vi.setConfig(PATIENT)

// A keeper whose key is in a keystore file, or with a remote signer.

const NAME = 'keeper-1'
const PASSPHRASE = 'correct horse battery staple'
let chain: LocalChain
let folders: Folders
let keystore: string
const keepers: KeeperProcess[] = []

beforeAll(async () => {
  ;[chain, folders, keystore] = await Promise.all([
    startChain(),
    createFolders(),
    mkdtemp(join(tmpdir(), 'multiverse-keystore-')),
  ])
  await fund(chain)
  const text = lockKey(chain.privateKey(KEEPER), PASSPHRASE, NAME)
  await storeKeystore(keystore, { name: NAME, address: chain.accounts[KEEPER]!.address, text })
})
afterEach(async () => {
  for (const keeper of keepers.splice(0)) {
    keeper.signal('SIGKILL')
    await keeper.ended
  }
})
afterAll(async () => {
  await chain?.stop()
  await folders?.remove()
  await rm(keystore, { recursive: true, force: true })
})

async function start(env: Record<string, string>, inputs: readonly string[] = []) {
  const dataDir = await folders.create(chain)
  const { KEEPER_PRIVATE_KEY: _, ...rest } = keeperEnv(chain, dataDir, {
    MULTIVERSE_KEYSTORE: keystore,
    ...env,
  })
  const keeper = spawnKeeper(rest, join(keystore, '.cache'), { inputs })
  keepers.push(keeper)
  return { ...keeperClient(dataDir), keeper }
}

test.each<[string, () => [Record<string, string>, string[]?]]>([
  [
    'a keystore file, its passphrase from a file descriptor',
    () => [{ KEEPER_WALLET: NAME, KEEPER_PASSPHRASE_FD: '3' }, [`${PASSPHRASE}\n`]],
  ],
  ['a remote signer', () => [{ KEEPER_SIGNER_URL: chain.url, KEEPER_SIGNER_ADDRESS: address() }]],
])('reports with %s', async (_, settings) => {
  const { keeper, until } = await start(...settings())
  const started = await keeper.says('keeper.starting')
  expect(started['keeper']).toBe(address())
  const { question } = await askQuestion(chain, spec())
  await push(chain, question)
  await until(ROOT, question, isState('reported'))
  expect(await reportsOf(chain, question)).toHaveLength(1)
  keeper.signal('SIGTERM')
  expect(await keeper.ended).toBe(0)
  const log = JSON.stringify(keeper.lines) + keeper.errors.join()
  expect(log).not.toContain(PASSPHRASE)
  expect(log).not.toContain(chain.privateKey(KEEPER).slice(2))
})

test('says in one line why it has no key, and ends with 2', async () => {
  const wallet = { KEEPER_WALLET: NAME }
  const supervised = { MULTIVERSE_SUPERVISED: '1' }
  const ends = await Promise.all(
    [
      start({ ...wallet, KEEPER_PASSPHRASE: 'wrong' }),
      start({ ...wallet, ...supervised }),
      start({ KEEPER_WALLET: 'nobody', KEEPER_PASSPHRASE: PASSPHRASE }),
      start({ KEEPER_WALLET: '/nowhere/at/all', KEEPER_PASSPHRASE: PASSPHRASE }),
      start({ KEEPER_SIGNER_URL: chain.url }),
      start({ KEEPER_SIGNER_URL: 'http://127.0.0.1:1' }),
    ].map(async (starting) => {
      const { keeper } = await starting
      return [await keeper.ended, ...keeper.errors]
    }),
  )
  expect(ends).toEqual([
    [2, expect.stringMatching(/^error WRONG_PASSPHRASE: wrong passphrase for .*UTC--/)],
    [2, expect.stringMatching(/^error NO_PASSPHRASE: .* set KEEPER_PASSPHRASE_FD /)],
    [2, 'error UNKNOWN_WALLET: no wallet named nobody: one of keeper-1'],
    [2, expect.stringMatching(/^error KEYSTORE_NOT_FOUND: .*\/nowhere\/at\/all/)],
    [2, expect.stringMatching(/^error SIGNER_AMBIGUOUS: .* signs for 10 accounts/)],
    [1, 'error SIGNER_UNREACHABLE: the signer at 127.0.0.1:1 does not answer eth_accounts'],
  ])
})

const address = () => chain.accounts[KEEPER]!.address
