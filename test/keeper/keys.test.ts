import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { openKeeperAccount } from '../../keeper/account.ts'
import { KEEPER_EXIT_BY_CODE } from '../../keeper/exits.ts'
import { ROOT } from '../../sdk/ids.ts'
import { storeKeystore } from '../../sdk/node/keys/folder.ts'
import { lockKey } from '../../sdk/node/keys/keystore.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { createStage } from './stage.ts'
import {
  askQuestion,
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
const stage = createStage()
let chain: LocalChain
let keystore: string

beforeAll(async () => {
  chain = await stage.chain()
  keystore = await mkdtemp(join(tmpdir(), 'multiverse-keystore-'))
  const text = lockKey(chain.privateKey(KEEPER), PASSPHRASE, NAME)
  await storeKeystore(keystore, { name: NAME, address: chain.accounts[KEEPER]!.address, text })
})
afterEach(stage.kill)
afterAll(() => rm(keystore, { recursive: true, force: true }))

async function start(env: Record<string, string>, inputs: readonly string[] = []) {
  const dataDir = await stage.folder(chain)
  const { KEEPER_PRIVATE_KEY: _, ...rest } = keeperEnv(chain, dataDir, {
    MULTIVERSE_KEYSTORE: keystore,
    ...env,
  })
  return { ...keeperClient(dataDir), keeper: stage.spawn(rest, { inputs }) }
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

test.each<[string, () => Record<string, string>, number, string, RegExp]>([
  [
    'one with another passphrase',
    () => ({ KEEPER_WALLET: NAME, KEEPER_PASSPHRASE: 'wrong' }),
    2,
    'WRONG_PASSPHRASE',
    /^wrong passphrase for .*UTC--[^\n]*$/,
  ],
  [
    'a supervised one with nothing to open its file',
    () => ({ KEEPER_WALLET: NAME, MULTIVERSE_SUPERVISED: '1' }),
    2,
    'NO_PASSPHRASE',
    /^.* set KEEPER_PASSPHRASE_FD /,
  ],
  [
    'a name that nobody has',
    () => ({ KEEPER_WALLET: 'nobody', KEEPER_PASSPHRASE: PASSPHRASE }),
    2,
    'UNKNOWN_WALLET',
    /^no wallet named nobody: one of keeper-1$/,
  ],
  [
    'a file that is not there',
    () => ({ KEEPER_WALLET: '/nowhere/at/all', KEEPER_PASSPHRASE: PASSPHRASE }),
    2,
    'KEYSTORE_NOT_FOUND',
    /\/nowhere\/at\/all/,
  ],
  [
    'a signer of many',
    () => ({ KEEPER_SIGNER_URL: chain.url }),
    2,
    'SIGNER_AMBIGUOUS',
    /^.* signs for 10 accounts/,
  ],
  [
    'a signer that is away, which another start may mend',
    () => ({ KEEPER_SIGNER_URL: 'http://127.0.0.1:1' }),
    1,
    'SIGNER_UNREACHABLE',
    /^the signer at 127\.0\.0\.1:1 does not answer eth_accounts$/,
  ],
])('%s has no key, and is told which', async (_, env, exit, code, message) => {
  const opening = openKeeperAccount({ MULTIVERSE_KEYSTORE: keystore, ...env() })
  await expect(opening).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  expect(KEEPER_EXIT_BY_CODE[code] ?? 1).toBe(exit)
})

const address = () => chain.accounts[KEEPER]!.address
